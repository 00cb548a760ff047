// Commands by the SDK, and what a session remembers of them.
import assert from 'node:assert/strict'
import { check, done } from './tap.mjs'
import { events, failsWith, printed, versions } from './sandbox.mjs'

for (const { v, sdk, sandbox: sb, client, make, old } of await versions()) {
  const exec = (command, session, options) => client.commands.execute(command, session + v, options)

  await check(`${v}: ping, version`, async () => {
    await client.utils.ping()
    assert.equal(await client.utils.getVersion(), '0.12.10')
  })

  await check(`${v}: output, errors, exit codes`, async () => {
    const r = await sb.exec('echo hi; echo err >&2; (exit 3)')
    assert.deepEqual([r.success, r.exitCode, r.stdout, r.stderr], [false, 3, 'hi', 'err'])
    assert.equal((await sb.exec('true')).success, true)
    assert.equal((await sb.exec('no-such-program')).exitCode, 127)
    assert.equal(r.command, 'echo hi; echo err >&2; (exit 3)')
    assert.match(r.timestamp, /^\d{4}-.*Z$/)
  })

  await check(`${v}: folder, variables and functions stay`, async () => {
    await sb.exec('cd /tmp; export A=1; B=2; f() { echo f; }')
    assert.equal((await sb.exec('pwd; echo $A $B; f')).stdout, '/tmp\n1 2\nf')
  })

  await check(`${v}: env and cwd of one command`, async () => {
    const r = await sb.exec('echo $X; pwd', { env: { X: "it's" }, cwd: '/usr' })
    assert.equal(r.stdout, "it's\n/usr")
    assert.equal((await sb.exec('echo ${X-none}; pwd')).stdout, 'none\n/tmp')
  })

  await check(`${v}: setEnvVars`, async () => {
    await sb.setEnvVars({ ZED: 'it\'s "so" $HOME' })
    assert.equal(
      (await sb.exec('echo "$ZED"; sh -c \'echo "$ZED"\'')).stdout,
      Array(2).fill('it\'s "so" $HOME').join('\n'),
    )
    if (!old) {
      await sb.setEnvVars({ ZED: undefined })
      assert.equal((await sb.exec('echo ${ZED-none}')).stdout, 'none')
    }
  })

  await check(`${v}: a timeout`, async () => {
    const began = Date.now()
    const e = await exec('echo x >&2; sleep 30', 'timed', { timeoutMs: 300 }).then(
      () => null,
      (e) => e,
    )
    assert.match(e.message, /timeout after 300ms/)
    assert.equal((await exec('echo on', 'timed')).stdout, 'on')
    assert.ok(Date.now() - began < 3000)
  })

  await check(`${v}: a shell that exits`, async () => {
    const e = await exec('exit 7', 'exits').then(
      () => null,
      (e) => e,
    )
    assert.match(e.message, /exit code 7/)
    if (!old) {
      assert.equal(e.code, 'SESSION_TERMINATED')
      assert.equal(e.errorResponse.context.exitCode, 7)
    }
    assert.equal((await exec('echo on', 'exits')).stdout, 'on')
  })

  await check(`${v}: here-documents, unpaired quotes`, async () => {
    assert.equal((await sb.exec('cat <<X\nhey\nX')).stdout, 'hey')
    const r = await sb.exec('echo "x')
    assert.ok(r.exitCode > 0 && r.stderr)
    assert.equal((await sb.exec('echo on')).stdout, 'on')
  })

  await check(`${v}: much output`, async () => {
    const r = await sb.exec('seq 1000000')
    assert.ok(r.stdout.startsWith('1\n2\n') && r.stdout.endsWith('\n1000000'))
  })

  await check(`${v}: onOutput`, async () => {
    const got = []
    const r = await sb.exec('echo a; echo b >&2; (exit 4)', {
      stream: true,
      onOutput: (s, d) => got.push([s, d]),
    })
    assert.equal(r.exitCode, 4)
    assert.deepEqual(got.sort(), [
      ['stderr', 'b\n'],
      ['stdout', 'a\n'],
    ])
  })

  await check(`${v}: execStream`, async () => {
    await sb.exec('S=state')
    const began = Date.now()
    const all = await events(
      sdk,
      await sb.execStream('echo 1; echo $S; sleep 0.3; echo e >&2; exit 5'),
    )
    assert.equal(all[0].type, 'start')
    assert.equal(printed(all, 'stdout'), '1\nstate\n')
    assert.equal(printed(all, 'stderr'), 'e\n')
    assert.deepEqual([all.at(-1).type, all.at(-1).exitCode], ['complete', 5])
    assert.ok(Date.now() - began < 2000)
  })

  await check(`${v}: partial lines come at once`, async () => {
    const times = []
    for await (const e of sdk.parseSSEStream(await sb.execStream('printf a; sleep 0.4; printf b')))
      if (e.type === 'stdout') times.push([Date.now(), e.data])
    assert.deepEqual(
      times.map((t) => t[1]),
      ['a', 'b'],
    )
    assert.ok(times[1][0] - times[0][0] > 300)
  })

  await check(`${v}: a stream of an empty command`, async () => {
    await failsWith(client.commands.executeStream('', 'streams'), 'INVALID_COMMAND')
  })

  await check(`${v}: eight at once`, async () => {
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        (async () => {
          const out = []
          for (let n = 0; n < 20; n++) out.push((await exec(`echo ${i}-${n}`, `par${i}`)).stdout)
          return out.every((o, n) => o === `${i}-${n}`)
        })(),
      ),
    )
    assert.deepEqual(all, Array(8).fill(true))
  })

  if (!old)
    await check(`${v}: without a session`, async () => {
      const none = await make()
      const box = sdk.getSandbox({ idFromName: (n) => n, get: () => none }, 'none', {
        enableDefaultSession: false,
      })
      await box.exec('X=1; cd /')
      const r = await box.exec('echo ${X-none}')
      assert.equal(r.stdout, 'none\n')
    })
}
done()
