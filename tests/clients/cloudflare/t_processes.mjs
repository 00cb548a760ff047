// Processes by the SDK: started, waited for, ended.
import assert from 'node:assert/strict'
import net from 'node:net'
import { check, done, gone, mark, until } from './tap.mjs'
import { events, failsWith, printed, versions } from './sandbox.mjs'

// A port that nobody has. The box shares ours.
const freePort = () =>
  new Promise((resolve) => {
    const s = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = s.address()
      s.close(() => resolve(port))
    })
  })
const server = (port) =>
  `node -e "require('http').createServer((q,r)=>r.writeHead(q.url==='/slow'?503:204).end())` +
  `.listen(${port},'127.0.0.1',()=>console.log('listening on ${port}'))"`

for (const { v, sdk, sandbox: sb, old } of await versions()) {
  await check(`${v}: startProcess, getProcess, listProcesses, logs`, async () => {
    const p = await sb.startProcess('echo out; echo err >&2; sleep 30', { processId: `first-${v}` })
    assert.equal(p.id, `first-${v}`)
    assert.ok(p.pid > 1)
    assert.ok(await until(async () => (await p.getLogs()).stderr === 'err\n'))
    assert.deepEqual([(await p.getLogs()).stdout, await p.getStatus()], ['out\n', 'running'])
    const listed = await sb.listProcesses()
    assert.ok(
      listed.some((x) => x.id === p.id && x.status === 'running' && x.startTime instanceof Date),
    )
    assert.equal((await sb.getProcess(p.id)).command, 'echo out; echo err >&2; sleep 30')
    if (old) await failsWith(sb.getProcess('nope'), 'PROCESS_NOT_FOUND')
    else assert.equal(await sb.getProcess('nope'), null)
    await p.kill()
    assert.equal(await p.getStatus(), 'killed')
    assert.equal((await sb.getProcess(p.id)).exitCode, 143)
  })

  await check(`${v}: a process begins as its session is`, async () => {
    await sb.exec('cd /usr; export W=ww')
    const p = await sb.startProcess('pwd; echo $W $X', { env: { X: 'xx' } })
    assert.ok(await until(async () => (await p.getStatus()) === 'completed'))
    assert.equal((await p.getLogs()).stdout, '/usr\nww xx\n')
    const q = await sb.startProcess('pwd', { cwd: '/tmp' })
    assert.ok(await until(async () => (await q.getLogs()).stdout === '/tmp\n'))
  })

  await check(`${v}: waitForLog`, async () => {
    const p = await sb.startProcess('echo begin; sleep 0.3; echo "ready: 42"; sleep 30')
    const { line, match } = await p.waitForLog(/ready: (\d+)/, 5000)
    assert.deepEqual([line, match[1]], ['ready: 42', '42'])
    assert.equal((await p.waitForLog('begin', 1000)).line, 'begin')
    await assert.rejects(p.waitForLog('never', 300))
    await p.kill()
  })

  await check(`${v}: waitForLog of one that ends`, async () => {
    const p = await sb.startProcess('echo bye; exit 3')
    await assert.rejects(p.waitForLog('never', 5000), /exit/i)
  })

  await check(`${v}: waitForPort`, async () => {
    const port = await freePort()
    const p = await sb.startProcess(`sleep 0.3; ${server(port)}`)
    await p.waitForPort(port, { timeout: 10000 })
    await p.waitForPort(port, { mode: 'tcp', timeout: 5000 })
    await p.waitForPort(port, { path: '/slow', status: 503, timeout: 5000 })
    await p.kill()
  })

  await check(`${v}: waitForPort of one that ends`, async () => {
    const p = await sb.startProcess('exit 3')
    await assert.rejects(p.waitForPort(await freePort(), { timeout: 5000 }), /exit/i)
  })

  await check(`${v}: waitForExit`, async () => {
    const p = await sb.startProcess('sleep 0.3; exit 7')
    if (p.waitForExit) assert.equal((await p.waitForExit(5000)).exitCode, 7)
    const q = await sb.startProcess('sleep 30')
    const waited = q.waitForExit?.(5000)
    await q.kill()
    if (waited) assert.equal((await waited).exitCode, 143)
  })

  await check(`${v}: streamProcessLogs`, async () => {
    const p = await sb.startProcess(
      'for i in 1 2 3; do echo $i; sleep 0.1; done; echo e >&2; exit 2',
    )
    const all = await events(sdk, await sb.streamProcessLogs(p.id))
    assert.equal(printed(all, 'stdout'), '1\n2\n3\n')
    assert.equal(printed(all, 'stderr'), 'e\n')
    assert.deepEqual([all.at(-1).type, all.at(-1).exitCode], ['exit', 2])
    await failsWith(sb.streamProcessLogs('nope'), 'PROCESS_NOT_FOUND')
  })

  await check(`${v}: kill takes the whole tree`, async () => {
    const m = mark()
    const p = await sb.startProcess(`sh -c 'sleep ${m} & sleep ${m} & wait' & echo up; wait`)
    await p.waitForLog('up', 5000)
    assert.ok(!(await gone(`sleep ${m}`, 50)))
    await p.kill()
    assert.ok(await gone(`sleep ${m}`))
    await failsWith(sb.killProcess(p.id), 'COMMAND_NOT_FOUND')
    await failsWith(sb.killProcess('nope'), 'PROCESS_NOT_FOUND')
  })

  await check(`${v}: killAllProcesses`, async () => {
    const m = mark()
    await sb.killAllProcesses()
    for (let i = 0; i < 3; i++) await sb.startProcess(`sleep ${m}`)
    assert.equal(await sb.killAllProcesses(), 3)
    assert.ok(await gone(`sleep ${m}`))
    assert.equal(await sb.killAllProcesses(), 0)
  })

  if (old)
    await check(`${v}: exposePort`, async () => {
      const own = await sb.client.ports.exposePort(8080, 'exposed', 'web')
      assert.deepEqual([own.port, own.url], [8080, 'http://localhost:8080'])
      const all = await sb.client.ports.getExposedPorts('exposed')
      assert.deepEqual(
        all.ports.map((p) => p.port),
        [8080],
      )
      await failsWith(sb.client.ports.exposePort(8080, 'exposed'), 'PORT_ALREADY_EXPOSED')
      assert.equal((await sb.client.ports.unexposePort(8080, 'exposed')).port, 8080)
      await failsWith(sb.client.ports.unexposePort(8080, 'exposed'), 'PORT_NOT_EXPOSED')
    })

  await check(`${v}: what is not there`, async () => {
    console.error = () => {} // it says so twice
    await assert.rejects(sb.createCodeContext({ language: 'python' }))
    await assert.rejects(sb.runCode('1', { language: 'python' }))
  })
}
done()
