// All over one WebSocket: SANDBOX_TRANSPORT=websocket.
import assert from 'node:assert/strict'
import { check, done, gone, mark, running, sleep, until } from './tap.mjs'
import { events, failsWith, printed, versions } from './sandbox.mjs'

const all = await versions('websocket', 'ws')
const silent = all.map(async ({ sdk, make }) =>
  events(sdk, await (await make()).execStream('sleep 32; echo x')),
)

for (const { v, sdk, sandbox: sb, client, make, old } of all) {
  await check(`${v}: exec`, async () => {
    const r = await sb.exec('echo out; echo err >&2; exit_with() { return 3; }; exit_with')
    assert.deepEqual(
      [r.exitCode, r.success, r.stdout.trim(), r.stderr.trim()],
      [3, false, 'out', 'err'],
    )
    await sb.exec('cd /usr; export KEPT=1')
    assert.equal((await sb.exec('echo $KEPT; pwd')).stdout.trim(), '1\n/usr')
    await sb.setEnvVars({ SET: "it's" })
    assert.equal((await sb.exec('echo "$SET"')).stdout.trim(), "it's")
  })

  await check(`${v}: execStream`, async () => {
    const all = await events(
      sdk,
      await sb.execStream('echo "a\\"b\\\\c"; sleep 0.1; echo ü; echo e >&2; (exit 5)'),
    )
    assert.equal(printed(all, 'stdout'), 'a"b\\c\nü\n')
    assert.equal(printed(all, 'stderr'), 'e\n')
    assert.deepEqual([all[0].type, all.at(-1).type, all.at(-1).exitCode], ['start', 'complete', 5])
  })

  await check(`${v}: onOutput`, async () => {
    const seen = []
    const r = await sb.exec('echo 1; echo 2 >&2', {
      stream: true,
      onOutput: (stream, data) => seen.push(`${stream}:${data}`),
    })
    assert.equal(r.exitCode, 0)
    assert.deepEqual(seen.sort(), ['stderr:2\n', 'stdout:1\n'])
  })

  await check(`${v}: 10 MB of output`, async () => {
    const r = await sb.exec('head -c 10000000 /dev/zero | tr "\\0" "\\""')
    assert.equal(r.stdout.length, 10000000)
    const all = await events(sdk, await sb.execStream('seq 1 200000'))
    assert.equal(printed(all, 'stdout').split('\n').length, 200001)
  })

  await check(`${v}: 60 sandboxes' worth of requests at once`, async () => {
    const all = await Promise.all(
      [...Array(60).keys()].map((i) =>
        client.commands.execute(`sleep 0.1; echo ${i}`, `p${i % 20}`),
      ),
    )
    assert.ok(all.every((r, i) => r.stdout.trim() === `${i}`))
  })

  await check(`${v}: a stream is given up, and its command goes on`, async () => {
    const m = mark()
    const stream = await sb.execStream(`echo up; sleep ${m}`)
    const reader = stream.getReader()
    await reader.read()
    await reader.cancel()
    await sleep(200)
    assert.equal(running(`sleep ${m}`).length > 0, true)
    await sb.exec(`pkill -f "sleep ${m}"`)
    assert.ok(await gone(`sleep ${m}`))
  })

  await check(`${v}: processes`, async () => {
    const p = await sb.startProcess('echo begin; sleep 0.2; echo ready; sleep 30')
    assert.equal((await p.waitForLog('ready', 5000)).line, 'ready')
    const ended = p.waitForExit(8000)
    await p.kill()
    assert.equal((await ended).exitCode, 143)
    assert.equal(await p.getStatus(), 'killed')
  })

  await check(`${v}: errors`, async () => {
    await failsWith(
      client.utils
        .createSession({ id: 'twice' })
        .then(() => client.utils.createSession({ id: 'twice' })),
      'SESSION_ALREADY_EXISTS',
    )
    // The SDK has no classes for errors of streams; the older one none at all.
    if (!old) await assert.rejects(sb.execStream(''), /400.*INVALID_COMMAND/)
    await failsWith(sb.exec('exit 7'), 'SESSION_TERMINATED')
    assert.equal((await sb.exec('echo again')).stdout.trim(), 'again')
  })

  await check(`${v}: it is closed when idle, and opened again`, async () => {
    const other = await make()
    assert.equal((await other.exec('echo 1')).stdout.trim(), '1')
    await sleep(1500)
    assert.equal((await other.exec('echo 2')).stdout.trim(), '2')
    assert.ok(await until(async () => (await other.exec('echo 3')).stdout.trim() === '3'))
  })
}

for (const [i, { v }] of all.entries())
  await check(
    `${v}: a stream that says nothing for half a minute`,
    async () => {
      const told = await silent[i]
      assert.deepEqual(
        told.map((e) => e.type),
        ['start', 'stdout', 'complete'],
      )
      assert.equal(printed(told, 'stdout'), 'x\n')
    },
    40,
  )

done()
