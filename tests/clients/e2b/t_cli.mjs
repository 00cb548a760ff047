// The command line client on a sandbox of the control plane.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { Sandbox } from 'e2b'
import { ControlPlane } from './control-plane.mjs'
import { check, done, noise, sha256, until } from './tap.mjs'

const D = process.env.BOX_FILES
const plane = await new ControlPlane().start()
Object.assign(process.env, plane.env)

// A home of its own; it has just looked for a newer version of itself.
const seen = `${D}/config/simple-update-notifier`
fs.mkdirSync(seen, { recursive: true })
fs.writeFileSync(`${seen}/e2b__cli.json`, JSON.stringify({ lastUpdateCheck: Date.now() + 1e9 }))
const env = {
  ...process.env,
  HOME: D,
  XDG_CONFIG_HOME: `${D}/config`,
  NO_COLOR: '1',
  TERM: 'xterm',
}
const CLI = ['node', new URL('node_modules/@e2b/cli/dist/index.js', import.meta.url).pathname]

// {code, out, err} of a command line; `input`: what is piped into it, or 'ignore'.
function run(argv, input = 'ignore') {
  const p = spawn(argv[0], argv.slice(1), {
    env,
    stdio: [input === 'ignore' ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  const told = { p, out: '', err: '' }
  p.stdout.on('data', (d) => {
    told.out += d
  })
  p.stderr.on('data', (d) => {
    told.err += d
  })
  p.stdin?.on('error', () => {})
  if (input !== 'ignore' && input !== 'open') p.stdin.end(input)
  told.ended = new Promise((resolve) =>
    p.on('close', (code) => resolve(Object.assign(told, { code }))),
  )
  return told
}
const e2b = (...words) => run([...CLI, 'sandbox', ...words]).ended
const sbx = await Sandbox.create({ envs: { GLOBAL: 'g' }, metadata: { name: 'one' } })
const id = sbx.sandboxId

await check('exec: output, variables, user, folder, exit code', async () => {
  const [plain, more] = await Promise.all([
    e2b('exec', id, 'echo out; echo err >&2; echo $GLOBAL; id -un'),
    e2b(
      'exec',
      '-u',
      'root',
      '-c',
      '/usr',
      '-e',
      'A=x y',
      id,
      'sh',
      '-c',
      'echo "$A"; id -un; pwd; exit 9',
    ),
  ])
  assert.deepEqual([plain.code, plain.out, plain.err], [0, 'out\ng\nuser\n', 'err\n'])
  assert.deepEqual([more.code, more.out], [9, 'x y\nroot\n/usr\n'], more.err)
})

await check('exec: what is piped into it', async () => {
  const body = noise(1 << 20)
  const [sum, some, deaf] = await Promise.all([
    run([...CLI, 'sandbox', 'exec', id, 'sha256sum'], body).ended,
    run([...CLI, 'sandbox', 'exec', id, 'head -c 10 >/dev/null; echo enough'], body).ended,
    run([...CLI, 'sandbox', 'exec', id, 'exec <&-; sleep 1; echo deaf'], body).ended,
  ])
  assert.equal(sum.out.split(' ')[0], sha256(body), sum.err)
  assert.equal(some.out, 'enough\n', some.err)
  assert.equal(deaf.out, 'deaf\n', deaf.err)
})

await check('exec: in the background, and killed', async () => {
  const r = await e2b('exec', '-b', id, 'sleep 61; echo never')
  assert.equal(r.code, 0, r.err)
  const pid = Number(r.err.trim())
  const found = (await sbx.commands.list()).find((p) => p.pid === pid)
  assert.deepEqual(found?.args, ['-l', '-c', 'sleep 61; echo never'])
  assert.equal(await sbx.commands.kill(pid), true)
})

await check('exec: a signal to it ends the command', async () => {
  const r = run([...CLI, 'sandbox', 'exec', id, 'echo up; sleep 62; echo never'])
  assert.ok(await until(() => r.out.includes('up'), 10000), r.err)
  r.p.kill('SIGTERM')
  await r.ended
  assert.ok(
    await until(
      async () => !(await sbx.commands.list()).some((p) => p.args.join().includes('sleep 62')),
    ),
  )
})

await check('connect: a terminal', async () => {
  const line = [...CLI, 'sandbox', 'connect', id].join(' ')
  const r = run(['script', '-qefc', line, '/dev/null'], 'open')
  assert.ok(await until(() => r.out.includes('$ '), 10000), r.out + r.err)
  r.p.stdin.write('echo "te""rm:$(id -un):$(tty)"\r')
  assert.ok(await until(() => /term:user:\/dev\/pts\/\d+/.test(r.out), 5000), r.out)
  r.p.stdin.write('exit\r')
  await r.ended
  assert.match(r.out, /Closing terminal connection/)
})

await check('list, metrics', async () => {
  const [list, metrics] = await Promise.all([
    e2b('list', '-f', 'json'),
    e2b('metrics', id, '--format', 'json'),
  ])
  assert.deepEqual(
    JSON.parse(list.out).map((s) => [s.sandboxId, s.metadata]),
    [[id, { name: 'one' }]],
    list.err,
  )
  const m = JSON.parse(metrics.out.trim().split('\n')[0])
  assert.ok(m.memTotal > 0 && m.diskTotal > 0 && m.cpuCount > 0, metrics.out + metrics.err)
})

await check('kill', async () => {
  const r = await e2b('kill', id)
  assert.equal(r.code, 0, r.err)
  assert.equal(await sbx.isRunning(), false)
})

await plane.stop()
done()
