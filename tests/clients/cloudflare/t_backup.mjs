// Backups by the SDK: its routes, and createBackup() into a bucket that is a Map. The older one has
// none. Its restoreBackup() from such a bucket runs unsquashfs by itself, so what is restored here is
// what the bucket has, by the way that it goes with a real one.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { check, done, noise } from './tap.mjs'
import { failsWith, versions } from './sandbox.mjs'

const D = process.env.BOX_FILES

// What Cloudflare's runtime has besides.
globalThis.FixedLengthStream ??= class extends TransformStream {
  constructor() {
    super()
  }
}
class Bucket {
  kept = new Map()
  async put(key, value) {
    const body = typeof value === 'string' ? value : await new Response(value).arrayBuffer()
    this.kept.set(key, Buffer.from(body))
    return {}
  }
  async get(key) {
    return this.kept.get(key)
  }
  async head(key) {
    return this.kept.has(key) ? { size: this.kept.get(key).length } : null
  }
  async delete(key) {
    this.kept.delete(key)
  }
  async list() {
    return { objects: [] }
  }
  async createMultipartUpload() {
    throw new Error('not needed')
  }
  async resumeMultipartUpload() {
    throw new Error('not needed')
  }
}

function fill(path) {
  fs.mkdirSync(`${path}/sub/node_modules`, { recursive: true })
  fs.writeFileSync(`${path}/a`, 'one', { mode: 0o640 })
  fs.writeFileSync(`${path}/sub/noise`, noise(200000))
  fs.writeFileSync(`${path}/sub/x.log`, 'log')
  fs.writeFileSync(`${path}/sub/node_modules/m`, 'm')
  fs.symlinkSync('a', `${path}/link`)
}
const names = (path) => fs.readdirSync(path, { recursive: true }).sort()

for (const { v, client, make, old } of await versions('http', 'backup')) {
  if (old) continue
  const session = `backup-${v}`

  await check(`${v}: an archive, and back`, async () => {
    const path = `${D}/one`
    fill(path)
    const before = names(path)
    const archive = '/var/backups/one.sqsh'
    const r = await client.backup.createArchive(path, archive, session)
    assert.deepEqual([r.success, r.archivePath, r.sizeBytes > 100000], [true, archive, true])
    fs.rmSync(`${path}/a`)
    fs.writeFileSync(`${path}/new`, '')
    const back = await client.backup.restoreArchive(path, archive, session)
    assert.deepEqual([back.success, back.dir], [true, path])
    assert.deepEqual(names(path), before)
    assert.equal((fs.statSync(`${path}/a`).mode & 0o777).toString(8), '640')
    assert.ok(fs.readFileSync(`${path}/sub/noise`).equals(noise(200000)))
    assert.equal(fs.readlinkSync(`${path}/link`), 'a')
  })

  await check(`${v}: what is left out`, async () => {
    const path = `${D}/two`
    fill(path)
    const options = {
      excludes: ['node_modules', '*.log'],
      compression: { format: 'gzip', threads: 2 },
    }
    await client.backup.createArchive(path, '/var/backups/two.sqsh', session, options)
    await client.backup.restoreArchive(path, '/var/backups/two.sqsh', session)
    assert.deepEqual(names(path), ['a', 'link', 'sub', 'sub/noise'])
    const other = { compression: { format: 'zstd' } }
    await failsWith(
      client.backup.createArchive(path, '/var/backups/two.sqsh', session, other),
      'INVALID_BACKUP_CONFIG',
    )
  })

  await check(`${v}: createBackup, and what it has put into the bucket`, async () => {
    const path = `${D}/three`
    fill(path)
    const before = names(path)
    const bucket = new Bucket()
    const sb = await make({ BACKUP_BUCKET: bucket })
    const made = await sb.createBackup({ dir: path, name: 'three', localBucket: true })
    const key = [...bucket.kept.keys()].find((k) => k.includes(made.id) && !k.endsWith('.json'))
    assert.ok(bucket.kept.get(key).length > 100000)
    fs.rmSync(path, { recursive: true })
    const archive = '/var/backups/three.sqsh'
    await sb.writeFile(archive, bucket.kept.get(key).toString('base64'), { encoding: 'base64' })
    await client.backup.restoreArchive(path, archive, session)
    assert.deepEqual(names(path), before)
  })

  await check(`${v}: errors`, async () => {
    const path = `${D}/one`
    await failsWith(
      client.backup.createArchive('/etc', '/var/backups/x', session),
      'INVALID_BACKUP_CONFIG',
    )
    await failsWith(client.backup.createArchive(path, '/tmp/x', session), 'INVALID_BACKUP_CONFIG')
    await failsWith(
      client.backup.createArchive(`${D}/none`, '/var/backups/x', session),
      'BACKUP_CREATE_FAILED',
    )
    await failsWith(
      client.backup.restoreArchive(path, '/var/backups/none', session),
      'BACKUP_NOT_FOUND',
    )
  })
}

done()
