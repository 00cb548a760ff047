// The SDK's git helpers, which are commands: on repositories of this box only.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { CommandExitError, GitUpstreamError, Sandbox } from 'e2b'
import { check, done, fails, skip } from './tap.mjs'

const D = process.env.BOX_FILES
const sbx = await Sandbox.create()
const { git, files } = sbx
const [repo, bare, copy] = ['repo', 'bare.git', 'copy'].map((name) => `${D}/${name}`)
const there = await sbx.commands.run('git --version').catch(() => null)
if (!there) {
  skip('git helpers', 'no git')
  done()
}

await check('configureUser, setConfig, getConfig', async () => {
  await git.configureUser('A. Tester', 'a@example.org')
  assert.equal(await git.getConfig('user.name'), 'A. Tester')
  await git.setConfig('core.editor', `ed 'it' "now"`)
  assert.equal(await git.getConfig('core.editor'), `ed 'it' "now"`)
  assert.equal(await git.getConfig('no.such'), undefined)
})

await check('init, status, add, commit', async () => {
  await git.init(repo, { initialBranch: 'main' })
  assert.equal((await git.status(repo)).currentBranch, 'main')
  await files.write([
    { path: `${repo}/a`, data: 'a\n' },
    { path: `${repo}/with space`, data: 'b\n' },
  ])
  let s = await git.status(repo)
  assert.deepEqual([s.untrackedCount, s.hasStaged, s.isClean], [2, false, false])
  await git.add(repo)
  s = await git.status(repo)
  assert.deepEqual([s.stagedCount, s.hasStaged], [2, true])
  await git.commit(repo, 'a message with "quotes" and $dollars', {
    authorName: 'Other',
    authorEmail: 'o@example.org',
  })
  assert.equal((await git.status(repo)).isClean, true)
  const log = await sbx.commands.run('git log --format="%an|%s"', { cwd: repo })
  assert.equal(log.stdout, 'Other|a message with "quotes" and $dollars\n')
})

await check('branches', async () => {
  await git.createBranch(repo, 'topic')
  let b = await git.branches(repo)
  assert.deepEqual([b.branches.sort(), b.currentBranch], [['main', 'topic'], 'topic'])
  await git.checkoutBranch(repo, 'main')
  await git.deleteBranch(repo, 'topic')
  b = await git.branches(repo)
  assert.deepEqual([b.branches, b.currentBranch], [['main'], 'main'])
})

await check('restore and reset', async () => {
  await files.write(`${repo}/a`, 'changed\n')
  await git.restore(repo, { paths: ['a'] })
  assert.equal(await files.read(`${repo}/a`), 'a\n')
  await files.write(`${repo}/a`, 'changed\n')
  await git.add(repo, { files: ['a'] })
  await git.reset(repo, { mode: 'hard' })
  assert.equal(await files.read(`${repo}/a`), 'a\n')
})

await check('remotes, push, clone, pull', async () => {
  await git.init(bare, { bare: true, initialBranch: 'main' })
  await git.remoteAdd(repo, 'origin', bare)
  assert.equal(await git.remoteGet(repo, 'origin'), bare)
  assert.equal(await git.remoteGet(repo, 'other'), undefined)
  await fails(git.pull(repo), GitUpstreamError)
  await git.push(repo, { remote: 'origin', branch: 'main' })
  await git.clone(bare, { path: copy, depth: 1 })
  assert.equal(fs.readFileSync(`${copy}/a`, 'utf8'), 'a\n')
  await files.write(`${repo}/c`, 'c\n')
  await git.add(repo)
  await git.commit(repo, 'c')
  assert.equal((await git.status(repo)).ahead, 1)
  await git.push(repo)
  await git.pull(copy)
  assert.equal(fs.readFileSync(`${copy}/c`, 'utf8'), 'c\n')
})

await check("a failure has git's words and code", async () => {
  const e = await fails(git.checkoutBranch(repo, 'no-such'), CommandExitError)
  assert.equal(e.exitCode, 1)
  assert.match(e.stderr, /no-such/)
  assert.equal((await fails(git.status(`${D}/none`), CommandExitError)).exitCode, 128)
})

done()
