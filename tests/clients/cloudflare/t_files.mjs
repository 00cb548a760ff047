// Files by the SDK, over HTTP and over one WebSocket.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { check, done, noise, sha256, text } from './tap.mjs'
import { events, failsWith, versions } from './sandbox.mjs'

const D = process.env.BOX_FILES
let dirs = 0
function dir() {
  const path = `${D}/f${++dirs}`
  fs.mkdirSync(path)
  return path
}
const mode = (path) => (fs.statSync(path).mode & 0o7777).toString(8)

for (const transport of ['http', 'websocket'])
  for (const { v, sdk, sandbox: sb, client, old } of await versions(transport, 'files')) {
    const name = `${v}, ${transport}`

    await check(`${name}: writeFile, readFile`, async () => {
      const path = `${dir()}/deep/er/a.txt`
      const r = await sb.writeFile(path, 'héllo\n"\\\u0001\u{1f600}\n')
      assert.deepEqual([r.success, r.path], [true, path])
      assert.equal(fs.readFileSync(path, 'utf8'), 'héllo\n"\\\u0001\u{1f600}\n')
      assert.equal(mode(path), '644')
      const f = await sb.readFile(path)
      assert.equal(f.content, 'héllo\n"\\\u0001\u{1f600}\n')
      assert.deepEqual(
        [f.success, f.encoding, f.isBinary, f.mimeType, f.size],
        [true, 'utf-8', false, 'text/plain', fs.statSync(path).size],
      )
      const b = await sb.readFile(path, { encoding: 'base64' })
      assert.deepEqual(
        [b.isBinary, Buffer.from(b.content, 'base64')],
        [true, fs.readFileSync(path)],
      )
    })

    await check(`${name}: base64, and what is no text`, async () => {
      const path = `${dir()}/noise`
      const data = noise(300000)
      await sb.writeFile(path, data.toString('base64'), { encoding: 'base64' })
      assert.ok(fs.readFileSync(path).equals(data))
      const f = await sb.readFile(path)
      assert.deepEqual([f.isBinary, f.encoding, f.size], [true, 'base64', 300000])
      assert.ok(Buffer.from(f.content, 'base64').equals(data))
      await failsWith(sb.writeFile(path, 'no base64!', { encoding: 'base64' }), 'VALIDATION_FAILED')
      assert.ok(fs.readFileSync(path).equals(data))
    })

    await check(`${name}: source code is text, without the program file`, async () => {
      const path = dir()
      for (const file of ['a.py', 'a.go', 'Makefile', '.env', 'a.pem', 'a.sql', 'a.ts', 'a.rs']) {
        await sb.writeFile(`${path}/${file}`, `# ${file}\n`)
        const f = await sb.readFile(`${path}/${file}`)
        assert.deepEqual([f.content, f.encoding], [`# ${file}\n`, 'utf-8'], file)
      }
    })

    await check(`${name}: a stream of text`, async () => {
      const path = `${dir()}/a.md`
      const data = `${text(500000)}ü€\u{1f600}`
      fs.writeFileSync(path, data)
      const all = await events(sdk, await sb.readFileStream(path))
      assert.deepEqual([all[0].type, all.at(-1).type], ['metadata', 'complete'])
      const { content, metadata } = await sdk.collectFile(await sb.readFileStream(path))
      assert.equal(content, data)
      assert.deepEqual(
        [metadata.mimeType, metadata.isBinary, metadata.size],
        ['text/markdown', false, Buffer.byteLength(data)],
      )
    })

    await check(`${name}: a stream of 40 MB`, async () => {
      const path = `${dir()}/large`
      const data = noise(40_000_000)
      fs.writeFileSync(path, data)
      const { content, metadata } = await sdk.collectFile(await sb.readFileStream(path))
      assert.equal(sha256(content), sha256(data))
      assert.equal(metadata.isBinary, true)
      const e = await failsWith(sb.readFile(path), 'FILE_TOO_LARGE')
      assert.deepEqual(
        [(e.errorResponse ?? e).context.actualSize, (e.errorResponse ?? e).context.maxSize],
        [40_000_000, 33554432],
      )
    })

    if (transport === 'http' && !old)
      await check(`${name}: a stream of 1 GiB`, async () => {
        const path = `${dir()}/huge`
        fs.writeFileSync(path, 'begin')
        fs.truncateSync(path, 2 ** 30)
        let bytes = 0
        for await (const chunk of sdk.streamFile(await sb.readFileStream(path))) bytes += chunk.length
        assert.equal(bytes, 2 ** 30)
        fs.rmSync(path)
      })

    await check(`${name}: a stream that nobody reads to its end`, async () => {
      const path = `${dir()}/large`
      fs.writeFileSync(path, noise(8_000_000))
      const reader = (await sb.readFileStream(path)).getReader()
      await reader.read()
      await reader.cancel()
      assert.equal((await sb.exec('echo on')).stdout.trim(), 'on')
    })

    if (transport === 'http')
      await check(`${name}: 60 MB in one request`, async () => {
        const path = `${dir()}/large.txt`
        const data = text(60_000_000).toString()
        await sb.writeFile(path, data)
        assert.equal(sha256(fs.readFileSync(path)), sha256(data))
      })

    await check(`${name}: mkdir`, async () => {
      const path = dir()
      await failsWith(sb.mkdir(`${path}/a/b`), 'FILESYSTEM_ERROR')
      const r = await sb.mkdir(`${path}/a/b`, { recursive: true })
      assert.deepEqual([r.success, r.path, r.recursive], [true, `${path}/a/b`, true])
      assert.ok(fs.statSync(`${path}/a/b`).isDirectory())
      await failsWith(sb.mkdir(`${path}/a`), 'FILESYSTEM_ERROR')
    })

    await check(`${name}: rename, move, delete, exists`, async () => {
      const path = dir()
      fs.writeFileSync(`${path}/a`, '1')
      fs.mkdirSync(`${path}/d`)
      const r = await sb.renameFile(`${path}/a`, `${path}/b`)
      assert.deepEqual([r.path, r.newPath], [`${path}/a`, `${path}/b`])
      const m = await sb.moveFile(`${path}/b`, `${path}/d/c`)
      assert.deepEqual([m.path, m.newPath], [`${path}/b`, `${path}/d/c`])
      assert.deepEqual(
        [(await sb.exists(`${path}/d/c`)).exists, (await sb.exists(`${path}/b`)).exists],
        [true, false],
      )
      await failsWith(sb.deleteFile(`${path}/d`), 'IS_DIRECTORY')
      assert.equal((await sb.deleteFile(`${path}/d/c`)).success, true)
      await failsWith(sb.deleteFile(`${path}/d/c`), 'FILE_NOT_FOUND')
      await failsWith(sb.renameFile(`${path}/x`, `${path}/y`), 'FILE_NOT_FOUND')
    })

    await check(`${name}: listFiles`, async () => {
      const path = dir()
      fs.mkdirSync(`${path}/sub`)
      fs.writeFileSync(`${path}/sub/deep`, '12345')
      fs.writeFileSync(`${path}/.hidden`, '')
      fs.writeFileSync(`${path}/run`, 'x', { mode: 0o755 })
      fs.symlinkSync('run', `${path}/link`)
      const names = (r) => r.files.map((f) => `${f.type}:${f.relativePath}`).sort()
      const plain = await sb.listFiles(path)
      assert.deepEqual(names(plain), ['directory:sub', 'file:run', 'symlink:link'])
      assert.deepEqual([plain.count, plain.path], [3, path])
      const all = await sb.listFiles(path, { recursive: true, includeHidden: true })
      assert.deepEqual(names(all), [
        'directory:sub',
        'file:.hidden',
        'file:run',
        'file:sub/deep',
        'symlink:link',
      ])
      const deep = all.files.find((f) => f.name === 'deep')
      assert.deepEqual(
        [deep.absolutePath, deep.size, deep.mode, deep.permissions.executable],
        [`${path}/sub/deep`, 5, 'rw-r--r--', false],
      )
      assert.ok(
        Math.abs(new Date(deep.modifiedAt) - fs.statSync(`${path}/sub/deep`).mtime) < 86400_000,
      )
      await failsWith(sb.listFiles(`${path}/none`), 'FILE_NOT_FOUND')
      await failsWith(sb.listFiles(`${path}/run`), 'NOT_DIRECTORY')
    })

    await check(`${name}: relative paths go where the session is`, async () => {
      const path = dir()
      await sb.exec(`cd ${path}`)
      await sb.writeFile('here.txt', 'x')
      assert.equal(fs.readFileSync(`${path}/here.txt`, 'utf8'), 'x')
      assert.equal((await sb.readFile('./here.txt')).content, 'x')
      await sb.exec('mkdir sub && cd sub')
      assert.equal((await sb.exists('../here.txt')).exists, true)
    })

    await check(`${name}: errors have classes`, async () => {
      const e = await failsWith(sb.readFile(`${D}/none`), 'FILE_NOT_FOUND')
      assert.equal(e.constructor.name, 'FileNotFoundError')
      assert.equal((e.errorResponse ?? e).context.path, `${D}/none`)
      await assert.rejects(async () => {
        for await (const chunk of sdk.streamFile(await sb.readFileStream(`${D}/none`))) void chunk
      })
      await failsWith(sb.readFile(''), 'VALIDATION_FAILED')
      if (!old) await failsWith(client.files.mkdir('a\0b', 's'), 'VALIDATION_FAILED')
    })

    await check(`${name}: 50 files at once`, async () => {
      const path = dir()
      const n = [...Array(50).keys()]
      await Promise.all(n.map((i) => sb.writeFile(`${path}/${i}`, `${i}`.repeat(1000))))
      const all = await Promise.all(n.map((i) => sb.readFile(`${path}/${i}`)))
      assert.ok(all.every((f, i) => f.content === `${i}`.repeat(1000)))
    })
  }

done()
