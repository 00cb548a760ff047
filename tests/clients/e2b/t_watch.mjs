// Watches by the SDK, and those that are asked for their events, which only other SDKs use.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import {
  FileNotFoundError,
  FileType,
  InvalidArgumentError,
  RateLimitError,
  Sandbox,
  TimeoutError,
} from 'e2b'
import { Raw } from './raw.mjs'
import { check, done, fails, sleep, until } from './tap.mjs'

const D = process.env.BOX_FILES
const sbx = await Sandbox.create()
const raw = new Raw(process.env.E2B_SANDBOX_URL)
let dirs = 0
function dir() {
  const path = `${D}/w${++dirs}`
  fs.mkdirSync(path)
  return path
}

// A watch and what it has told, as "type:name".
async function watch(path, opts) {
  const w = { events: [], all: [] }
  w.handle = await sbx.files.watchDir(
    path,
    (e) => {
      w.all.push(e)
      w.events.push(`${e.type}:${e.name}`)
    },
    opts,
  )
  w.tells = async (...events) =>
    assert.ok(
      await until(() => events.every((e) => w.events.includes(e))),
      `not all of ${events} in ${w.events}`,
    )
  return w
}

await check('create and write', async () => {
  const path = dir()
  const w = await watch(path)
  fs.writeFileSync(`${path}/f`, '1')
  await w.tells('create:f', 'write:f')
  assert.ok(w.events.indexOf('create:f') < w.events.indexOf('write:f'))
  await w.handle.stop()
})

await check('chmod, rename, remove, in their order', async () => {
  const path = dir()
  fs.writeFileSync(`${path}/f`, '1')
  const w = await watch(path)
  fs.chmodSync(`${path}/f`, 0o600)
  fs.renameSync(`${path}/f`, `${path}/g`)
  fs.rmSync(`${path}/g`)
  await w.tells('chmod:f', 'rename:f', 'create:g', 'remove:g')
  const order = ['chmod:f', 'rename:f', 'create:g', 'remove:g'].map((e) => w.events.indexOf(e))
  assert.deepEqual(
    order,
    [...order].sort((a, b) => a - b),
    `${w.events}`,
  )
  await w.handle.stop()
})

await check('what the SDK writes, makes and removes', async () => {
  const path = dir()
  const w = await watch(path)
  await sbx.files.write(`${path}/héllo wörld`, 'x')
  await sbx.files.makeDir(`${path}/d`)
  await sbx.files.rename(`${path}/d`, `${path}/e`)
  await sbx.files.remove(`${path}/e`)
  await w.tells(
    'create:héllo wörld',
    'write:héllo wörld',
    'create:d',
    'rename:d',
    'create:e',
    'remove:e',
  )
  await w.handle.stop()
})

await check('moved in from elsewhere, moved out to elsewhere', async () => {
  const [path, other] = [dir(), dir()]
  fs.writeFileSync(`${other}/in`, '1')
  fs.writeFileSync(`${path}/out`, '1')
  const w = await watch(path)
  fs.renameSync(`${other}/in`, `${path}/in`)
  fs.renameSync(`${path}/out`, `${other}/out`)
  await w.tells('create:in', 'rename:out')
  await w.handle.stop()
})

await check('not what lies deeper, unless asked for', async () => {
  const path = dir()
  fs.mkdirSync(`${path}/a/b`, { recursive: true })
  const flat = await watch(path)
  const deep = await watch(path, { recursive: true })
  fs.writeFileSync(`${path}/a/b/f`, '1')
  fs.writeFileSync(`${path}/last`, '1')
  await deep.tells('create:a/b/f', 'write:a/b/f', 'create:last')
  await flat.tells('create:last')
  assert.ok(!flat.events.some((e) => e.includes('b/f')), `${flat.events}`)
  await flat.handle.stop()
  await deep.handle.stop()
})

await check('recursive: directories that come later, with what is in them by then', async () => {
  const path = dir()
  const w = await watch(path, { recursive: true })
  fs.mkdirSync(`${path}/n/m/o`, { recursive: true })
  fs.writeFileSync(`${path}/n/m/o/f`, 'x')
  await w.tells('create:n', 'create:n/m', 'create:n/m/o', 'create:n/m/o/f')
  fs.writeFileSync(`${path}/n/m/o/g`, 'x')
  await w.tells('create:n/m/o/g', 'write:n/m/o/g')
  fs.renameSync(`${path}/n/m`, `${path}/k`)
  await w.tells('rename:n/m', 'create:k')
  fs.writeFileSync(`${path}/k/o/h`, 'x')
  await w.tells('create:k/o/h')
  await w.handle.stop()
})

await check('recursive: of a directory it is told once', async () => {
  const path = dir()
  const w = await watch(path, { recursive: true })
  const deep = (top, n) => Array.from({ length: n }, (_, i) => `${top}${i}`).join('/')
  // As slow as it is read, so that each one may be found by its event and by reading.
  const make = (top) => {
    for (let i = 1; i <= 40; i++) fs.mkdirSync(`${path}/${deep(top, i)}`)
  }
  for (const top of 'abcdefghijklmnopqrst') {
    make(top)
    await w.tells(`create:${deep(top, 40)}`)
  }
  // The same names again are others.
  fs.rmSync(`${path}/a0`, { recursive: true })
  make('a')
  fs.writeFileSync(`${path}/${deep('a', 40)}/last`, '')
  await w.tells('remove:a0', `create:${deep('a', 40)}/last`)
  const created = w.events.filter((e) => e.startsWith('create:') && !e.endsWith('/last'))
  assert.equal(new Set(created).size, 20 * 40)
  assert.equal(created.length, 21 * 40, `${created}`)
  await w.handle.stop()
})

await check('with entries, where there is one', async () => {
  const path = dir()
  const w = await watch(path, { includeEntry: true })
  fs.writeFileSync(`${path}/f`, '12345')
  fs.chmodSync(`${path}/f`, 0o640)
  await w.tells('create:f', 'write:f', 'chmod:f')
  const entry = w.all.find((e) => e.type === 'chmod').entry
  assert.deepEqual(
    [entry.name, entry.path, entry.type, entry.size, entry.mode, entry.permissions, entry.owner],
    ['f', `${path}/f`, FileType.FILE, 5, 0o640, '-rw-r-----', 'root'],
  )
  fs.rmSync(`${path}/f`)
  await w.tells('remove:f')
  assert.equal(w.all.find((e) => e.type === 'remove').entry, undefined)
  await w.handle.stop()
})

await check('without entries, none', async () => {
  const path = dir()
  const w = await watch(path)
  fs.writeFileSync(`${path}/f`, '1')
  await w.tells('create:f')
  assert.ok(w.all.every((e) => e.entry === undefined))
  await w.handle.stop()
})

await check('stop: onExit without an error, and nothing more', async () => {
  const path = dir()
  let exits = []
  const w = await watch(path, {
    onExit: (e) => {
      exits.push(e)
    },
  })
  fs.writeFileSync(`${path}/f`, '1')
  await w.tells('create:f')
  await w.handle.stop()
  const n = w.all.length
  fs.writeFileSync(`${path}/g`, '1')
  assert.ok(await until(() => exits.length))
  await sleep(150)
  assert.equal(w.all.length, n)
})

await check('timeoutMs: onExit with a TimeoutError', async () => {
  let why
  await watch(dir(), {
    timeoutMs: 400,
    onExit: (e) => {
      why = e
    },
  })
  assert.ok(await until(() => why))
  assert.ok(why instanceof TimeoutError, String(why))
})

await check('a directory that is not there, and what is none', async () => {
  await fails(watch(`${D}/none`), FileNotFoundError)
  fs.writeFileSync(`${D}/plain`, '')
  await fails(watch(`${D}/plain`), InvalidArgumentError)
})

await check('relative to the home of the user', async () => {
  const home = (await sbx.commands.run('echo ~user')).stdout.trim()
  await sbx.files.makeDir('watched', { user: 'user' })
  const w = await watch('watched', { user: 'user' })
  await sbx.files.write(`${home}/watched/f`, 'x')
  await w.tells('create:f')
  await w.handle.stop()
})

await check('ten thousand events, none lost', async () => {
  const path = dir()
  const w = await watch(path)
  for (let i = 0; i < 5000; i++) fs.writeFileSync(`${path}/f${i}`, 'x')
  const wanted = Array.from({ length: 5000 }, (_, i) => `create:f${i}`)
  assert.ok(
    await until(() => w.events.filter((e) => e.startsWith('create:')).length === 5000, 10000),
    `${w.events.length}`,
  )
  assert.deepEqual(
    w.events.filter((e) => e.startsWith('create:')),
    wanted,
  )
  await w.handle.stop()
})

await check('twenty watches at once, each told of its own', async () => {
  const paths = Array.from({ length: 20 }, dir)
  const all = await Promise.all(paths.map((path) => watch(path)))
  paths.forEach((path, i) => fs.writeFileSync(`${path}/f${i}`, ''))
  for (const [i, w] of all.entries()) {
    await w.tells(`create:f${i}`)
    assert.equal(w.events.filter((e) => e.startsWith('create:')).length, 1)
    await w.handle.stop()
  }
})

await check(
  'watches that were stopped leave room for new ones',
  async () => {
    const path = dir()
    for (let i = 0; i < 100; i++) await (await watch(path)).handle.stop()
    await (await watch(path)).handle.stop()
  },
  30,
)

// --- to be asked

const FS = 'filesystem.Filesystem'
const ask = async (id) => {
  const a = await raw.call(`${FS}/GetWatcherEvents`, { watcherId: id })
  assert.equal(a.status, 200, a.text)
  return (a.json.events ?? []).map((e) => `${e.type}:${e.name}`)
}

await check('a watcher: made, asked, emptied, removed', async () => {
  const path = dir()
  const made = await raw.call(`${FS}/CreateWatcher`, { path })
  assert.equal(made.status, 200, made.text)
  const id = made.json.watcherId
  assert.match(id, /^w/)
  assert.deepEqual(await ask(id), [])
  fs.writeFileSync(`${path}/f`, '1')
  fs.rmSync(`${path}/f`)
  const seen = []
  assert.ok(
    await until(async () => {
      seen.push(...(await ask(id)))
      return seen.includes('EVENT_TYPE_REMOVE:f')
    }),
  )
  assert.ok(seen.includes('EVENT_TYPE_CREATE:f') && seen.includes('EVENT_TYPE_WRITE:f'), `${seen}`)
  assert.equal(seen.filter((e) => e === 'EVENT_TYPE_CREATE:f').length, 1)
  assert.deepEqual(await ask(id), [])
  const removed = await raw.call(`${FS}/RemoveWatcher`, { watcherId: id })
  assert.deepEqual([removed.status, removed.json], [200, {}])
  for (const rpc of ['GetWatcherEvents', 'RemoveWatcher']) {
    const a = await raw.call(`${FS}/${rpc}`, { watcherId: id })
    assert.deepEqual([a.status, a.json.code], [404, 'not_found'])
  }
})

await check('a watcher: recursive, with entries', async () => {
  const path = dir()
  fs.mkdirSync(`${path}/a`)
  const made = await raw.call(`${FS}/CreateWatcher`, { path, recursive: true, includeEntry: true })
  const id = made.json.watcherId
  fs.writeFileSync(`${path}/a/f`, '123')
  const seen = []
  const all = async () => {
    seen.push(...((await raw.call(`${FS}/GetWatcherEvents`, { watcherId: id })).json.events ?? []))
    return seen.find((e) => e.type === 'EVENT_TYPE_WRITE' && e.entry?.size === '3')
  }
  const event = await until(all)
  assert.deepEqual(
    [event?.name, event?.entry.path, event?.entry.type],
    ['a/f', `${path}/a/f`, 'FILE_TYPE_FILE'],
    JSON.stringify(seen),
  )
  await raw.call(`${FS}/RemoveWatcher`, { watcherId: id })
})

await check('a watcher of nothing', async () => {
  const none = await raw.call(`${FS}/CreateWatcher`, { path: `${D}/none` })
  assert.deepEqual([none.status, none.json.code], [404, 'not_found'])
  const plain = await raw.call(`${FS}/CreateWatcher`, { path: `${D}/plain` })
  assert.deepEqual([plain.status, plain.json.code], [400, 'invalid_argument'])
})

await check(
  'sixty-four of them; one more is refused, and takes the place of one that goes',
  async () => {
    const path = dir()
    const make = () => raw.call(`${FS}/CreateWatcher`, { path })
    const ids = []
    let a
    while (ids.length < 100 && (a = await make()).status === 200) ids.push(a.json.watcherId)
    assert.deepEqual([ids.length, a.status, a.json.code], [64, 429, 'resource_exhausted'])
    await fails(watch(path), RateLimitError)
    await raw.call(`${FS}/RemoveWatcher`, { watcherId: ids.pop() })
    assert.ok(await until(async () => (a = await make()).status === 200))
    for (const id of [...ids, a.json.watcherId])
      await raw.call(`${FS}/RemoveWatcher`, { watcherId: id })
    let w
    assert.ok(await until(async () => (w = await watch(path).catch(() => null))))
    await w.handle.stop()
  },
)

await check('a watcher holds what happened while nobody asked', async () => {
  const path = dir()
  const id = (await raw.call(`${FS}/CreateWatcher`, { path })).json.watcherId
  for (let i = 0; i < 500; i++) fs.writeFileSync(`${path}/f${i}`, 'x')
  const seen = []
  await until(async () => {
    seen.push(...(await ask(id)))
    return seen.filter((e) => e.startsWith('EVENT_TYPE_CREATE')).length >= 500
  })
  assert.deepEqual(
    seen.filter((e) => e.startsWith('EVENT_TYPE_CREATE')),
    Array.from({ length: 500 }, (_, i) => `EVENT_TYPE_CREATE:f${i}`),
  )
  await raw.call(`${FS}/RemoveWatcher`, { watcherId: id })
})

await check('the stream: start, events, keepalives', async () => {
  const path = dir()
  const s = await raw.open(`${FS}/WatchDir`, { path }, { 'keepalive-ping-interval': '1' })
  assert.deepEqual(await s.next(), { start: {} })
  fs.mkdirSync(`${path}/d`)
  assert.deepEqual(await s.next(), { filesystem: { name: 'd', type: 'EVENT_TYPE_CREATE' } })
  assert.deepEqual(await s.next(), { keepalive: {} })
  s.close()
})

await check('the stream: its deadline', async () => {
  const s = await raw.open(`${FS}/WatchDir`, { path: dir() }, { 'connect-timeout-ms': '300' })
  assert.deepEqual(await s.rest(), [{ start: {} }])
  assert.equal(s.end.error.code, 'deadline_exceeded')
})

done()
