// @e2b/code-interpreter: what it has from the SDK it builds on. The code itself runs in a server of
// its own, on another port, which is not the agent's.
import assert from 'node:assert/strict'
import { CommandExitError, E2B, FileNotFoundError, Sandbox } from '@e2b/code-interpreter'
import { Sandbox as Core, SandboxError } from 'e2b'
import { check, done, fails } from './tap.mjs'

const D = process.env.BOX_FILES
const sbx = await Sandbox.create()

await check('it is the same SDK, not a copy that nobody has tested', async () => {
  assert.ok(sbx instanceof Core)
  assert.equal(await sbx.isRunning(), true)
})

await check('commands, files, terminals', async () => {
  assert.equal((await sbx.commands.run('echo hi')).stdout, 'hi\n')
  await fails(sbx.commands.run('exit 3'), CommandExitError)
  await sbx.files.write(`${D}/a/b`, 'content')
  assert.equal(await sbx.files.read(`${D}/a/b`), 'content')
  await fails(sbx.files.read(`${D}/none`), FileNotFoundError)
  let out = ''
  const t = await sbx.pty.create({
    cols: 80,
    rows: 24,
    onData: (d) => {
      out += Buffer.from(d)
    },
  })
  await sbx.pty.sendInput(t.pid, Buffer.from('echo "t""ty"; exit\n'))
  await t.wait()
  assert.match(out, /tty/)
})

await check('its client object', async () => {
  const other = await new E2B({ debug: true }).Sandbox.create()
  assert.equal((await other.commands.run('echo hi')).stdout, 'hi\n')
})

await check('code is refused at once, with an error', async () => {
  const began = Date.now()
  const e = await sbx.runCode('1 + 1').catch((e) => e)
  assert.ok(e instanceof SandboxError, String(e))
  assert.ok(Date.now() - began < 2000)
})

done()
