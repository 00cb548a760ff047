// Commands by the SDK: how they are started, what they print, how they end, who may watch.
import assert from 'node:assert/strict'
import crypto from 'node:crypto'
import fs from 'node:fs'
import {
  AuthenticationError,
  CommandExitError,
  InvalidArgumentError,
  NotFoundError,
  Sandbox,
  SandboxError,
  TimeoutError,
} from 'e2b'
import {
  check,
  done,
  fails,
  gone,
  mark,
  noise,
  running,
  sha256,
  sleep,
  text,
  until,
} from './tap.mjs'
import { Raw, printed } from './raw.mjs'

const D = process.env.BOX_FILES
const sbx = await Sandbox.create()
const { commands } = sbx
const raw = new Raw(process.env.E2B_SANDBOX_URL)
const run = (cmd, opts) => commands.run(cmd, opts)
const start = (cmd, opts) => commands.run(cmd, { background: true, ...opts })
const failed = (promise) => fails(promise, CommandExitError)

// --- results

await check('output and success', async () => {
  const r = await run('echo out; echo err >&2')
  assert.deepEqual([r.stdout, r.stderr, r.exitCode, r.error], ['out\n', 'err\n', 0, undefined])
})

await check('nothing printed: no callback, no text', async () => {
  let calls = 0
  const r = await run('true', { onStdout: () => calls++, onStderr: () => calls++ })
  assert.deepEqual([r.stdout, r.stderr, r.exitCode, calls], ['', '', 0, 0])
})

await check('an exit code is an error with all that was printed', async () => {
  const e = await failed(run('echo x; echo y >&2; exit 3'))
  assert.deepEqual([e.exitCode, e.stdout, e.stderr, e.error], [3, 'x\n', 'y\n', 'exit status 3'])
})

await check('each kind of exit code arrives', async () => {
  for (const code of [1, 2, 126, 127, 128, 130, 255]) {
    const e = await failed(run(`exit ${code}`))
    assert.deepEqual([e.exitCode, e.error], [code, `exit status ${code}`])
  }
})

await check('a program that is not there: 127, and the shell says so', async () => {
  const e = await failed(run('no-such-program-here'))
  assert.equal(e.exitCode, 127)
  assert.match(e.stderr, /no-such-program-here: command not found/)
})

await check('a file that is not executable: 126', async () => {
  assert.equal((await failed(run('/etc/passwd'))).exitCode, 126)
})

// As the agent's language prints them, which has names for these. A core may have been dumped.
const SIGNALS = {
  1: 'hangup',
  2: 'interrupt',
  3: 'quit',
  4: 'illegal instruction',
  5: 'trace/breakpoint trap',
  6: 'aborted',
  7: 'bus error',
  8: 'floating point exception',
  9: 'killed',
  10: 'user defined signal 1',
  11: 'segmentation fault',
  12: 'user defined signal 2',
  13: 'broken pipe',
  14: 'alarm clock',
  15: 'terminated',
  16: 'signal 16',
  24: 'signal 24',
  31: 'signal 31',
  34: 'signal 34',
  64: 'signal 64',
}
await check('death by each signal has its name, and no exit code of its own', async () => {
  const core = ' (core dumped)'
  for (const [signal, name] of Object.entries(SIGNALS)) {
    const e = await failed(
      run(`ulimit -c 0; exec sh -c 'kill -${signal} $$; echo survived ${signal}'`),
    )
    const said = e.error.endsWith(core) ? e.error.slice(0, -core.length) : e.error
    assert.deepEqual([e.exitCode, said], [-1, `signal: ${name}`], signal)
  }
})

await check('a handle tells what it knows, while it runs and after', async () => {
  const h = await start('echo a; sleep 0.3; echo b; exit 4')
  assert.equal(h.exitCode, undefined)
  assert.ok(await until(() => h.stdout === 'a\n'), h.stdout)
  await failed(h.wait())
  assert.deepEqual([h.exitCode, h.error, h.stdout], [4, 'exit status 4', 'a\nb\n'])
})

// --- how it is started

await check('cwd: absolute, ~, relative to the home, the home', async () => {
  const where = async (opts) => (await run('pwd', { user: 'user', ...opts })).stdout.trim()
  const home = (await run('echo ~user')).stdout.trim()
  await run('mkdir -p ~/sub/dir', { user: 'user' })
  assert.equal(await where({ cwd: '/usr' }), '/usr')
  assert.equal(await where({}), home)
  assert.equal(await where({ cwd: '~' }), home)
  assert.equal(await where({ cwd: '~/sub' }), `${home}/sub`)
  assert.equal(await where({ cwd: 'sub/dir' }), `${home}/sub/dir`)
})

await check('a cwd that is not there, or a file, or not for this user', async () => {
  const e = await fails(run('true', { cwd: '/no/such/dir' }), InvalidArgumentError)
  assert.match(e.message, /\/no\/such\/dir/)
  await fails(run('true', { cwd: '/etc/passwd' }), InvalidArgumentError)
  fs.mkdirSync(`${D}/closed`, { mode: 0o700 })
  await fails(run('true', { cwd: `${D}/closed`, user: 'user' }), InvalidArgumentError)
  assert.equal((await run('pwd', { cwd: `${D}/closed` })).stdout.trim(), `${D}/closed`)
})

await check('envs: any text', async () => {
  const envs = {
    A: 'bar baz',
    Q: `"'\\$x\`y\``,
    N: 'one\ntwo',
    U: 'héllo 日本',
    E: '',
    EQ: 'a=b=c',
  }
  const r = await run('printf "%s|%s|%s|%s|%s|%s" "$A" "$Q" "$N" "$U" "${E-unset}" "$EQ"', { envs })
  assert.equal(r.stdout, Object.values(envs).join('|'))
})

await check('envs win over what the agent sets', async () => {
  const r = await run('echo $HOME $USER', { envs: { HOME: '/tmp', USER: 'me' } })
  assert.equal(r.stdout, '/tmp me\n')
})

await check(
  "the environment: the image's, the user's, and no secret of pinnace's own",
  async () => {
    const r = await run('env -0 | tr "\\0" "\\n"', { user: 'user', envs: { A: '1' } })
    const env = Object.fromEntries(
      r.stdout
        .trim()
        .split('\n')
        .map((line) => line.split(/=(.*)/s, 2)),
    )
    assert.deepEqual([env.USER, env.LOGNAME, env.A], ['user', 'user', '1'])
    assert.equal(env.HOME, (await run('echo ~user')).stdout.trim())
    assert.match(env.PATH, /(^|:)\/usr\/bin(:|$)/)
    assert.deepEqual([env.IMAGE_ENV, env.E2B_SANDBOX], ['as in its Dockerfile', 'true'])
    assert.ok(env.PINNACE_JOB)
    assert.ok(!r.stdout.includes('for the channel only'), r.stdout)
  },
)

await check('no descriptor but the three, and no signal blocked or ignored', async () => {
  const r = await run('cd /proc/self/fd; echo *; exec grep -E "^Sig(Blk|Ign)" /proc/self/status')
  const [fds, ...signals] = r.stdout.trim().split('\n') // 3: to list them
  assert.equal(fds, '0 1 2 3')
  for (const line of signals) assert.match(line, /^Sig\w+:\s+0+$/, line)
})

await check('user: ids, groups, home', async () => {
  const who = 'echo $(id -un) $(id -gn) $(id -Gn) $(id -u)'
  assert.equal((await run(who, { user: 'root' })).stdout, 'root root root 0\n')
  assert.equal((await run(who, { user: 'user' })).stdout, 'user user user crew 61000\n')
  const r = await failed(run('cat /etc/shadow', { user: 'user' }))
  assert.match(r.stderr, /Permission denied/)
})

await check('a user that is not there', async () => {
  const e = await fails(run('true', { user: 'nobody-here' }), AuthenticationError)
  assert.match(e.message, /nobody-here/)
})

await check('a command of 100 KiB, and a variable of as much', async () => {
  const long = 'x'.repeat(100 << 10)
  assert.equal((await run(`A=${long}; echo \${#A}`)).stdout, `${100 << 10}\n`)
  assert.equal((await run('echo ${#A}', { envs: { A: long } })).stdout, `${100 << 10}\n`)
})

await check(
  'a command that is too long for the kernel is an error, and the next one works',
  async () => {
    const e = await run(`echo ${'x'.repeat(200 << 10)}`).catch((e) => e)
    assert.ok(e instanceof InvalidArgumentError, String(e))
    assert.equal((await run('echo still')).stdout, 'still\n')
  },
)

await check('odd text in a command', async () => {
  const odd = `a'b"c\\d$(echo no)\`e\`\t€ 🚢`
  assert.equal((await run(`cat <<'END'\n${odd}\nEND`)).stdout, `${odd}\n`)
})

// --- output

await check('output comes as it is printed', async () => {
  const seen = []
  const began = Date.now()
  await run('for i in 1 2 3; do echo $i; sleep 0.15; done', {
    onStdout: (s) => seen.push([s, Date.now() - began]),
  })
  assert.deepEqual(
    seen.map(([s]) => s),
    ['1\n', '2\n', '3\n'],
  )
  assert.ok(seen[2][1] - seen[0][1] > 200, JSON.stringify(seen))
})

await check('both streams have their callback', async () => {
  const out = []
  const err = []
  const r = await run('for i in 1 2 3; do echo o$i; echo e$i >&2; done', {
    onStdout: (s) => out.push(s),
    onStderr: (s) => err.push(s),
  })
  assert.deepEqual([out.join(''), err.join('')], ['o1\no2\no3\n', 'e1\ne2\ne3\n'])
  assert.deepEqual([r.stdout, r.stderr], [out.join(''), err.join('')])
})

await check('a character that is cut by a pause stays whole', async () => {
  const r = await run(`printf '\\xf0\\x9f'; sleep 0.15; printf '\\x9a'; sleep 0.15; printf '\\xa2'`)
  assert.equal(r.stdout, '🚢')
})

await check('what is no UTF-8 becomes replacement characters', async () => {
  assert.equal((await run(`printf 'a\\xffb'`)).stdout, 'a\ufffdb')
})

await check(
  '64 MiB arrive intact',
  async () => {
    const body = text(64 << 20)
    fs.writeFileSync(`${D}/big`, body)
    const hash = crypto.createHash('sha256')
    let n = 0
    const r = await run(`cat ${D}/big`, {
      onStdout: (s) => {
        hash.update(s)
        n += s.length
      },
      timeoutMs: 50000,
    })
    assert.equal(r.exitCode, 0)
    assert.equal(n, body.length)
    assert.equal(hash.digest('hex'), sha256(body))
  },
  50,
)

await check('8 MiB on each stream at once arrive intact', async () => {
  const body = text(8 << 20)
  fs.writeFileSync(`${D}/some`, body)
  const r = await run(`cat ${D}/some & cat ${D}/some >&2; wait`)
  assert.equal(sha256(r.stdout), sha256(body))
  assert.equal(sha256(r.stderr), sha256(body))
})

await check('16 MiB of any bytes arrive intact', async () => {
  const body = noise(16 << 20)
  fs.writeFileSync(`${D}/noise`, body)
  const r = await raw.open('process.Process/Start', {
    process: { cmd: '/bin/cat', args: [`${D}/noise`] },
  })
  assert.equal(sha256(printed(await r.rest())), sha256(body))
})

await check('a child that holds the output does not hold up the end', async () => {
  const m = mark()
  const began = Date.now()
  const r = await run(`setsid sleep ${m} & echo early`)
  assert.equal(r.stdout, 'early\n')
  assert.ok(Date.now() - began < 2000, `${Date.now() - began} ms`)
  await run(`pkill -f ${m}`)
})

await check('fifty at once', async () => {
  const all = await Promise.all(
    Array.from({ length: 50 }, (_, i) => run(`sleep 0.2; echo ${i}; exit 0`)),
  )
  assert.deepEqual(
    all.map((r) => r.stdout),
    all.map((_, i) => `${i}\n`),
  )
})

// --- in the background

await check('the pid is the true one, and the list has what was asked', async () => {
  const h = await start('echo $$; sleep 60', { cwd: '/usr', envs: { A: 'b c' }, user: 'user' })
  assert.ok(await until(() => h.stdout === `${h.pid}\n`), `${h.pid} is not ${h.stdout}`)
  const p = (await commands.list()).find((p) => p.pid === h.pid)
  assert.deepEqual(p, {
    pid: h.pid,
    cmd: '/bin/bash',
    args: ['-l', '-c', 'echo $$; sleep 60'],
    envs: { A: 'b c' },
    cwd: '/usr',
  })
  await h.kill()
  assert.ok(await until(async () => !(await commands.list()).some((p) => p.pid === h.pid)))
})

await check('kill: true, then false; who waits is told', async () => {
  const h = await start('echo up; sleep 60')
  await until(() => h.stdout)
  const c = await commands.connect(h.pid)
  assert.equal(c.pid, h.pid)
  assert.equal(await commands.kill(h.pid), true)
  for (const one of [h, c]) {
    const e = await failed(one.wait())
    assert.deepEqual([e.exitCode, e.error], [-1, 'signal: killed'])
  }
  assert.equal(await commands.kill(h.pid), false)
  assert.equal(await h.kill(), false)
})

await check('kill takes the whole tree', async () => {
  const m = mark()
  const h = await start(`(setsid sleep ${m} &); (sleep ${m} & sleep ${m}) & sleep ${m}`)
  assert.ok(await until(() => running(`sleep ${m}`).length >= 4), 'not all came up')
  assert.equal(await h.kill(), true)
  assert.ok(await gone(m), `${running(m).length} still there`)
  await failed(h.wait())
})

await check('nobody has this pid', async () => {
  assert.equal(await commands.kill(4000000), false)
  await fails(commands.connect(4000000), NotFoundError)
  await fails(commands.sendStdin(4000000, 'x'), NotFoundError)
  await fails(commands.closeStdin(4000000), NotFoundError)
  assert.equal(await commands.kill(1), false)
})

await check('disconnect leaves it running; who connects later has what comes later', async () => {
  let first = ''
  const h = await start(
    'echo a; until [ -e go1 ]; do sleep 0.02; done; echo b; sleep 0.2; echo c',
    {
      cwd: D,
      onStdout: (s) => {
        first += s
      },
    },
  )
  await until(() => first)
  await h.disconnect()
  const c = await commands.connect(h.pid)
  fs.writeFileSync(`${D}/go1`, '')
  const r = await c.wait()
  assert.deepEqual([first, r.stdout, r.exitCode], ['a\n', 'b\nc\n', 0])
})

await check('an aborted call only goes away', async () => {
  const m = mark()
  const abort = new AbortController()
  const h = await start(`sleep ${m}`, { signal: abort.signal })
  abort.abort()
  await h.wait().catch(() => {})
  await sleep(200)
  assert.equal(running(`sleep ${m}`).length > 0, true)
  assert.equal(await commands.kill(h.pid), true)
  assert.ok(await gone(m))
})

await check('the end is kept for who connects too late', async () => {
  const h = await start('sleep 0.1; exit 7')
  await h.disconnect()
  assert.ok(await until(async () => !(await commands.list()).some((p) => p.pid === h.pid)))
  const e = await failed((await commands.connect(h.pid)).wait())
  assert.deepEqual([e.exitCode, e.error], [7, 'exit status 7'])
})

await check('several watch one command', async () => {
  const h = await start('until [ -e go2 ]; do sleep 0.02; done; seq 1 20000; exit 5', { cwd: D })
  const all = [h, ...(await Promise.all([1, 2, 3, 4].map(() => commands.connect(h.pid))))]
  fs.writeFileSync(`${D}/go2`, '')
  const wanted = Array.from({ length: 20000 }, (_, i) => `${i + 1}\n`).join('')
  for (const one of all) {
    const e = await failed(one.wait())
    assert.equal(e.exitCode, 5)
    assert.equal(sha256(e.stdout), sha256(wanted))
  }
})

await check(
  'one that does not read stalls neither the command nor the others',
  async () => {
    const body = fs.readFileSync(`${D}/big`).subarray(0, 24 << 20)
    fs.writeFileSync(`${D}/some`, body)
    const h = await start(`until [ -e go3 ]; do sleep 0.02; done; cat ${D}/some`, { cwd: D })
    const idle = await raw.open('process.Process/Connect', { process: { pid: h.pid } })
    assert.ok((await idle.next()).event.start) // and not a byte more
    fs.writeFileSync(`${D}/go3`, '')
    const r = await h.wait()
    assert.equal(sha256(r.stdout), sha256(body))
    idle.close()
  },
  30,
)

await check('what was printed while nobody listened can be asked for', async () => {
  const h = await start(
    'echo a; echo b >&2; until [ -e go4 ]; do sleep 0.02; done; echo c; exit 6',
    { cwd: D },
  )
  await until(() => h.stdout)
  await h.disconnect()
  const asked = { process: { pid: h.pid }, replay: true }
  const s = await raw.open('process.Process/Connect', asked)
  const seen = [await s.next(), await s.next(), await s.next()]
  fs.writeFileSync(`${D}/go4`, '')
  seen.push(...(await s.rest()))
  assert.deepEqual([`${printed(seen)}`, `${printed(seen, 'stderr')}`], ['a\nc\n', 'b\n'])
  assert.equal(seen.at(-1).event.end.exitCode, 6)
  const late = await (await raw.open('process.Process/Connect', asked)).rest()
  assert.deepEqual([`${printed(late)}`, `${printed(late, 'stderr')}`], ['a\nc\n', 'b\n'])
})

// --- stdin

await check('stdin: text, bytes, end of file', async () => {
  const h = await start('cat; echo done', { stdin: true })
  await h.sendStdin('a€')
  await commands.sendStdin(h.pid, new Uint8Array([0x62, 10]))
  await h.closeStdin()
  assert.equal((await h.wait()).stdout, 'a€b\ndone\n')
})

await check('stdin: nobody sends, and it ends by itself', async () => {
  assert.equal((await run('read -t 0.1 x; echo $?', { stdin: true })).stdout, '142\n')
})

await check('stdin: 4 MiB in one message, of any bytes', async () => {
  const body = noise(4 << 20)
  const h = await start('sha256sum', { stdin: true })
  await h.sendStdin(body)
  await h.closeStdin()
  assert.equal((await h.wait()).stdout.split(' ')[0], sha256(body))
})

await check('stdin: many messages keep their order', async () => {
  const body = text(512 << 10)
  const h = await start('sha256sum', { stdin: true })
  for (let at = 0; at < body.length; at += 8 << 10)
    await h.sendStdin(body.subarray(at, at + (8 << 10)))
  await h.closeStdin()
  assert.equal((await h.wait()).stdout.split(' ')[0], sha256(body))
})

await check('stdin: answers come while the question is sent', async () => {
  const h = await start('while read -r line; do echo "got $line"; done', { stdin: true })
  for (const word of ['one', 'two', 'three']) {
    await h.sendStdin(`${word}\n`)
    assert.ok(await until(() => h.stdout.endsWith(`got ${word}\n`)), h.stdout)
  }
  await h.closeStdin()
  await h.wait()
})

await check('stdin: who was connected may send, too', async () => {
  const h = await start('cat', { stdin: true })
  await h.disconnect()
  const c = await commands.connect(h.pid)
  await c.sendStdin('later\n')
  await c.closeStdin()
  assert.equal((await c.wait()).stdout, 'later\n')
})

await check('stdin: off unless asked for', async () => {
  assert.equal((await run('cat; echo end')).stdout, 'end\n')
  const h = await start('sleep 60')
  await fails(h.sendStdin('x'), SandboxError, /stdin/)
  await h.kill()
})

await check('stdin: closed is closed', async () => {
  const h = await start('cat; sleep 60', { stdin: true })
  await h.closeStdin()
  await h.closeStdin()
  await fails(h.sendStdin('x'), SandboxError, /stdin/)
  await h.kill()
})

await check('stdin: a full pipe makes the sender wait, and nobody else', async () => {
  const h = await start('sleep 60', { stdin: true })
  let settled = false
  const sends = h
    .sendStdin(new Uint8Array(300 << 10))
    .then(
      () => 'sent',
      (e) => e,
    )
    .finally(() => {
      settled = true
    })
  await sleep(300)
  assert.equal(settled, false)
  assert.equal((await run('echo free')).stdout, 'free\n')
  await h.kill()
  assert.ok((await sends) instanceof Error, 'told that all was sent')
})

// --- timeouts

await check('a timeout is told as one, and leaves nobody of the tree', async () => {
  const m = mark()
  const began = Date.now()
  await fails(
    run(`(setsid sleep ${m} &); sleep ${m} & sleep ${m}`, { timeoutMs: 500 }),
    TimeoutError,
  )
  assert.ok(Date.now() - began < 3000)
  assert.ok(await gone(m), `${running(m).length} still there`)
})

await check('a timeout takes those, too, whose parents have gone', async () => {
  const m = mark()
  const daemon = `( ( setsid bash -c 'trap "" HUP TERM; sleep ${m}; sleep ${m}' </dev/null >/dev/null 2>&1 & ) )`
  const h = await start(`${daemon}; sleep ${m}`, { timeoutMs: 600 })
  assert.ok(await until(() => running(`sleep ${m}`).length >= 2))
  await fails(h.wait(), TimeoutError)
  assert.ok(await gone(m), `${running(m).length} still there`)
})

await check('a timeout comes also where nobody is connected', async () => {
  const m = mark()
  const h = await start(`sleep ${m}`, { timeoutMs: 500 })
  await h.disconnect()
  assert.ok(await until(() => running(m).length))
  assert.ok(await gone(m, 4000))
  assert.ok(await until(async () => !(await commands.list()).some((p) => p.pid === h.pid)))
})

await check('what was printed before a timeout is there', async () => {
  let out = ''
  await fails(
    run('echo before; sleep 60', {
      timeoutMs: 500,
      onStdout: (s) => {
        out += s
      },
    }),
    TimeoutError,
  )
  assert.equal(out, 'before\n')
})

await check('the timeout of who connects is his own', async () => {
  const h = await start('sleep 0.9; echo alive')
  const c = await commands.connect(h.pid, { timeoutMs: 300 })
  await fails(c.wait(), TimeoutError)
  assert.equal((await h.wait()).stdout, 'alive\n')
})

await check('timeoutMs 0: none', async () => {
  assert.equal((await run('sleep 0.7; echo ok', { timeoutMs: 0 })).stdout, 'ok\n')
})

done()
