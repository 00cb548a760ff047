// tap.mjs: what a suite needs: TAP lines (./run numbers them), each check under a deadline, and
// what the processes of the box look like from outside.
//
//   await check('a name', async () => assert.equal(1, 1))
//   done()
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import fs from 'node:fs'

const only = process.env.ROWS
let made = 0

// One check: it fails by throwing, or by not being done in time. ROWS=TEXT runs those with TEXT in
// their names.
export async function check(name, act, seconds = 20) {
  if (only && !name.includes(only)) return
  const began = Date.now()
  let timer
  const limit = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not done after ${seconds} s`)), seconds * 1000)
  })
  try {
    await Promise.race([act(), limit])
    say(true, name)
  } catch (e) {
    say(false, name, e)
  } finally {
    clearTimeout(timer)
    if (process.env.TIMES) console.log(`# ${Date.now() - began} ms ${name}`)
  }
}

export function skip(name, why) {
  made++
  console.log(`ok - ${name} # SKIP ${why}`)
}

function say(good, name, why) {
  made++
  console.log(`${good ? 'ok' : 'not ok'} - ${name}`)
  if (good) return
  const text = why instanceof Error ? `${why.name}: ${why.message}\n${why.stack}` : String(why)
  for (const line of text.slice(0, 3000).split('\n')) console.log(`# ${line}`)
}

// Nothing may fail where nobody looks.
process.on('unhandledRejection', (why) => say(false, 'a promise that nobody waits for', why))

// The plan, and the end: whatever streams are still open.
export function done() {
  console.log(`1..${made}`)
  process.exit(0)
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

// The first true value of what(), or its last one.
export async function until(what, ms = 5000) {
  const end = Date.now() + ms
  for (;;) {
    const value = await what()
    if (value || Date.now() > end) return value
    await sleep(10)
  }
}

// The error with which this fails: of this class itself, not of one below it.
export async function fails(promise, type, pattern) {
  let value
  try {
    value = await promise
  } catch (e) {
    assert.ok(e?.constructor === type, `not ${type.name} but ${e?.name}: ${e?.message}`)
    if (pattern) assert.match(e.message, pattern)
    return e
  }
  assert.fail(`no ${type.name} but ${JSON.stringify(value)?.slice(0, 200)}`)
}

export const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex')

// `n` bytes of lines of text that do not repeat, and always the same.
export function text(n) {
  const block = crypto
    .createHash('shake256', { outputLength: 48 << 10 })
    .update('text')
    .digest('base64')
  const line = `${block.match(/.{1,120}/g).join('\n')}\n`
  const parts = []
  for (let have = 0, i = 0; have < n; i++) {
    const part = Buffer.from(`${i}\n${line}`)
    parts.push(part)
    have += part.length
  }
  return Buffer.concat(parts).subarray(0, n)
}

// `n` bytes of any value.
export const noise = (n) =>
  crypto.createHash('shake256', { outputLength: n }).update('noise').digest()

// A number of seconds that only one command sleeps.
let marks = 0
export const mark = () => `${70000 + (process.pid % 9000)}.${++marks}`

// Processes of all boxes whose words hold this text, but zombies.
export function running(words) {
  const found = []
  for (const pid of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    try {
      const argv = fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')
      if (!argv.includes(words)) continue
      const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
      if (!'ZX'.includes(stat.slice(stat.lastIndexOf(')') + 2)[0])) found.push(Number(pid))
    } catch {
      // It has gone meanwhile.
    }
  }
  return found
}

// Are they all gone, soon?
export const gone = (words, ms = 3000) => until(() => running(words).length === 0, ms)
