// Watches by the SDK; the older one has none.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { check, done, until } from './tap.mjs'
import { failsWith, versions } from './sandbox.mjs'

const D = process.env.BOX_FILES
let dirs = 0
function dir() {
  const path = `${D}/w${++dirs}`
  fs.mkdirSync(path)
  return path
}

for (const transport of ['http', 'websocket'])
  for (const { v, sdk, sandbox: sb, old } of await versions(transport, 'watch')) {
    if (old) continue
    const name = `${v}, ${transport}`
    const watch = async (path, options) => {
      const w = { all: [], told: [] }
      w.stream = await sb.watch(path, options)
      w.ended = (async () => {
        for await (const e of sdk.parseSSEStream(w.stream, w.abort?.signal)) {
          w.all.push(e)
          w.told.push(`${e.eventType ?? e.type} ${e.path?.slice(path.length) ?? ''}`.trim())
        }
      })()
      w.tells = async (...events) =>
        assert.ok(
          await until(() => events.every((e) => w.told.includes(e))),
          `not all of ${events} in ${w.told}`,
        )
      return w
    }

    await check(`${name}: what happens to a file`, async () => {
      const path = dir()
      const w = await watch(path)
      fs.writeFileSync(`${path}/a`, '1')
      await w.tells('create /a', 'modify /a')
      fs.chmodSync(`${path}/a`, 0o600)
      fs.renameSync(`${path}/a`, `${path}/b`)
      fs.rmSync(`${path}/b`)
      await w.tells('attrib /a', 'move_from /a', 'move_to /b', 'delete /b')
      fs.mkdirSync(`${path}/sub`)
      await w.tells('create /sub')
      assert.equal(w.all.find((e) => e.path === `${path}/sub`).isDirectory, true)
      assert.deepEqual([w.all[0].type, w.all[0].path], ['watching', path])
      assert.ok(w.all[0].watchId)
    })

    await check(`${name}: what the SDK writes is told as it was written`, async () => {
      const path = dir()
      await sb.writeFile(`${path}/a`, '1')
      const w = await watch(path)
      await sb.writeFile(`${path}/a`, '22')
      await sb.writeFile(`${path}/new/b`, '1')
      await w.tells('modify /a', 'create /new', 'create /new/b')
      assert.ok(!w.told.some((e) => e.includes('pinnace')), `${w.told}`)
    })

    await check(`${name}: include, exclude, only here`, async () => {
      const path = dir()
      fs.mkdirSync(`${path}/node_modules`)
      fs.mkdirSync(`${path}/src`)
      const some = await watch(path, { include: ['*.ts'] })
      const usual = await watch(path)
      const flat = await watch(path, { recursive: false, exclude: ['*.log'] })
      fs.writeFileSync(`${path}/node_modules/x.js`, '')
      fs.writeFileSync(`${path}/src/a.ts`, '')
      fs.writeFileSync(`${path}/src/a.js`, '')
      fs.writeFileSync(`${path}/x.log`, '')
      fs.writeFileSync(`${path}/last.ts`, '')
      await Promise.all([some, usual, flat].map((w) => w.tells('create /last.ts')))
      assert.deepEqual(
        [some, usual, flat].map((w) => w.told.filter((e) => e.startsWith('create'))),
        [
          ['create /src/a.ts', 'create /last.ts'],
          ['create /src/a.ts', 'create /src/a.js', 'create /x.log', 'create /last.ts'],
          ['create /last.ts'],
        ],
      )
    })

    await check(`${name}: the end of what is watched`, async () => {
      const path = dir()
      const w = await watch(path)
      fs.rmSync(path, { recursive: true })
      await w.tells('stopped')
      await w.ended
    })

    await check(`${name}: errors`, async () => {
      const both = { include: ['a'], exclude: ['b'] }
      if (transport === 'http') {
        await failsWith(sb.watch(`${D}/none`), 'FILE_NOT_FOUND')
        await failsWith(sb.watch(dir(), both), 'VALIDATION_FAILED')
      } else {
        // There the SDK has no classes for errors of streams.
        await assert.rejects(sb.watch(`${D}/none`), /404.*FILE_NOT_FOUND/)
        await assert.rejects(sb.watch(dir(), both), /400.*VALIDATION_FAILED/)
      }
    })

    await check(`${name}: checkChanges`, async () => {
      const path = dir()
      const first = await sb.checkChanges(path)
      assert.deepEqual([first.success, first.status], [true, 'unchanged'])
      const same = await sb.checkChanges(path, { since: first.version })
      assert.deepEqual([same.status, same.version], ['unchanged', first.version])
      fs.writeFileSync(`${path}/a`, '1')
      assert.ok(
        await until(
          async () => (await sb.checkChanges(path, { since: first.version })).status === 'changed',
        ),
      )
      const r = await sb.checkChanges(path, { since: 'watch-00000000-1:5' })
      assert.deepEqual([r.status, r.reason], ['resync', 'restarted'])
    })
  }

done()
