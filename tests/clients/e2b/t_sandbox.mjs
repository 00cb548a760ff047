// Sandboxes by the SDK and a control plane: made, found, given tokens and variables, ended.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import {
  AuthenticationError,
  E2B,
  Sandbox,
  SandboxNotFoundError,
  TimeoutError,
  getSignature,
} from 'e2b'
import { ControlPlane, VERSION } from './control-plane.mjs'
import { Raw } from './raw.mjs'
import { check, done, fails, gone, mark, running, until } from './tap.mjs'

const plane = await new ControlPlane().start()
Object.assign(process.env, plane.env)
// Is this process below that one?
function isOf(pid, ancestor) {
  while (pid > 1 && pid !== ancestor)
    pid = Number(
      fs
        .readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/^.*\) \S /s, '')
        .split(' ')[0],
    )
  return pid === ancestor
}
const address = (sbx) => `http://127.0.0.1:${plane.sandboxes.get(sbx.sandboxId).port}`

const sbx = await Sandbox.create({
  metadata: { project: 'a b&c', n: '1' },
  envs: { GLOBAL: 'g', BOTH: 'global' },
  timeoutMs: 120_000,
})

await check('it runs, as the user of the template, in the home', async () => {
  assert.match(sbx.sandboxId, /^i[0-9a-f]+$/)
  assert.equal(await sbx.isRunning(), true)
  const r = await sbx.commands.run('id -un; pwd; echo ~')
  const [user, pwd, home] = r.stdout.trim().split('\n')
  assert.deepEqual([user, pwd], ['user', home])
  assert.equal((await sbx.commands.run('id -un', { user: 'root' })).stdout, 'root\n')
})

await check('its variables reach every command; those of a call win', async () => {
  const r = await sbx.commands.run('echo $GLOBAL $BOTH', { envs: { BOTH: 'call' } })
  assert.equal(r.stdout, 'g call\n')
  let out = ''
  const t = await sbx.pty.create({
    cols: 80,
    rows: 24,
    onData: (d) => {
      out += Buffer.from(d)
    },
  })
  await sbx.pty.sendInput(t.pid, Buffer.from('echo "<$GLOBAL"">"; exit\n'))
  await t.wait()
  assert.match(out, /<g>/)
})

await check('commands know where they are', async () => {
  const r = await sbx.commands.run('echo $E2B_SANDBOX $E2B_SANDBOX_ID')
  assert.equal(r.stdout, `true ${sbx.sandboxId}\n`)
})

await check("files are the user's", async () => {
  await sbx.files.write('mine', 'x')
  const i = await sbx.files.getInfo('mine')
  assert.deepEqual([i.owner, i.group, i.mode], ['user', 'user', 0o644])
  await sbx.files.write('roots', 'x', { user: 'root' })
  assert.equal((await sbx.files.getInfo('roots', { user: 'root' })).owner, 'root')
  assert.equal(await sbx.files.exists('roots'), false)
})

await check('getInfo and list of the control plane', async () => {
  const i = await sbx.getInfo()
  assert.deepEqual(
    [i.sandboxId, i.metadata, i.envdVersion, i.state],
    [sbx.sandboxId, { project: 'a b&c', n: '1' }, VERSION, 'running'],
  )
  const found = await Sandbox.list({ query: { metadata: { project: 'a b&c' } } }).nextItems()
  assert.deepEqual(
    found.map((s) => s.sandboxId),
    [sbx.sandboxId],
  )
  assert.deepEqual(
    await Sandbox.list({ query: { metadata: { project: 'other' } } }).nextItems(),
    [],
  )
})

await check('metrics make sense', async () => {
  const [m] = await sbx.getMetrics()
  const meminfo = Object.fromEntries(
    fs
      .readFileSync('/proc/meminfo', 'utf8')
      .match(/^\w+:\s+\d+/gm)
      .map((l) => l.split(/:\s+/)),
  )
  assert.ok(Math.abs(m.timestamp - Date.now()) < 5000)
  assert.equal(m.memTotal, Number(meminfo.MemTotal) * 1024)
  assert.ok(m.memUsed > 0 && m.memUsed < m.memTotal, `${m.memUsed}`)
  assert.ok(m.memCache > 0 && m.memCache < m.memTotal, `${m.memCache}`)
  assert.ok(m.cpuCount >= 1 && m.cpuUsedPct >= 0 && m.cpuUsedPct <= 100, JSON.stringify(m))
  assert.ok(m.diskTotal > 0 && m.diskUsed > 0 && m.diskUsed <= m.diskTotal, JSON.stringify(m))
})

await check('metrics: a busy CPU shows', async () => {
  await sbx.getMetrics()
  await sbx.commands.run('timeout 0.6 sh -c "while :; do :; done" || true')
  const [m] = await sbx.getMetrics()
  assert.ok(m.cpuUsedPct > 20, `${m.cpuUsedPct}`)
})

await check('connect: the same sandbox', async () => {
  const same = await Sandbox.connect(sbx.sandboxId)
  await sbx.files.write('shared', 'seen')
  assert.equal(await same.files.read('shared'), 'seen')
  const h = await sbx.commands.run('sleep 60', { background: true })
  assert.equal(await same.commands.kill(h.pid), true)
  await h.wait().catch(() => {})
  assert.equal(await (await sbx.connect()).isRunning(), true)
  await fails(Sandbox.connect('inone'), SandboxNotFoundError)
})

await check('a client object with options of its own', async () => {
  const client = new E2B({
    apiKey: plane.apiKey,
    apiUrl: plane.apiUrl,
    sandboxUrl: plane.sandboxUrl,
  })
  const same = await client.Sandbox.connect(sbx.sandboxId)
  assert.equal((await same.commands.run('echo hi')).stdout, 'hi\n')
  await fails(
    Sandbox.connect(sbx.sandboxId, { apiKey: `e2b_${'0'.repeat(40)}` }),
    AuthenticationError,
  )
})

// --- tokens

await check('without the token nobody gets in, but for /health', async () => {
  const url = address(sbx)
  for (const headers of [
    {},
    { 'x-access-token': 'wrong' },
    { authorization: `Bearer ${sbx.envdAccessToken}` },
  ]) {
    const raw = new Raw(url, headers)
    const calls = [
      raw.call('process.Process/List', {}),
      raw.ask('GET', '/metrics'),
      raw.ask('GET', '/envs'),
      raw.call('filesystem.Filesystem/Stat', { path: '/' }),
      raw.ask('GET', '/files?path=/etc/passwd'),
      raw.ask('POST', '/files?path=/tmp/x', {
        body: 'x',
        headers: { 'content-type': 'application/octet-stream' },
      }),
    ]
    for (const a of await Promise.all(calls)) {
      assert.equal(a.status, 401, a.text)
      assert.equal(a.json.code, 401)
      assert.ok(a.json.message)
    }
    const s = await raw.open('process.Process/Start', { process: { cmd: '/bin/true' } })
    assert.equal(s.status, 401)
    s.close()
    assert.equal((await raw.ask('GET', '/health')).status, 204)
  }
})

await check('a wrong token is an AuthenticationError', async () => {
  const wrong = new Sandbox({
    sandboxId: sbx.sandboxId,
    envdVersion: VERSION,
    envdAccessToken: 'wrong',
    sandboxUrl: address(sbx),
  })
  await Promise.all(
    [
      wrong.commands.run('true'),
      wrong.files.read('/etc/passwd'),
      wrong.files.list('/'),
      wrong.files.watchDir('/tmp', () => {}),
    ].map((call) => fails(call, AuthenticationError)),
  )
})

const direct = () =>
  new Sandbox({
    sandboxId: sbx.sandboxId,
    envdVersion: VERSION,
    envdAccessToken: sbx.envdAccessToken,
    sandboxUrl: address(sbx),
  })

await check('signed URLs: down, up, for a user, until a time', async () => {
  const d = direct()
  await d.files.write('signed', 'content')
  for (const opts of [
    {},
    { user: 'user' },
    { useSignatureExpiration: 60 },
    { user: 'user', useSignatureExpiration: 60 },
  ]) {
    const got = await fetch(await d.downloadUrl('signed', opts))
    assert.deepEqual([got.status, await got.text()], [200, 'content'])
    const form = new FormData()
    form.append('file', new Blob([JSON.stringify(opts)]), 'x')
    const sent = await fetch(await d.uploadUrl(`up/${opts.user ?? 'default'}`, opts), {
      method: 'POST',
      body: form,
    })
    assert.equal(sent.status, 200, await sent.text())
    assert.equal(await d.files.read(`up/${opts.user ?? 'default'}`), JSON.stringify(opts))
  }
})

await check('signed URLs: odd paths', async () => {
  const d = direct()
  for (const path of ['/tmp/../tmp/a b?c#d', 'héllo 日本', 'plus+and%41']) {
    await d.files.write(path, path)
    const got = await fetch(await d.downloadUrl(path))
    assert.deepEqual([got.status, await got.text()], [200, path])
    await d.files.remove(path)
  }
})

const refused = async (url, opts, message) => {
  const a = await fetch(url, opts)
  const told = await a.json()
  assert.deepEqual([a.status, told.code], [401, 401])
  assert.match(told.message, message)
}
await check('signed URLs: what is wrong with one is said', async () => {
  const d = direct()
  const good = new URL(await d.downloadUrl('signed', { useSignatureExpiration: 60 }))
  const change = (how) => {
    const u = new URL(good)
    how(u.searchParams)
    return u
  }
  await refused(
    change((q) => q.delete('signature')),
    {},
    /missing signature query parameter/,
  )
  await refused(
    change((q) => q.set('signature', 'v1_wrong')),
    {},
    /invalid signature/,
  )
  await refused(
    change((q) => q.set('signature', `${q.get('signature').slice(0, -1)}x`)),
    {},
    /invalid signature/,
  )
  await refused(
    change((q) => q.set('path', 'other')),
    {},
    /invalid signature/,
  )
  await refused(
    change((q) => q.set('username', 'root')),
    {},
    /invalid signature/,
  )
  await refused(
    change((q) => q.set('signature_expiration', '9999999999')),
    {},
    /invalid signature/,
  )
  await refused(
    change((q) => q.delete('signature_expiration')),
    {},
    /invalid signature/,
  )
  await refused(good, { method: 'POST', body: new FormData() }, /invalid signature/)
  await refused(
    await d.downloadUrl('signed', { useSignatureExpiration: -10 }),
    {},
    /signature is already expired/,
  )
  const forged = await getSignature({
    path: 'signed',
    operation: 'read',
    envdAccessToken: 'another',
  })
  const url = new URL(await d.downloadUrl('signed'))
  url.searchParams.set('signature', forged.signature)
  await refused(url, {}, /invalid signature/)
  // A wrong token is not made good by a right signature.
  await refused(good, { headers: { 'x-access-token': 'wrong' } }, /./)
})

// --- a channel that dies

await check('commands, files, token and variables outlive the channel', async () => {
  const h = await sbx.commands.run('echo before; sleep 1.5; echo after; exit 5', {
    background: true,
  })
  const ended = h.wait().catch((e) => e)
  await until(() => h.stdout)
  const [role] = running('pinnace: channel').filter((pid) =>
    isOf(pid, plane.sandboxes.get(sbx.sandboxId).process.pid),
  )
  process.kill(role, 'SIGKILL')
  assert.ok((await ended) instanceof Error)
  const again = await sbx.commands.connect(h.pid)
  const e = await again.wait().catch((e) => e)
  assert.deepEqual([e.exitCode, e.stdout], [5, 'after\n'], String(e))
  assert.equal((await sbx.commands.run('echo $GLOBAL; id -un')).stdout, 'g\nuser\n')
  assert.equal((await new Raw(address(sbx)).call('process.Process/List', {})).status, 401)
})

// --- times and ends

await check('setTimeout moves the end', async () => {
  await sbx.setTimeout(200_000)
  assert.ok(Math.abs((await sbx.getInfo()).endAt - Date.now() - 200_000) < 5000)
})

await check('a sandbox whose time is over is gone, and its commands with it', async () => {
  const short = await Sandbox.create({ timeoutMs: 30_000 })
  const m = mark()
  const h = await short.commands.run(`sleep ${m}`, { background: true })
  assert.ok(await until(() => running(m).length))
  await short.setTimeout(1000)
  const e = await h.wait().catch((e) => e)
  assert.ok(e instanceof TimeoutError, String(e))
  assert.ok(await gone(m))
  assert.equal(await short.isRunning(), false)
})

await check('kill: gone for who runs, reads, asks', async () => {
  const m = mark()
  const h = await sbx.commands.run(`sleep ${m}`, { background: true })
  assert.ok(await until(() => running(m).length))
  const waits = h.wait().catch((e) => e)
  assert.equal(await sbx.kill(), true)
  assert.ok((await waits) instanceof TimeoutError, String(await waits))
  assert.ok(await gone(m))
  assert.equal(await sbx.isRunning(), false)
  assert.equal(await sbx.kill(), false)
  await fails(sbx.getInfo(), SandboxNotFoundError)
  assert.ok((await sbx.commands.run('true').catch((e) => e)) instanceof Error)
  await fails(sbx.files.read('/etc/passwd'), TimeoutError)
  await fails(sbx.setTimeout(1000), SandboxNotFoundError)
})

await check('five at once, apart from each other', async () => {
  const all = await Promise.all(
    Array.from({ length: 5 }, (_, i) => Sandbox.create({ envs: { N: `${i}` } })),
  )
  const told = await Promise.all(
    all.map((s) => s.commands.run('echo $N; sleep 0.2; pgrep -c bash; true')),
  )
  assert.deepEqual(
    told.map((r) => r.stdout),
    ['0\n1\n', '1\n1\n', '2\n1\n', '3\n1\n', '4\n1\n'],
  )
  const seen = await Sandbox.list({ limit: 2 })
  const ids = []
  while (seen.hasNext) ids.push(...(await seen.nextItems()).map((s) => s.sandboxId))
  assert.ok(
    all.every((s) => ids.includes(s.sandboxId)) && new Set(ids).size === ids.length,
    `${ids}`,
  )
  assert.deepEqual(await Promise.all(all.map((s) => s.kill())), [true, true, true, true, true])
})

await check("older agents' ways: the SDK names the user itself", async () => {
  const old = await new ControlPlane({ version: '0.3.5' }).start()
  const s = await Sandbox.create({
    apiUrl: old.apiUrl,
    sandboxUrl: old.sandboxUrl,
    apiKey: old.apiKey,
  })
  assert.equal((await s.commands.run('id -un')).stdout, 'user\n')
  await s.files.write('f', 'x')
  assert.equal((await s.files.getInfo('f')).owner, 'user')
  await s.kill()
  await old.stop()
})

await plane.stop()
done()
