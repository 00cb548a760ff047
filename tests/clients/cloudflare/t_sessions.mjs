// Sessions by the SDK.
import assert from 'node:assert/strict'
import { check, done } from './tap.mjs'
import { failsWith, versions } from './sandbox.mjs'

for (const { v, sandbox: sb, client } of await versions()) {
  const id = `made-${v}`

  await check(`${v}: createSession`, async () => {
    const s = await sb.createSession({ id, env: { Q: '1' }, cwd: '/usr' })
    assert.equal((await s.exec('pwd; echo $Q')).stdout, '/usr\n1')
    await s.setEnvVars({ R: '2' })
    assert.equal((await s.exec('cd /; echo $Q $R')).stdout, '1 2')
    assert.equal((await s.exec('pwd')).stdout, '/')
    assert.notEqual((await sb.exec('echo "$Q$R"')).stdout, '12')
  })

  await check(`${v}: getSession`, async () => {
    const s = await sb.getSession(id)
    assert.equal((await s.exec('pwd; echo $R')).stdout, '/\n2')
  })

  await check(`${v}: an id that is taken`, async () => {
    await failsWith(client.utils.createSession({ id }), 'SESSION_ALREADY_EXISTS')
  })

  await check(`${v}: deleteSession`, async () => {
    const r = await sb.deleteSession(id)
    assert.deepEqual([r.success, r.sessionId], [true, id])
    assert.equal((await client.commands.execute('echo ${Q-none}', id)).stdout, 'none')
    await client.utils.deleteSession(id)
    await failsWith(client.utils.deleteSession(id), 'INTERNAL_ERROR')
  })

  await check(`${v}: two sessions run side by side`, async () => {
    const began = Date.now()
    await Promise.all(
      ['one', 'two', 'three'].map((s) => client.commands.execute('sleep 0.5', s + v)),
    )
    assert.ok(Date.now() - began < 1400, `${Date.now() - began} ms`)
  })
}
done()
