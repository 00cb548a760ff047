// The services of a box (t_services.ini), as the SDK sees them: processes with a tag.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { CommandExitError, NotFoundError, Sandbox, SandboxError } from 'e2b'
import { Raw, printed } from './raw.mjs'
import { check, done, fails, until } from './tap.mjs'

const D = process.env.BOX_FILES
const { commands } = await Sandbox.create()
// Numbers of the ticks in a log, whose lines begin with the time.
const ticks = (log) => [...log.matchAll(/^\d{4}-\S+ tick (\d+)$/gm)].map((m) => Number(m[1]))
const raw = new Raw(process.env.E2B_SANDBOX_URL)
const tagged = async (tag) => (await commands.list()).find((p) => p.tag === tag)

await check('they are in the list, beside commands', async () => {
  const h = await commands.run('sleep 60', { background: true })
  assert.ok(await until(async () => (await tagged('ticker')) && (await tagged('once'))))
  const all = await commands.list()
  assert.deepEqual(all.map((p) => p.tag).sort(), ['once', 'ticker', undefined])
  assert.equal((await tagged('ticker')).cmd, 'ticker')
  await h.kill()
})

await check('connect: what it prints from now on', async () => {
  const { pid } = await tagged('ticker')
  let out = ''
  const h = await commands.connect(pid, {
    onStdout: (s) => {
      out += s
    },
  })
  assert.equal(h.pid, pid)
  assert.ok(await until(() => ticks(out).length >= 4), out)
  assert.deepEqual(
    ticks(out),
    ticks(out).map((_, i) => ticks(out)[0] + i),
  )
  await h.disconnect()
})

await check('by its tag, from its beginning', async () => {
  const s = await raw.open('process.Process/Connect', { process: { tag: 'ticker' }, replay: true })
  assert.equal((await s.next()).event.start.pid, (await tagged('ticker')).pid)
  const seen = []
  while (ticks(`${printed(seen)}`).length < 3) seen.push(await s.next())
  assert.deepEqual(ticks(`${printed(seen)}`).slice(0, 3), [1, 2, 3])
  s.close()
})

await check('its end', async () => {
  const h = await commands.connect((await tagged('once')).pid)
  fs.writeFileSync(`${D}/go`, '')
  const e = await fails(h.wait(), CommandExitError)
  assert.equal(e.exitCode, 3)
  assert.match(e.stdout, /^\S+ last words\n$/)
  assert.ok(await until(async () => !(await tagged('once'))))
  await fails(commands.connect(h.pid), NotFoundError)
})

await check('a client does not end or feed them', async () => {
  const { pid } = await tagged('ticker')
  assert.equal(await commands.kill(pid), false)
  assert.ok((await commands.sendStdin(pid, 'x').catch((e) => e)) instanceof SandboxError)
  assert.equal((await tagged('ticker')).pid, pid)
})

done()
