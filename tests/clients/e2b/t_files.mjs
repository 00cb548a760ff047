// Files by the SDK. The box has our file system, so what it did is looked at from here.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import {
  AuthenticationError,
  FileNotFoundError,
  FileType,
  InvalidArgumentError,
  NotEnoughSpaceError,
  Sandbox,
  SandboxError,
} from 'e2b'
import { Raw } from './raw.mjs'
import { check, done, fails, noise, sha256, text, until } from './tap.mjs'

const D = process.env.BOX_FILES
const USER = 61000
const sbx = await Sandbox.create()
const { files } = sbx
const sh = (command, opts) => sbx.commands.run(command, opts)
const home = (await sh('echo ~user')).stdout.trim()
const stat = (path) => fs.lstatSync(path)
const owner = (path) => [stat(path).uid, stat(path).gid]
const bytesOf = async (stream) => {
  const parts = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}
const arrayBuffer = (b) => b.buffer.slice(b.byteOffset, b.byteOffset + b.length)

// --- writing

await check('write: text, and what is told of it', async () => {
  const w = await files.write(`${D}/f.txt`, 'héllo\n')
  assert.deepEqual(w, {
    name: 'f.txt',
    type: FileType.FILE,
    path: `${D}/f.txt`,
    metadata: undefined,
  })
  assert.equal(fs.readFileSync(`${D}/f.txt`, 'utf8'), 'héllo\n')
})

await check('write: each kind of data, multipart and as it is', async () => {
  const body = noise(70000)
  for (const [i, useOctetStream] of [false, true].entries()) {
    const kinds = {
      text: [body.toString('base64'), Buffer.from(body.toString('base64'))],
      buffer: [arrayBuffer(body), body],
      blob: [new Blob([body]), body],
      stream: [new Blob([body]).stream(), body],
      empty: ['', Buffer.alloc(0)],
      none: [new Blob([]).stream(), Buffer.alloc(0)],
    }
    for (const [kind, [data, wanted]] of Object.entries(kinds)) {
      const w = await files.write(`${D}/k${i}/${kind}`, data, { useOctetStream })
      assert.equal(w.path, `${D}/k${i}/${kind}`)
      assert.ok(fs.readFileSync(w.path).equals(wanted), kind)
    }
  }
})

await check('write: gzip on the way', async () => {
  const body = text(300000)
  for (const data of [body.toString(), new Blob([body]), new Blob([body]).stream()]) {
    await files.write(`${D}/gz`, data, { gzip: true })
    assert.ok(fs.readFileSync(`${D}/gz`).equals(body))
  }
  await files.write(`${D}/gz`, '', { gzip: true })
  assert.equal(stat(`${D}/gz`).size, 0)
})

await check(
  'write: a shorter content leaves nothing of the longer one, nor of its mode',
  async () => {
    fs.writeFileSync(`${D}/mode`, 'x'.repeat(10000))
    fs.chmodSync(`${D}/mode`, 0o750)
    for (const useOctetStream of [false, true]) {
      await files.write(`${D}/mode`, 'short', { useOctetStream })
      assert.equal(fs.readFileSync(`${D}/mode`, 'utf8'), 'short')
      assert.equal(stat(`${D}/mode`).mode & 0o7777, 0o750)
    }
  },
)

await check('write: through a symbolic link, which stays one', async () => {
  fs.writeFileSync(`${D}/pointed`, 'old')
  fs.symlinkSync('pointed', `${D}/pointer`)
  await files.write(`${D}/pointer`, 'new')
  assert.ok(stat(`${D}/pointer`).isSymbolicLink())
  assert.equal(fs.readFileSync(`${D}/pointed`, 'utf8'), 'new')
})

await check("write: parents are made, 0755, and all of it is the user's", async () => {
  await files.write(`${D}/p/q/r`, 'x', { user: 'user' })
  for (const path of ['p', 'p/q', 'p/q/r'])
    assert.deepEqual(owner(`${D}/${path}`), [USER, USER], path)
  assert.equal(stat(`${D}/p/q`).mode & 0o777, 0o755)
  assert.equal(stat(`${D}/p/q/r`).mode & 0o777, 0o644)
  await files.write(`${D}/p/root`, 'x', { user: 'root', useOctetStream: true })
  assert.deepEqual(owner(`${D}/p/root`), [0, 0])
})

await check('write: ~ and what is relative is below the home of the user', async () => {
  for (const path of ['rel.txt', 'sub/dir/rel.txt', '~/tilde.txt', './dot.txt']) {
    for (const useOctetStream of [false, true]) {
      const w = await files.write(path, path, { user: 'user', useOctetStream })
      const wanted = `${home}/${path.replace(/^(~|\.)\//, '')}`
      assert.equal(w.path, wanted)
      assert.equal(fs.readFileSync(wanted, 'utf8'), path)
      assert.deepEqual(owner(wanted), [USER, USER])
      assert.equal(await files.read(path, { user: 'user' }), path)
    }
  }
})

await check('write: many at once', async () => {
  const many = [
    { path: `${D}/m/1`, data: '1' },
    { path: `${D}/m/2 é 🚢`, data: new Blob(['22']) },
    { path: `${D}/m/n/3`, data: arrayBuffer(Buffer.from('333')) },
    { path: `${D}/m/empty`, data: '' },
  ]
  for (const opts of [{}, { useOctetStream: true }, { gzip: true }]) {
    fs.rmSync(`${D}/m`, { recursive: true, force: true })
    const told = await files.write(many, opts)
    assert.deepEqual(
      told.map((w) => w.path),
      many.map((m) => m.path),
    )
    const sizes = many.map((m) => fs.readFileSync(m.path, 'utf8'))
    assert.deepEqual(sizes, ['1', '22', '333', ''])
  }
  assert.deepEqual(await files.write([]), [])
  const lots = Array.from({ length: 200 }, (_, i) => ({ path: `${D}/m/lots/${i}`, data: `${i}` }))
  assert.equal((await files.writeFiles(lots)).length, 200)
  assert.ok(lots.every((m) => fs.readFileSync(m.path, 'utf8') === m.data))
})

await check('write: one of many into the home, by a relative name', async () => {
  await files.write(
    [
      { path: 'many/a', data: 'a' },
      { path: `${D}/many-b`, data: 'b' },
    ],
    { user: 'user' },
  )
  assert.equal(fs.readFileSync(`${home}/many/a`, 'utf8'), 'a')
  assert.equal(fs.readFileSync(`${D}/many-b`, 'utf8'), 'b')
})

await check('write: the same file twice in one request', async () => {
  const twice = [
    { path: `${D}/twice`, data: 'a' },
    { path: `${D}/twice`, data: 'b' },
  ]
  await fails(files.write(twice), InvalidArgumentError)
})

await check(
  'write: 16 MiB, multipart and as they are; 64 MiB as a stream; and read again',
  async () => {
    const body = noise(16 << 20)
    for (const useOctetStream of [false, true]) {
      await files.write(`${D}/large`, new Blob([body]), { useOctetStream })
      assert.equal(sha256(fs.readFileSync(`${D}/large`)), sha256(body))
    }
    assert.equal(sha256(await files.read(`${D}/large`, { format: 'bytes' })), sha256(body))
    assert.equal(
      sha256(await files.read(`${D}/large`, { format: 'bytes', gzip: true })),
      sha256(body),
    )
    const parts = [body, body, body, body]
    const hash = sha256(Buffer.concat(parts))
    await files.write(`${D}/big`, new Blob(parts).stream())
    assert.equal(sha256(fs.readFileSync(`${D}/big`)), hash)
    assert.equal(sha256(await bytesOf(await files.read(`${D}/big`, { format: 'stream' }))), hash)
  },
  60,
)

const ODD = [
  'héllo wörld 日本 🚢',
  ' leading and trailing ',
  '#?&%+;=,@!',
  `'single' and $dollar`,
  '%41%2F',
  'tab\there',
  '-rf',
  '*',
  '[a-z]',
  '\\back\\slash',
  'a'.repeat(255),
]
await check('odd names: there and back, in every call', async () => {
  for (const name of ODD) {
    const path = `${D}/odd/${name}`
    for (const useOctetStream of [false, true]) {
      const w = await files.write(path, name, { useOctetStream })
      assert.deepEqual([w.path, w.name], [path, name])
      assert.equal(fs.readFileSync(path, 'utf8'), name)
      assert.equal(await files.read(path), name)
      assert.equal((await files.getInfo(path)).name, name)
      await files.remove(path)
    }
    await files.write([
      { path, data: '1' },
      { path: `${D}/odd/other`, data: '2' },
    ])
    assert.equal(fs.readFileSync(path, 'utf8'), '1')
    assert.ok((await files.list(`${D}/odd`)).some((e) => e.name === name && e.path === path))
    await files.rename(path, `${D}/odd/renamed`)
    assert.equal(await files.exists(path), false)
    assert.equal((await files.rename(`${D}/odd/renamed`, path)).name, name)
    await files.remove(path)
    assert.equal(fs.existsSync(path), false)
  }
})

await check("odd names: quotes and line ends, where the path is the query's", async () => {
  for (const name of ['say "hi"', 'two\nlines', 'car\rriage']) {
    const path = `${D}/odd/${name}`
    for (const useOctetStream of [false, true]) {
      assert.equal((await files.write(path, name, { useOctetStream })).path, path)
      assert.equal(await files.read(path), name)
    }
    assert.ok((await files.list(`${D}/odd`)).some((e) => e.name === name))
    await files.remove(path)
    assert.equal(fs.existsSync(path), false)
  }
})

await check('write: what cannot be', async () => {
  fs.mkdirSync(`${D}/isdir`)
  fs.writeFileSync(`${D}/isfile`, '')
  for (const useOctetStream of [false, true]) {
    const opts = { useOctetStream }
    await fails(files.write(`${D}/isdir`, 'x', opts), InvalidArgumentError)
    assert.ok(
      (await files.write(`${D}/isfile/below`, 'x', opts).catch((e) => e)) instanceof SandboxError,
    )
    assert.ok(
      (await files.write(`${D}/${'n'.repeat(256)}`, 'x', opts).catch((e) => e)) instanceof
        SandboxError,
    )
    await fails(
      files.write(`${D}/x`, 'x', { ...opts, user: 'nobody-here' }),
      AuthenticationError,
      /nobody-here/,
    )
  }
  assert.equal(fs.existsSync(`${D}/x`), false)
})

await check('write: a disk that is full', async () => {
  await sh(`mkdir ${D}/small && mount -t tmpfs -o size=256k none ${D}/small`)
  for (const useOctetStream of [false, true]) {
    await fails(
      files.write(`${D}/small/f`, new Blob([noise(2 << 20)]), { useOctetStream }),
      NotEnoughSpaceError,
    )
  }
  await files.write(`${D}/small/g`, 'fits').catch(() => {})
  await sh(`umount ${D}/small`)
})

await check('write: many requests at once', async () => {
  const all = Array.from({ length: 60 }, (_, i) => `${D}/par/${i}`)
  await Promise.all(all.map((path) => files.write(path, path.repeat(1000))))
  const read = await Promise.all(all.map((path) => files.read(path)))
  assert.ok(all.every((path, i) => read[i] === path.repeat(1000)))
})

// --- reading

await check('read: each format', async () => {
  const body = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  fs.writeFileSync(`${D}/bin`, body)
  for (const gzip of [false, true]) {
    const bytes = await files.read(`${D}/bin`, { format: 'bytes', gzip })
    assert.ok(bytes instanceof Uint8Array)
    assert.ok(body.equals(bytes))
    const blob = await files.read(`${D}/bin`, { format: 'blob', gzip })
    assert.ok(body.equals(Buffer.from(await blob.arrayBuffer())))
    assert.ok(body.equals(await bytesOf(await files.read(`${D}/bin`, { format: 'stream', gzip }))))
    assert.equal(await files.read(`${D}/f.txt`, { gzip }), 'héllo\n')
  }
})

await check('read: nothing, in each format', async () => {
  fs.writeFileSync(`${D}/empty`, '')
  assert.equal(await files.read(`${D}/empty`), '')
  assert.equal((await files.read(`${D}/empty`, { format: 'bytes' })).length, 0)
  assert.equal((await files.read(`${D}/empty`, { format: 'blob' })).size, 0)
  assert.equal((await bytesOf(await files.read(`${D}/empty`, { format: 'stream' }))).length, 0)
})

await check('read: through links', async () => {
  assert.equal(await files.read(`${D}/pointer`), 'new')
})

await check('read: a stream that is given up holds up nobody', async () => {
  for (let i = 0; i < 12; i++) {
    // more than the SDK has connections for
    const stream = await files.read(`${D}/big`, { format: 'stream' })
    const reader = stream.getReader()
    assert.ok((await reader.read()).value.length)
    await reader.cancel()
  }
  assert.equal(await files.read(`${D}/f.txt`), 'héllo\n')
})

await check('read: what cannot be', async () => {
  const e = await fails(files.read(`${D}/none`), FileNotFoundError)
  assert.equal(e.message, `path '${D}/none' does not exist`)
  await fails(files.read(`${D}/none`, { format: 'stream' }), FileNotFoundError)
  await fails(files.read(D), InvalidArgumentError)
  await fails(files.read(`${D}/f.txt`, { user: 'nobody-here' }), AuthenticationError, /nobody-here/)
})

await check("read: the agent's own rights, whoever asks", async () => {
  fs.writeFileSync(`${D}/secret`, 's', { mode: 0o600 })
  assert.equal(await files.read(`${D}/secret`, { user: 'user' }), 's')
})

// --- what is there

await check('getInfo: a file, with all there is to know', async () => {
  fs.writeFileSync(`${D}/info`, '12345')
  fs.chmodSync(`${D}/info`, 0o644)
  fs.chownSync(`${D}/info`, USER, 61001)
  fs.utimesSync(`${D}/info`, 1700000000, 1700000000.5)
  assert.deepEqual(await files.getInfo(`${D}/info`), {
    name: 'info',
    path: `${D}/info`,
    type: FileType.FILE,
    size: 5,
    mode: 0o644,
    permissions: '-rw-r--r--',
    owner: 'user',
    group: 'crew',
    modifiedTime: new Date(1700000000500),
    symlinkTarget: undefined,
    metadata: undefined,
  })
  fs.chownSync(`${D}/info`, 424242, 434343)
  const i = await files.getInfo(`${D}/info`)
  assert.deepEqual([i.owner, i.group], ['424242', '434343'])
})

await check('getInfo: modes as text', async () => {
  const path = `${D}/modes`
  fs.writeFileSync(path, '')
  const wanted = {
    0o000: '----------',
    0o777: '-rwxrwxrwx',
    0o4755: 'urwxr-xr-x',
    0o2755: 'grwxr-xr-x',
    0o1644: 'trw-r--r--',
    0o6711: 'ugrwx--x--x',
  }
  for (const [mode, permissions] of Object.entries(wanted)) {
    fs.chmodSync(path, Number(mode))
    const i = await files.getInfo(path)
    assert.deepEqual([i.permissions, i.mode], [permissions, Number(mode) & 0o777])
  }
})

await check('getInfo: a directory', async () => {
  const i = await files.getInfo(`${D}/isdir`)
  assert.deepEqual(
    [i.type, i.permissions.slice(0, 4), i.name, i.path],
    [FileType.DIR, 'drwx', 'isdir', `${D}/isdir`],
  )
  assert.equal((await files.getInfo('/tmp')).permissions, 'dtrwxrwxrwx')
  assert.equal((await files.getInfo('/')).type, FileType.DIR)
})

await check('getInfo: links are what they point to', async () => {
  fs.writeFileSync(`${D}/target`, '1234567')
  fs.chmodSync(`${D}/target`, 0o640)
  fs.symlinkSync('target', `${D}/tofile`)
  fs.symlinkSync('tofile', `${D}/totofile`)
  fs.symlinkSync('isdir', `${D}/todir`)
  fs.symlinkSync('nothing', `${D}/dangling`)
  const file = await files.getInfo(`${D}/totofile`)
  assert.deepEqual(
    [file.type, file.mode, file.symlinkTarget, file.name],
    [FileType.FILE, 0o640, `${D}/target`, 'totofile'],
  )
  assert.equal(file.permissions, 'Lrwxrwxrwx')
  const dir = await files.getInfo(`${D}/todir`)
  assert.deepEqual([dir.type, dir.symlinkTarget], [FileType.DIR, `${D}/isdir`])
  const none = await files.getInfo(`${D}/dangling`)
  assert.deepEqual([none.type, none.symlinkTarget, none.size], [undefined, `${D}/dangling`, 7])
})

await check('getInfo: what is no file, directory or link', async () => {
  await sh(`mkfifo ${D}/fifo`)
  const i = await files.getInfo(`${D}/fifo`)
  assert.deepEqual([i.type, i.permissions[0]], [undefined, 'p'])
  assert.match((await files.getInfo('/dev/null')).permissions, /^Dcrw/)
})

await check('exists', async () => {
  for (const path of ['f.txt', 'isdir', 'dangling', 'fifo'])
    assert.equal(await files.exists(`${D}/${path}`), true, path)
  assert.equal(await files.exists(`${D}/none`), false)
  assert.equal(await files.exists(`${D}/none/deeper`), false)
  assert.equal(await files.exists('rel.txt', { user: 'user' }), true)
  assert.equal(await files.exists('rel.txt', { user: 'root' }), false)
})

await check('list: one level, deeper, in order', async () => {
  fs.mkdirSync(`${D}/tree/b/c/d`, { recursive: true })
  for (const path of ['a', 'z', 'b/f', 'b/c/f', 'b/c/d/f'])
    fs.writeFileSync(`${D}/tree/${path}`, '')
  fs.symlinkSync('b', `${D}/tree/link`)
  const names = async (depth) =>
    (await files.list(`${D}/tree`, depth && { depth })).map((e) =>
      e.path.slice(`${D}/tree/`.length),
    )
  assert.deepEqual(await names(), ['a', 'b', 'link', 'z'])
  assert.deepEqual(await names(2), ['a', 'b', 'b/c', 'b/f', 'link', 'z'])
  assert.deepEqual(await names(3), ['a', 'b', 'b/c', 'b/c/d', 'b/c/f', 'b/f', 'link', 'z'])
  assert.deepEqual(await names(9), [
    'a',
    'b',
    'b/c',
    'b/c/d',
    'b/c/d/f',
    'b/c/f',
    'b/f',
    'link',
    'z',
  ])
})

await check('list: entries as getInfo has them', async () => {
  for (const e of await files.list(`${D}/tree`, { depth: 2 }))
    assert.deepEqual(e, await files.getInfo(e.path))
})

await check('list: through a link, by the name that was asked', async () => {
  fs.symlinkSync('tree', `${D}/totree`)
  assert.deepEqual(
    (await files.list(`${D}/totree`)).map((e) => e.path),
    ['a', 'b', 'link', 'z'].map((n) => `${D}/totree/${n}`),
  )
})

await check('list: an empty one, a home, the root', async () => {
  assert.deepEqual(await files.list(`${D}/isdir`), [])
  assert.ok((await files.list('', { user: 'user' })).some((e) => e.path === `${home}/rel.txt`))
  assert.ok((await files.list('~', { user: 'user' })).some((e) => e.path === `${home}/rel.txt`))
  assert.ok((await files.list('/')).some((e) => e.path === '/etc'))
})

await check('list: without what has no type', async () => {
  assert.ok(!(await files.list(D)).some((e) => e.name === 'fifo'))
})

await check('list: five thousand', async () => {
  fs.mkdirSync(`${D}/lots`)
  for (let i = 0; i < 5000; i++) fs.writeFileSync(`${D}/lots/${`${i}`.padStart(4, '0')}`, '')
  const all = await files.list(`${D}/lots`)
  assert.deepEqual(
    all.map((e) => Number(e.name)),
    Array.from({ length: 5000 }, (_, i) => i),
  )
})

await check('list: what cannot be', async () => {
  await fails(files.list(`${D}/none`), FileNotFoundError)
  await fails(files.list(`${D}/isfile`), InvalidArgumentError)
  fs.symlinkSync('loop', `${D}/loop`)
  assert.ok((await files.list(`${D}/loop`).catch((e) => e)) instanceof SandboxError)
})

// --- changing

await check('makeDir: made, there, in the way', async () => {
  assert.equal(await files.makeDir(`${D}/mk/a/b`, { user: 'user' }), true)
  assert.equal(await files.makeDir(`${D}/mk/a/b`, { user: 'user' }), false)
  for (const path of ['mk', 'mk/a', 'mk/a/b']) {
    assert.deepEqual(
      [...owner(`${D}/${path}`), stat(`${D}/${path}`).mode & 0o777],
      [USER, USER, 0o755],
    )
  }
  await fails(files.makeDir(`${D}/isfile`), InvalidArgumentError)
  assert.ok((await files.makeDir(`${D}/isfile/below`).catch((e) => e)) instanceof SandboxError)
  assert.equal(await files.makeDir('made', { user: 'user' }), true)
  assert.ok(stat(`${home}/made`).isDirectory())
  assert.equal(await files.makeDir(`${D}/todir`), false)
})

await check('rename: a file, a directory, over a file, with parents', async () => {
  fs.writeFileSync(`${D}/r1`, '1')
  const i = await files.rename(`${D}/r1`, `${D}/rn/deep/r2`)
  assert.deepEqual([i.path, i.name, i.size, i.type], [`${D}/rn/deep/r2`, 'r2', 1, FileType.FILE])
  fs.writeFileSync(`${D}/rn/over`, 'old')
  await files.rename(`${D}/rn/deep/r2`, `${D}/rn/over`)
  assert.equal(fs.readFileSync(`${D}/rn/over`, 'utf8'), '1')
  assert.equal((await files.rename(`${D}/rn`, `${D}/rn2`)).type, FileType.DIR)
  assert.ok(fs.existsSync(`${D}/rn2/over`))
  await fails(files.rename(`${D}/none`, `${D}/other`), FileNotFoundError)
  await files.write('from', 'x', { user: 'user' })
  assert.equal((await files.rename('from', 'to', { user: 'user' })).path, `${home}/to`)
})

await check('rename: onto a directory with something in it is refused', async () => {
  const e = await files.rename(`${D}/f.txt`, `${D}/tree`).catch((e) => e)
  assert.ok(e instanceof SandboxError, String(e))
  assert.ok(fs.existsSync(`${D}/tree/a`) && fs.existsSync(`${D}/f.txt`))
})

await check('rename: from one file system to another', async () => {
  await sh(
    `mkdir -p ${D}/fs && mount -t tmpfs none ${D}/fs && mkdir -p ${D}/fs/d/e && echo hi >${D}/fs/d/e/f && chmod 600 ${D}/fs/d/e/f`,
  )
  await files.rename(`${D}/fs/d`, `${D}/moved`)
  assert.equal(fs.readFileSync(`${D}/moved/e/f`, 'utf8'), 'hi\n')
  assert.equal(stat(`${D}/moved/e/f`).mode & 0o777, 0o600)
  assert.equal(await files.exists(`${D}/fs/d`), false)
  await sh(`umount ${D}/fs`)
})

await check('remove: a file, a tree, a link, nothing', async () => {
  await files.remove(`${D}/rn2`)
  assert.equal(fs.existsSync(`${D}/rn2`), false)
  await files.remove(`${D}/todir`)
  assert.ok(fs.existsSync(`${D}/isdir`))
  await files.remove(`${D}/dangling`)
  assert.equal(await files.exists(`${D}/dangling`), false)
  await files.remove(`${D}/lots`)
  assert.equal(fs.existsSync(`${D}/lots`), false)
  await files.remove(`${D}/never`)
})

// --- metadata

await check(
  'metadata: written, told, listed, moved along, gone with the next content',
  async () => {
    const metadata = { author: 'me', 'x-tag': 'a b=c;d' }
    for (const useOctetStream of [false, true]) {
      const w = await files.write(`${D}/meta`, 'x', { metadata, useOctetStream })
      assert.deepEqual(w.metadata, metadata)
      assert.deepEqual((await files.getInfo(`${D}/meta`)).metadata, metadata)
      assert.deepEqual((await files.list(D)).find((e) => e.name === 'meta').metadata, metadata)
      assert.deepEqual((await files.rename(`${D}/meta`, `${D}/meta2`)).metadata, metadata)
      await files.write(`${D}/meta2`, 'y', { metadata: { other: '1' }, useOctetStream })
      assert.deepEqual((await files.getInfo(`${D}/meta2`)).metadata, { other: '1' })
      await files.write(`${D}/meta2`, 'z', { useOctetStream })
      assert.equal((await files.getInfo(`${D}/meta2`)).metadata, undefined)
    }
  },
)

await check('metadata: of each file of many, and keys are made small', async () => {
  const many = [
    { path: `${D}/me1`, data: '1' },
    { path: `${D}/me2`, data: '2' },
  ]
  for (const w of await files.write(many, { metadata: { 'Owner-Id': 'Abc' } })) {
    assert.deepEqual(w.metadata, { 'owner-id': 'Abc' })
    assert.deepEqual((await files.getInfo(w.path)).metadata, { 'owner-id': 'Abc' })
  }
})

await check('metadata: too much of it is refused', async () => {
  await fails(
    files.write(`${D}/meta3`, 'x', { metadata: { key: 'v'.repeat(4090) } }),
    InvalidArgumentError,
  )
  await fails(
    files.write(`${D}/meta3`, 'x', { metadata: { ['k'.repeat(247)]: 'v' } }),
    InvalidArgumentError,
  )
  await files.write(`${D}/meta3`, 'x', { metadata: { ['k'.repeat(246)]: 'v'.repeat(100) } })
  await fails(
    files.write(`${D}/meta4`, 'x', { metadata: { 'bad key': 'v' } }),
    InvalidArgumentError,
  )
})

await check('metadata: set by another program, whatever that is', async () => {
  const set = (name, value) =>
    sh(`python3 -c 'import os; os.setxattr("${D}/me1", b"user.${name}", b"${value}")'`)
  await set('e2b.by', 'hand')
  await set('other', 'no')
  await set('e2b.', 'nameless')
  await set('e2b.empty', '')
  await set('e2b.odd \\x22\\x5c\\x01', '\\xff\\x22')
  const wanted = { 'owner-id': 'Abc', by: 'hand', empty: '', 'odd "\\\u0001': '\ufffd"' }
  assert.deepEqual((await files.getInfo(`${D}/me1`)).metadata, wanted)
  assert.deepEqual((await files.list(D)).find((e) => e.name === 'me1').metadata, wanted)
})

// --- URLs (with a token: t_sandbox)

await check('URLs without a token: up and down', async () => {
  const up = await sbx.uploadUrl(`${D}/up`)
  const form = new FormData()
  form.append('file', new Blob(['by hand']), 'any-name')
  const sent = await fetch(up, { method: 'POST', body: form })
  assert.equal(sent.status, 200)
  const [told] = JSON.parse(await sent.text())
  assert.deepEqual([told.name, told.path, told.type], ['up', `${D}/up`, 'file'])
  const got = await fetch(await sbx.downloadUrl(`${D}/up`))
  assert.equal(await got.text(), 'by hand')
  await fails(sbx.downloadUrl(`${D}/up`, { useSignatureExpiration: 10 }), InvalidArgumentError)
})

await check('URLs: of a user, and without a path: by the names of the parts', async () => {
  const form = new FormData()
  form.append('file', new Blob(['1']), 'named/one.txt')
  form.append('other', new Blob(['2']), 'not-a-file')
  const sent = await fetch(await sbx.uploadUrl(undefined, { user: 'user' }), {
    method: 'POST',
    body: form,
  })
  assert.deepEqual(
    JSON.parse(await sent.text()).map((w) => w.path),
    [`${home}/named/one.txt`],
  )
  assert.equal(
    await (await fetch(await sbx.downloadUrl('named/one.txt', { user: 'user' }))).text(),
    '1',
  )
})

await check('a download by parts, and only if it is newer', async () => {
  const url = await sbx.downloadUrl(`${D}/big`)
  const part = await fetch(url, { headers: { range: 'bytes=1000-1999' } })
  assert.deepEqual(
    [part.status, part.headers.get('content-range')],
    [206, `bytes 1000-1999/${64 << 20}`],
  )
  assert.ok(
    Buffer.from(await part.arrayBuffer()).equals(fs.readFileSync(`${D}/big`).subarray(1000, 2000)),
  )
  const bad = await fetch(url, { headers: { range: `bytes=${64 << 20}-` } })
  assert.equal(bad.status, 416)
  const same = await fetch(url, {
    headers: { 'if-modified-since': part.headers.get('last-modified') },
  })
  assert.equal(same.status, 304)
})

await check('no file is left open or half made', async () => {
  const names = fs.readdirSync(D).filter((n) => n.startsWith('.'))
  assert.deepEqual(names, [])
  const raw = new Raw(process.env.E2B_SANDBOX_URL)
  assert.ok(
    await until(async () => !(await raw.call('process.Process/List', {})).json.processes?.length),
  )
})

done()
