// gitCheckout by the SDK.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import { check, done, skip } from './tap.mjs'
import { failsWith, versions } from './sandbox.mjs'

const D = process.env.BOX_FILES
const src = `${D}/src.git`
let there = true
try {
  execFileSync('sh', [
    '-ec',
    `git init -q -b trunk ${src}; cd ${src}; git config user.name a; git config user.email a@b
     echo 1 >f; git add f; git commit -qm 1; echo 2 >f; git commit -qam 2; git branch side`,
  ])
} catch {
  there = false
}

if (!there) skip('gitCheckout', 'no git here')
for (const { v, sandbox: sb, old } of there ? await versions('http', 'git') : []) {
  await check(`${v}: a repository`, async () => {
    const to = `${D}/a-${v}`
    const r = await sb.gitCheckout(`file://${src}`, { targetDir: to })
    assert.deepEqual(
      [r.success, r.branch, r.targetDir, r.repoUrl],
      [true, 'trunk', to, `file://${src}`],
    )
    assert.equal(fs.readFileSync(`${to}/f`, 'utf8'), '2\n')
  })

  await check(`${v}: a branch${old ? '' : ', of depth 1'}`, async () => {
    const to = `${D}/b-${v}`
    const options = { targetDir: to, branch: 'side', ...(!old && { depth: 1 }) }
    assert.equal((await sb.gitCheckout(`file://${src}`, options)).branch, 'side')
    const n = await sb.exec(`git -C ${to} rev-list --count HEAD`)
    assert.equal(n.stdout.trim(), old ? '2' : '1', n.stderr)
  })

  await check(`${v}: what cannot be`, async () => {
    const e = await failsWith(
      sb.gitCheckout(`file://${D}/none.git`, { targetDir: `${D}/c-${v}` }),
      'GIT_OPERATION_FAILED',
    )
    assert.match(e.message, /does not/)
    await failsWith(
      sb.gitCheckout(`file://${src}`, { targetDir: `${D}/d-${v}`, branch: 'none' }),
      'GIT_OPERATION_FAILED',
    )
    await failsWith(
      sb.gitCheckout(`file://${src}`, { targetDir: `${D}/a-${v}` }),
      'GIT_OPERATION_FAILED',
    )
    await failsWith(sb.gitCheckout('', { targetDir: `${D}/e-${v}` }), 'INVALID_GIT_URL')
  })

  if (!old)
    await check(`${v}: one that takes too long`, async () => {
      const deaf = http.createServer(() => {}).listen(0, '127.0.0.1')
      await new Promise((resolve) => deaf.once('listening', resolve))
      const url = `http://127.0.0.1:${deaf.address().port}/x.git`
      const e = await failsWith(
        sb.gitCheckout(url, { targetDir: `${D}/f-${v}`, cloneTimeoutMs: 500 }),
        'GIT_OPERATION_FAILED',
      )
      assert.equal((e.errorResponse ?? e).context.exitCode, 124)
      deaf.closeAllConnections()
      deaf.close()
    })
}

done()
