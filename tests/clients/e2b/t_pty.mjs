// Terminals by the SDK.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import {
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
  skip,
  sleep,
  until,
} from './tap.mjs'

const D = process.env.BOX_FILES
const sbx = await Sandbox.create()
const { pty } = sbx

// A terminal and what it has shown.
async function open(opts) {
  const t = { out: '', bytes: 0 }
  const decoder = new TextDecoder()
  t.handle = await pty.create({
    cols: 80,
    rows: 24,
    timeoutMs: 20000,
    ...opts,
    onData: (d) => {
      t.bytes += d.length
      t.out += decoder.decode(d, { stream: true })
    },
  })
  t.pid = t.handle.pid
  t.send = (text) => pty.sendInput(t.pid, Buffer.from(text))
  t.shows = async (text, ms) =>
    assert.ok(
      await until(() => (text instanceof RegExp ? text.test(t.out) : t.out.includes(text)), ms),
      `no ${text} in ${JSON.stringify(t.out.slice(-2000))}`,
    )
  t.exits = (code) =>
    fails(t.handle.wait(), CommandExitError).then((e) => assert.equal(e.exitCode, code))
  return t
}
// What the shell prints is not what is typed: the terminal echoes that, too.
const say = (word) => `echo "${word[0]}""${word.slice(1)}"\n`

await check('a terminal, with its size, TERM and variables', async () => {
  const t = await open({ envs: { FOO: 'bar' } })
  await t.send(
    'stty size; echo "$FOO=$TERM=$LANG=$LC_ALL"; tty; test -t 0 && test -t 1 && test -t 2; echo "tty:$?"\n',
  )
  await t.shows('24 80\r\n')
  await t.shows('bar=xterm-256color=C.UTF-8=C.UTF-8')
  await t.shows(/\/dev\/pts\/\d+/)
  await t.shows('tty:0')
  await t.send('exit 5\n')
  await t.exits(5)
})

await check('an exit of 0 is none that is thrown', async () => {
  const t = await open()
  await t.send('exit\n')
  assert.equal((await t.handle.wait()).exitCode, 0)
})

await check('cwd and user; the terminal is theirs', async () => {
  const t = await open({ cwd: '/usr', user: 'user' })
  await t.send('echo "$(pwd)=$(id -un)=$(stat -c %U $(tty))=$HOME"; exit\n')
  await t.handle.wait()
  assert.match(t.out, /\/usr=user=user=\S*\/home\r\n/)
  await fails(open({ cwd: '/no/such' }), InvalidArgumentError)
})

await check('a shell with job control: no complaint, ^Z and fg', async () => {
  const t = await open()
  await t.send('set -o | grep monitor\n')
  await t.shows(/monitor\s+on/)
  await t.send('cat\n')
  await sleep(200)
  await t.send('\x1a')
  await t.shows('Stopped')
  await t.send('fg\n')
  await sleep(150)
  await t.send('hello\n\x04')
  await t.shows('hello\r\nhello')
  await t.send('exit\n')
  await t.handle.wait().catch(() => {})
  assert.ok(!/no job control|cannot set terminal/.test(t.out), t.out)
})

await check('resize: the size, and SIGWINCH', async () => {
  const t = await open()
  await t.send(`trap 'echo "win""ch $(stty size)"' WINCH; ${say('armed')}`)
  await t.shows('armed\r\n')
  await pty.resize(t.pid, { cols: 132, rows: 43 })
  await t.send('\n')
  await t.shows('winch 43 132')
  await t.handle.kill()
})

await check('^C ends what is in the foreground, and no more', async () => {
  const t = await open()
  const m = mark()
  await t.send(`sleep ${m}\n`)
  assert.ok(await until(() => running(`sleep ${m}`).length))
  await t.send('\x03')
  assert.ok(await gone(`sleep ${m}`))
  await t.send('echo "rc"=$?; exit 0\n')
  await t.handle.wait()
  assert.match(t.out, /rc=130/)
})

await check('^D ends the shell', async () => {
  const t = await open()
  await t.shows(/[$#] /)
  await t.send('\x04')
  assert.equal((await t.handle.wait()).exitCode, 0)
})

await check('text of any script, there and back', async () => {
  const t = await open()
  await t.send("printf '<%s>\\n' 'héllo 日本 🚢'\n")
  await t.shows('<héllo 日本 🚢>')
  await t.handle.kill()
})

await check('256 KiB of input arrive in order', async () => {
  const t = await open()
  const body = Buffer.from(noise(192 << 10).toString('base64'))
  await t.send(
    `stty raw -echo; ${say('ready')}head -c ${body.length} | sha256sum; stty sane; exit\n`.replace(
      '\nhead',
      '; head',
    ),
  )
  await t.shows('ready')
  await sleep(100)
  for (let at = 0; at < body.length; at += 16 << 10)
    await pty.sendInput(t.pid, body.subarray(at, at + (16 << 10)))
  await t.shows(sha256(body))
  await t.handle.wait()
})

await check('much output is complete', async () => {
  const t = await open()
  await t.send('seq 1 150000; exit\n')
  await t.handle.wait()
  const numbers = t.out.match(/(?<=[\r\n])\d+(?=\r\n)/g).map(Number)
  assert.equal(numbers.length, 150000)
  assert.ok(numbers.every((n, i) => n === i + 1))
})

await check('connect: two see the same, either may type', async () => {
  const t = await open()
  let other = ''
  const c = await pty.connect(t.pid, {
    onData: (d) => {
      other += Buffer.from(d)
    },
  })
  assert.equal(c.pid, t.pid)
  await t.send(say('both'))
  await t.shows('both\r\n')
  assert.ok(await until(() => other.includes('both\r\n')), other)
  await t.send('exit 9\n')
  await t.exits(9)
  assert.equal((await fails(c.wait(), CommandExitError)).exitCode, 9)
})

await check('disconnect leaves it there', async () => {
  const t = await open()
  await t.send('KEPT=yes\n')
  await t.handle.disconnect()
  let out = ''
  const c = await pty.connect(t.pid, {
    onData: (d) => {
      out += Buffer.from(d)
    },
  })
  await pty.sendInput(t.pid, Buffer.from('echo "ke""pt=$KEPT"; exit\n'))
  await c.wait()
  assert.match(out, /kept=yes/)
})

await check('it is in the list', async () => {
  const t = await open({ cwd: '/usr', envs: { FOO: 'x' } })
  const p = (await sbx.commands.list()).find((p) => p.pid === t.pid)
  assert.deepEqual(
    [p.cmd, p.args, p.cwd, p.envs.FOO, p.envs.TERM],
    ['/bin/bash', ['-i', '-l'], '/usr', 'x', 'xterm-256color'],
  )
  await t.handle.kill()
})

await check('kill takes the terminal with all in it', async () => {
  const t = await open()
  const m = mark()
  await t.send(`(trap '' HUP; sleep ${m}) & sleep ${m}\n`)
  assert.ok(await until(() => running(`sleep ${m}`).length >= 2))
  assert.equal(await t.handle.kill(), true)
  const e = await fails(t.handle.wait(), CommandExitError)
  assert.deepEqual([e.exitCode, e.error], [-1, 'signal: killed'])
  assert.ok(await gone(`sleep ${m}`), `${running(m).length} still there`)
  assert.ok(await until(async () => (await pty.kill(t.pid)) === false))
})

await check('a timeout ends it, and all in it', async () => {
  const m = mark()
  const t = await open({ timeoutMs: 900 })
  await t.send(`sleep ${m} & sleep ${m}\n`)
  assert.ok(await until(() => running(`sleep ${m}`).length >= 2))
  await fails(t.handle.wait(), TimeoutError)
  assert.ok(await gone(`sleep ${m}`))
})

await check('who hangs up does not end it; who ends it hangs up on all', async () => {
  const t = await open()
  const m = mark()
  await t.send(`sleep ${m}\n`)
  await until(() => running(`sleep ${m}`).length)
  await t.handle.disconnect()
  await sleep(200)
  assert.equal(running(`sleep ${m}`).length, 1)
  await pty.kill(t.pid)
  assert.ok(await gone(`sleep ${m}`))
})

await check('what makes no sense of a terminal, and of what is none', async () => {
  const t = await open()
  await fails(sbx.commands.sendStdin(t.pid, 'x'), SandboxError)
  await fails(sbx.commands.closeStdin(t.pid), SandboxError, /Ctrl\+D|terminal|tty|pty/i)
  await t.handle.kill()
  const h = await sbx.commands.run('sleep 60', { background: true, stdin: true })
  await fails(pty.sendInput(h.pid, Buffer.from('x')), SandboxError)
  await fails(pty.resize(h.pid, { cols: 1, rows: 1 }), SandboxError)
  await h.kill()
  assert.equal(await pty.kill(4000000), false)
  await fails(pty.sendInput(4000000, Buffer.from('x')), NotFoundError)
  await fails(pty.resize(4000000, { cols: 1, rows: 1 }), NotFoundError)
  await fails(pty.connect(4000000), NotFoundError)
})

const FULL = 'a full-screen program: drawn, used, resized, left'
if (['/usr/bin/less', '/bin/less'].some((path) => fs.existsSync(path))) {
  await check(FULL, async () => {
    fs.writeFileSync(
      `${D}/lines`,
      Array.from({ length: 1000 }, (_, i) => `line ${i + 1} of it\n`).join(''),
    )
    const t = await open({ envs: { LESS: '', PS1: '<prompt>' } })
    await t.send(`less ${D}/lines\n`)
    await t.shows('\x1b[?1049h')
    await t.shows('line 23 of it')
    assert.ok(!t.out.includes('line 24 of it'))
    await t.send('G')
    await t.shows('line 1000 of it')
    const before = t.out.length
    await pty.resize(t.pid, { cols: 80, rows: 40 })
    const drawn = () => t.out.slice(before).split('\r\n').length // 39 lines and the prompt
    assert.ok(
      await until(() => drawn() >= 40),
      `${drawn()} lines: ${JSON.stringify(t.out.slice(before))}`,
    )
    await t.send('q')
    await t.shows('\x1b[?1049l')
    await t.send(say('back'))
    await t.shows('back\r\n')
    await t.handle.kill()
  })
} else {
  skip(FULL, 'no less')
}

await check('twenty terminals at once', async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => open()))
  await Promise.all(all.map((t, i) => t.send(`echo "n""r=${i}="; exit ${i}\n`)))
  await Promise.all(
    all.map(async (t, i) => {
      const code = await t.handle.wait().then(
        (r) => r.exitCode,
        (e) => e.exitCode,
      )
      assert.equal(code, i)
      assert.ok(t.out.includes(`nr=${i}=`), t.out)
    }),
  )
})

done()
