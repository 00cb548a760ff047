// The agent's protocol, request by request: what the SDK never shows or sends. The order matters at
// the end, where POST /init changes the box for good.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import net from 'node:net'
import zlib from 'node:zlib'
import { Raw, STREAM, base64, basic, envelope, printed } from './raw.mjs'
import { check, done, gone, mark, noise, sha256, sleep, text, until } from './tap.mjs'

const D = process.env.BOX_FILES
const raw = new Raw(process.env.E2B_SANDBOX_URL)
const P = 'process.Process'
const F = 'filesystem.Filesystem'
const JSON_TYPE = { 'content-type': 'application/json' }

// The answer is an error of a unary call.
function refused(a, status, code, message) {
  assert.deepEqual([a.status, a.json.code], [status, code], a.text)
  assert.equal(a.headers['content-type'], 'application/json')
  assert.ok(a.json.message)
  if (message) assert.match(a.json.message, message)
}
// The answer is an error of a plain route.
function failed(a, status, message) {
  assert.deepEqual([a.status, a.json.code], [status, status], a.text)
  assert.equal(a.headers['content-type'], 'application/json; charset=utf-8')
  if (message) assert.match(a.json.message, message)
}
// A command in the background: {pid, stream}, its start read.
async function start(command, fields = {}, headers) {
  const stream = await raw.open(
    `${P}/Start`,
    { process: { cmd: '/bin/sh', args: ['-c', command] }, ...fields },
    headers,
  )
  const first = await stream.next()
  assert.ok(first?.event?.start?.pid, JSON.stringify(first ?? stream.end))
  return { pid: first.event.start.pid, stream }
}
const signal = (process, signal) => raw.call(`${P}/SendSignal`, { process, signal })
const kill = (pid) => signal({ pid }, 'SIGNAL_SIGKILL')
const list = async () => (await raw.call(`${P}/List`, {})).json.processes ?? []

// --- unary calls

await check('an answer is JSON', async () => {
  const a = await raw.call(`${P}/List`, {})
  assert.deepEqual(
    [a.status, a.headers['content-type'], a.json.processes ?? []],
    [200, 'application/json', []],
  )
})

await check('a charset is accepted', async () => {
  const type = 'application/json; charset=utf-8'
  for (const method of [`${P}/List`, `${F}/Stat`, `${F}/ListDir`]) {
    const a = await raw.call(method, { path: D }, { 'content-type': type })
    assert.deepEqual([a.status, a.headers['content-type']], [200, type], method)
  }
})

await check('no body, no JSON, no object', async () => {
  for (const body of ['', '{', '[]', '1', '"x"', '{"path":"/"} x']) {
    refused(await raw.call(`${F}/Stat`, body), 400, 'invalid_argument')
  }
})

await check('a field of a wrong type', async () => {
  refused(await raw.call(`${F}/Stat`, { path: 5 }), 400, 'invalid_argument', /path/)
  refused(
    await raw.call(`${F}/ListDir`, { path: '/', depth: 'x' }),
    400,
    'invalid_argument',
    /depth/,
  )
  refused(
    await raw.call(`${F}/ListDir`, { path: '/', depth: -1 }),
    400,
    'invalid_argument',
    /depth/,
  )
  refused(await raw.call(`${P}/SendSignal`, { process: 7 }), 400, 'invalid_argument', /process/)
})

await check('unknown fields, null and white space are let pass', async () => {
  const a = await raw.call(`${F}/Stat`, ' \n{ "path" : "/", "later": {"x": [1]}, "next": null }\n ')
  assert.equal(a.json.entry.type, 'FILE_TYPE_DIRECTORY', a.text)
  assert.equal((await raw.call(`${F}/ListDir`, { path: D, depth: null })).status, 200)
})

await check('another content type: 415, and which one is meant', async () => {
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', STREAM]) {
    const a = await raw.call(`${P}/List`, '{}', { 'content-type': type })
    assert.equal(a.status, 415, type)
    assert.match(a.headers['accept-post'], /application\/json/)
  }
  const s = await raw.call(`${P}/Start`, '{}')
  assert.equal(s.status, 415)
  assert.match(s.headers['accept-post'], /application\/connect\+json/)
})

await check('another method: 405, and which one is meant', async () => {
  for (const [method, path, allow] of [
    ['GET', `/${P}/List`, /POST/],
    ['PUT', `/${F}/Stat`, /POST/],
    ['GET', `/${P}/Start`, /POST/],
    ['DELETE', '/files', /GET/],
    ['POST', '/health', /GET/],
    ['GET', '/init', /POST/],
  ]) {
    const a = await raw.ask(method, path, {
      headers: JSON_TYPE,
      body: method === 'GET' ? undefined : '{}',
    })
    assert.equal(a.status, 405, `${method} ${path}`)
    assert.match(a.headers.allow, allow)
  }
  assert.equal((await raw.ask('HEAD', '/files?path=/etc/passwd')).status, 405)
})

await check('another path: 404, as text', async () => {
  for (const path of ['/', '/nothing', `/${P}/Nothing`, '/other.Service/List', '/v1/status']) {
    const a = await raw.ask('POST', path, { headers: JSON_TYPE, body: '{}' })
    assert.deepEqual([a.status, a.text.trim()], [404, '404 page not found'], path)
    assert.match(a.headers['content-type'], /^text\/plain/)
  }
})

await check('the version of the protocol', async () => {
  assert.equal((await raw.call(`${P}/List`, {}, { 'connect-protocol-version': '1' })).status, 200)
  refused(
    await raw.call(`${P}/List`, {}, { 'connect-protocol-version': '2' }),
    400,
    'invalid_argument',
  )
})

await check('fields of a head without a value are as if they were not there', async () => {
  const headers = { 'connect-protocol-version': '', 'connect-timeout-ms': '' }
  assert.equal((await raw.call(`${P}/List`, {}, headers)).status, 200)
  assert.equal((await raw.sh('echo hi', { headers })).out, 'hi\n')
})

await check('what other SDKs say besides', async () => {
  const python = {
    'connect-protocol-version': '1',
    'content-encoding': 'identity',
    'accept-encoding': 'gzip, deflate',
    accept: '*/*',
    connection: 'keep-alive',
  }
  assert.equal((await raw.call(`${P}/List`, {}, python)).status, 200)
  const headers = {
    ...python,
    'connect-content-encoding': 'identity',
    'connect-accept-encoding': 'gzip',
  }
  delete headers['content-encoding']
  assert.equal((await raw.sh('echo hi', { headers })).out, 'hi\n')
  const gzipped = await raw.call(`${P}/List`, zlib.gzipSync('{}'), { 'content-encoding': 'gzip' })
  assert.ok(['invalid_argument', 'unimplemented'].includes(gzipped.json.code), gzipped.text)
})

await check('limits: a message of 16 MiB, a tag of 63 bytes', async () => {
  const { pid, stream } = await start('wc -c', { stdin: true, tag: 'g'.repeat(63) })
  const send = (n) =>
    raw.call(`${P}/SendInput`, { process: { pid }, input: { stdin: 'A'.repeat(n) } })
  refused(await send(16 << 20), 429, 'resource_exhausted')
  assert.equal((await send((16 << 20) - 1024)).status, 200)
  await raw.call(`${P}/CloseStdin`, { process: { tag: 'g'.repeat(63) } })
  assert.equal(
    printed(await stream.rest())
      .toString()
      .trim(),
    `${(((16 << 20) - 1024) * 3) / 4}`,
  )
  const s = await raw.open(`${P}/Start`, { process: { cmd: '/bin/true' }, tag: 'g'.repeat(64) })
  assert.equal((await s.error()).code, 'invalid_argument')
})

await check('errors have their codes', async () => {
  fs.writeFileSync(`${D}/file`, '')
  fs.symlinkSync('loop', `${D}/loop`)
  fs.mkdirSync(`${D}/dir`)
  refused(await raw.call(`${F}/Stat`, { path: `${D}/none` }), 404, 'not_found')
  refused(await raw.call(`${F}/MakeDir`, { path: `${D}/dir` }), 409, 'already_exists')
  refused(await raw.call(`${F}/MakeDir`, { path: `${D}/file` }), 400, 'invalid_argument')
  refused(await raw.call(`${F}/MakeDir`, { path: `${D}/file/x` }), 500, 'internal')
  refused(await raw.call(`${F}/Remove`, { path: `${D}/file/x` }), 500, 'internal')
  refused(await raw.call(`${F}/Remove`, { path: '/proc/1/status' }), 500, 'internal')
  refused(await raw.call(`${F}/Remove`, { path: '~other' }), 400, 'invalid_argument')
  refused(await raw.call(`${F}/ListDir`, { path: `${D}/file` }), 400, 'invalid_argument')
  refused(await raw.call(`${F}/ListDir`, { path: `${D}/loop` }), 400, 'failed_precondition')
  refused(
    await raw.call(`${F}/Move`, { source: `${D}/none`, destination: `${D}/x` }),
    404,
    'not_found',
  )
  refused(await raw.call(`${F}/Stat`, { path: '~other/x' }), 400, 'invalid_argument')
  refused(await raw.call(`${F}/Stat`, { path: 'a\0b' }), 400, 'invalid_argument')
  refused(
    await raw.call(`${F}/Stat`, { path: '/' }, { authorization: basic('nobody-here') }),
    401,
    'unauthenticated',
    /^invalid username: 'nobody-here'$/,
  )
  refused(await kill(4000000), 404, 'not_found')
  refused(await kill(0), 404, 'not_found')
  refused(await kill(2 ** 32 - 1), 404, 'not_found')
  refused(await signal({ pid: 1, tag: 'x' }, 9), 400, 'invalid_argument', /not both/)
})

await check('a path as E2B resolves it: ".." in a relative one is a matter of text', async () => {
  const home = (await raw.call(`${F}/Stat`, { path: '~' })).json.entry.path
  fs.writeFileSync(`${home}/by-text`, '')
  const paths = ['none/../by-text', './none/x/../../by-text', '~/none/../by-text']
  for (const path of paths) {
    const { entry } = (await raw.call(`${F}/Stat`, { path })).json
    assert.deepEqual([entry.name, entry.path], ['by-text', `${home}/by-text`], path)
  }
  const up = (await raw.call(`${F}/Stat`, { path: '~/..' })).json.entry
  assert.equal(up.path, home.replace(/\/[^/]*$/, ''))
  assert.equal((await raw.call(`${F}/Stat`, { path: '../'.repeat(99) })).json.entry.path, '/')
  refused(await raw.call(`${F}/Stat`, { path: `${home}/none/../by-text` }), 404, 'not_found')
  fs.rmSync(`${home}/by-text`)
})

await check('nothing is moved onto a directory, nor into itself', async () => {
  fs.mkdirSync(`${D}/onto/empty`, { recursive: true })
  fs.mkdirSync(`${D}/onto/d`)
  const move = (source, destination) => raw.call(`${F}/Move`, { source, destination })
  refused(await move(`${D}/onto/d`, `${D}/onto/empty`), 500, 'internal')
  refused(await move(`${D}/onto/d`, `${D}/onto/d`), 500, 'internal')
  refused(await move(`${D}/onto/d`, `${D}/onto/d/in`), 500, 'internal')
  refused(await move(`${D}/onto/d`, ''), 500, 'internal')
  refused(await move(`${D}/onto/d`, '~other'), 400, 'invalid_argument')
  assert.deepEqual(fs.readdirSync(`${D}/onto`), ['d', 'empty'])
})

await check('what is gone may be removed', async () => {
  const a = await raw.call(`${F}/Remove`, { path: `${D}/none` })
  assert.deepEqual([a.status, a.json], [200, {}])
})

await check('an entry, field by field', async () => {
  fs.writeFileSync(`${D}/entry`, '12345')
  fs.utimesSync(`${D}/entry`, 1700000000, 1700000000.25)
  fs.chmodSync(`${D}/entry`, 0o640)
  assert.deepEqual((await raw.call(`${F}/Stat`, { path: `${D}/entry` })).json, {
    entry: {
      name: 'entry',
      type: 'FILE_TYPE_FILE',
      path: `${D}/entry`,
      size: '5',
      mode: 0o640,
      permissions: '-rw-r-----',
      owner: 'root',
      group: 'root',
      modifiedTime: '2023-11-14T22:13:20.250Z',
    },
  })
  fs.truncateSync(`${D}/entry`, 0)
  fs.utimesSync(`${D}/entry`, 1700000000, 1700000000)
  fs.chmodSync(`${D}/entry`, 0)
  const { entry } = (await raw.call(`${F}/Stat`, { path: `${D}/entry` })).json
  assert.deepEqual(
    [entry.size, entry.mode, entry.modifiedTime],
    [undefined, undefined, '2023-11-14T22:13:20Z'],
  )
  fs.symlinkSync('nothing', `${D}/dangling`)
  const dangling = (await raw.call(`${F}/Stat`, { path: `${D}/dangling` })).json.entry
  assert.deepEqual([dangling.type, dangling.symlinkTarget], [undefined, `${D}/dangling`])
})

await check('made, moved and listed entries', async () => {
  const made = await raw.call(
    `${F}/MakeDir`,
    { path: `${D}/l/m` },
    { authorization: basic('user') },
  )
  assert.deepEqual(
    [made.json.entry.path, made.json.entry.type, made.json.entry.owner],
    [`${D}/l/m`, 'FILE_TYPE_DIRECTORY', 'user'],
  )
  const moved = await raw.call(`${F}/Move`, { source: `${D}/l/m`, destination: `${D}/l/n` })
  assert.equal(moved.json.entry.path, `${D}/l/n`)
  const all = await raw.call(`${F}/ListDir`, { path: `${D}/l/` })
  assert.deepEqual(
    all.json.entries.map((e) => e.path),
    [`${D}/l/n`],
  )
  const none = await raw.call(`${F}/ListDir`, { path: `${D}/l/n`, depth: 0 })
  assert.deepEqual([none.status, none.json.entries ?? []], [200, []])
})

await check('names that are no text', async () => {
  fs.mkdirSync(`${D}/bytes`)
  fs.writeFileSync(
    Buffer.concat([Buffer.from(`${D}/bytes/a`), Buffer.from([0xff, 0xc0, 0x22, 0x0a])]),
    '',
  )
  const { entries } = (await raw.call(`${F}/ListDir`, { path: `${D}/bytes` })).json
  assert.deepEqual([entries.length, entries[0].name.replace(/\ufffd+/, '?')], [1, 'a?"\n'])
})

// --- how JSON is written

await check('names with underscores, numbers as text, enums as numbers', async () => {
  const { pid, stream } = await start('sleep 60')
  assert.equal(
    (await raw.call(`${P}/SendSignal`, { process: { pid: `${pid}` }, signal: 15 })).status,
    200,
  )
  assert.equal((await stream.rest()).at(-1).event.end.status, 'signal: terminated')
  const made = await raw.call(`${F}/CreateWatcher`, {
    path: D,
    include_entry: true,
    allow_network_mounts: true,
  })
  const { watcherId } = made.json
  assert.equal((await raw.call(`${F}/GetWatcherEvents`, { watcher_id: watcherId })).status, 200)
  assert.equal((await raw.call(`${F}/RemoveWatcher`, { watcher_id: watcherId })).status, 200)
})

await check('bytes as any base64', async () => {
  const body = Buffer.from([0xfb, 0xff, 0xfe, 0x3e, 0x3f])
  const forms = [
    body.toString('base64'),
    body.toString('base64url'),
    body.toString('base64').replace('=', ''),
  ]
  const { pid, stream } = await start('cat', { stdin: true })
  for (const stdin of forms)
    assert.equal(
      (await raw.call(`${P}/SendInput`, { process: { pid }, input: { stdin } })).status,
      200,
      stdin,
    )
  refused(
    await raw.call(`${P}/SendInput`, { process: { pid }, input: { stdin: '!' } }),
    400,
    'invalid_argument',
  )
  await raw.call(`${P}/CloseStdin`, { process: { pid } })
  assert.ok(printed(await stream.rest()).equals(Buffer.concat([body, body, body])))
})

await check('text with escapes, and what is no text', async () => {
  const odd = '\u0001"\\\n\u2028€🚢'
  const r = await raw.run({ cmd: '/usr/bin/printf', args: ['%s', odd] })
  assert.equal(r.out, odd)
  refused(
    await raw.call(`${F}/Stat`, Buffer.from('{"path":"/\xff"}', 'latin1')),
    400,
    'invalid_argument',
  )
})

// --- streams

await check('a command from start to end', async () => {
  const s = await raw.open(`${P}/Start`, { process: { cmd: '/bin/echo', args: ['hi'] } })
  assert.deepEqual([s.status, s.headers['content-type']], [200, STREAM])
  const [first, data, end, ...more] = await s.rest()
  assert.ok(first.event.start.pid > 1)
  assert.deepEqual(data, { event: { data: { stdout: base64('hi\n') } } })
  assert.deepEqual(end, { event: { end: { exited: true, status: 'exit status 0' } } })
  assert.deepEqual([more, s.end], [[], {}])
})

await check('how it ended, field by field', async () => {
  assert.deepEqual((await raw.sh('exit 3')).end, {
    exitCode: 3,
    exited: true,
    status: 'exit status 3',
    error: 'exit status 3',
  })
  const { signal, ...end } = (await raw.sh('kill -9 $$')).end // the signal's number is ours
  assert.deepEqual(
    [end, signal],
    [{ exitCode: -1, status: 'signal: killed', error: 'signal: killed' }, 9],
  )
})

await check('a program that is not there, or cannot be run, is said in words', async () => {
  for (const cmd of ['/no/such/program', 'no-such-program', '/etc/passwd', '/etc']) {
    const r = await raw.run({ cmd })
    const words = r.error ? r.error.message : r.err
    assert.ok(words.includes(cmd), JSON.stringify(r.messages) + JSON.stringify(r.error))
    assert.ok(r.error || [126, 127].includes(r.end.exitCode), JSON.stringify(r.end))
  }
})

await check('a program is found on the PATH; no arguments, no cwd, no envs', async () => {
  const r = await raw.run({ cmd: 'pwd' })
  assert.match(r.out, /^\/\S*\/root\n$/)
})

await check('errors are in the stream', async () => {
  const error = async (message, headers, rpc = 'Start') =>
    (await raw.open(`${P}/${rpc}`, message, headers)).error()
  const cmd = '/bin/true'
  assert.equal((await error({ process: { cmd, cwd: '/none' } })).code, 'invalid_argument')
  const user = await error({ process: { cmd } }, { authorization: basic('nobody-here') })
  assert.deepEqual(
    [user.code, user.message],
    ['unauthenticated', "invalid username: 'nobody-here'"],
  )
  assert.equal((await error({ process: { pid: 4000000 } }, {}, 'Connect')).code, 'not_found')
  assert.equal((await error({ process: { tag: 'none' } }, {}, 'Connect')).code, 'not_found')
  assert.equal(
    (await error({ process: { cmd } }, { 'connect-timeout-ms': 'soon' })).code,
    'invalid_argument',
  )
  assert.equal(
    (await error({ process: { cmd } }, { 'connect-protocol-version': '2' })).code,
    'invalid_argument',
  )
  assert.equal((await error({ process: { cmd: 5 } })).code, 'invalid_argument')
  assert.equal((await error({})).code, 'invalid_argument')
  assert.equal((await error(envelope(Buffer.from('{')))).code, 'invalid_argument')
})

await check('envelopes that are none', async () => {
  const whole = envelope({ process: { cmd: '/bin/true' } })
  for (const body of [
    Buffer.alloc(0),
    whole.subarray(0, 3),
    whole.subarray(0, whole.length - 1),
    envelope(zlib.gzipSync('{"process":{"cmd":"/bin/true"}}'), 1),
  ]) {
    const s = await raw.open(`${P}/Start`, body)
    assert.ok(await s.error(), body.toString('hex'))
  }
})

await check('an end-of-stream envelope after the message is let pass', async () => {
  const s = await raw.open(
    `${P}/Start`,
    Buffer.concat([envelope({ process: { cmd: '/bin/true' } }), envelope({}, 2)]),
  )
  const messages = await s.rest()
  assert.equal(messages.at(-1)?.event.end.exited, true, JSON.stringify(s.end))
})

await check('a user by the Authorization header', async () => {
  assert.equal(
    (await raw.sh('id -un', { headers: { authorization: basic('user') } })).out,
    'user\n',
  )
  const password = `Basic ${base64('user:ignored')}`
  assert.equal((await raw.sh('id -un', { headers: { authorization: password } })).out, 'user\n')
  assert.equal((await raw.sh('id -un')).out, 'root\n')
})

await check('keepalives, while nothing is said', async () => {
  const { pid, stream } = await start(
    'sleep 2.4; echo x; sleep 60',
    {},
    { 'keepalive-ping-interval': '1' },
  )
  const began = Date.now()
  assert.deepEqual(await stream.next(), { event: { keepalive: {} } })
  assert.deepEqual(await stream.next(), { event: { keepalive: {} } })
  assert.ok(Date.now() - began > 1500 && Date.now() - began < 2800, `${Date.now() - began}`)
  assert.deepEqual(await stream.next(), { event: { data: { stdout: base64('x\n') } } })
  await kill(pid)
  await stream.rest()
})

await check('an interval that is no number is the usual one', async () => {
  assert.equal(
    (await raw.sh('true', { headers: { 'keepalive-ping-interval': 'often' } })).end.exited,
    true,
  )
})

await check('the deadline ends command and stream', async () => {
  const m = mark()
  const { stream } = await start(
    `echo before; sleep ${m} & setsid sleep ${m}`,
    {},
    { 'connect-timeout-ms': '400' },
  )
  const messages = await stream.rest()
  assert.equal(printed(messages).toString(), 'before\n')
  assert.equal(stream.end.error?.code, 'deadline_exceeded')
  assert.ok(await gone(m))
})

await check('the deadline of a connection is only its own', async () => {
  const { pid, stream } = await start('sleep 1; echo alive')
  const c = await raw.open(`${P}/Connect`, { process: { pid } }, { 'connect-timeout-ms': '200' })
  const messages = await c.rest()
  assert.deepEqual([messages.length, messages[0].event.start.pid], [1, pid])
  assert.equal(c.end.error?.code, 'deadline_exceeded')
  assert.equal(printed(await stream.rest()).toString(), 'alive\n')
})

await check('who hangs up at once has started it all the same', async () => {
  const body = envelope({
    process: { cmd: '/bin/sh', args: ['-c', `sleep 0.2; echo done >${D}/started`] },
  })
  const [request] = raw.begin('POST', `/${P}/Start`, {
    'content-type': STREAM,
    'content-length': body.length,
  })
  request.end(body)
  await sleep(100)
  request.destroy()
  assert.ok(await until(() => fs.existsSync(`${D}/started`)))
})

await check('one connection, many requests', async () => {
  const s = net.connect(Number(raw.url.port), raw.url.hostname)
  const one = `POST /${P}/List HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`
  let got = ''
  s.on('data', (d) => {
    got += d
  })
  s.write(one.repeat(50))
  assert.ok(await until(() => got.split('HTTP/1.1 200 OK').length === 51), got.slice(-500))
  const body = envelope({ process: { cmd: '/bin/true' } })
  s.write(
    `POST /${P}/Start HTTP/1.1\r\nhost: x\r\ncontent-type: ${STREAM}\r\ncontent-length: ${body.length}\r\n\r\n`,
  )
  s.write(body)
  s.write(one)
  assert.ok(
    await until(() => got.split('HTTP/1.1 200 OK').length === 53 && got.endsWith('}')),
    got.slice(-500),
  )
  assert.match(got, /"end":[^]*\r\n0\r\n\r\nHTTP\/1.1 200 OK\r\n[^]*\r\n\r\n\{[^\r]*\}$/)
  s.destroy()
})

// --- tags, lists

await check('a tag names a command, in every call', async () => {
  const { pid, stream } = await start('cat; echo end', { stdin: true, tag: 'the-tag' })
  const process = { tag: 'the-tag' }
  assert.equal((await list()).find((p) => p.pid === pid)?.tag, 'the-tag')
  const c = await raw.open(`${P}/Connect`, { process })
  assert.equal((await c.next()).event.start.pid, pid)
  await raw.call(`${P}/SendInput`, { process, input: { stdin: base64('hi\n') } })
  await raw.call(`${P}/CloseStdin`, { process })
  for (const s of [c, stream]) assert.equal(printed(await s.rest()).toString(), 'hi\nend\n')
})

await check('an empty tag names nobody', async () => {
  const { pid, stream } = await start('sleep 60')
  refused(await signal({ tag: '' }, 'SIGNAL_SIGKILL'), 404, 'not_found')
  const s = await raw.open(`${P}/Connect`, { process: { tag: '' } })
  assert.equal((await s.error()).code, 'not_found')
  await kill(pid)
  assert.equal((await stream.rest()).at(-1).event.end.status, 'signal: killed')
})

await check('one of two tags, whichever is first', async () => {
  const a = await start('sleep 60', { tag: 'first' })
  const b = await start('sleep 60', { tag: 'second' })
  for (const [tag, one] of [
    ['second', b],
    ['first', a],
  ]) {
    const c = await raw.open(`${P}/Connect`, { process: { tag } })
    assert.equal((await c.next()).event.start.pid, one.pid)
    assert.equal((await signal({ tag }, 'SIGNAL_SIGTERM')).status, 200)
    assert.equal((await c.rest()).at(-1).event.end.status, 'signal: terminated')
  }
})

await check('the list, field by field', async () => {
  const config = {
    cmd: '/bin/sh',
    args: ['-c', 'sleep 60'],
    envs: { A: '1', B: 'zwei "2"' },
    cwd: '/usr',
  }
  const s = await raw.open(`${P}/Start`, { process: config, tag: 't' })
  const { pid } = (await s.next()).event.start
  assert.deepEqual(
    (await list()).find((p) => p.pid === pid),
    { config, pid, tag: 't' },
  )
  await kill(pid)
  await s.rest()
  const bare = await raw.open(`${P}/Start`, { process: { cmd: 'cat' } })
  const other = (await bare.next()).event.start.pid
  assert.deepEqual(
    (await list()).find((p) => p.pid === other),
    { config: { cmd: 'cat' }, pid: other },
  )
  await kill(other)
})

// --- signals, input

await check('signals: by name, by number; none', async () => {
  const { pid, stream } = await start(
    'trap "echo usr1" USR1; trap "exit 4" TERM; echo up; while :; do sleep 0.05; done',
  )
  assert.ok((await stream.next()).event.data)
  for (const s of ['SIGNAL_UNSPECIFIED', 0, undefined, 65, -1, 999])
    refused(await signal({ pid }, s), 501, 'unimplemented')
  for (const s of ['SIGNAL_NONE', 1.5, 2 ** 31, {}])
    refused(await signal({ pid }, s), 400, 'invalid_argument')
  refused(await signal(undefined, 'SIGNAL_SIGKILL'), 501, 'unimplemented')
  refused(await signal({}, 'SIGNAL_SIGKILL'), 501, 'unimplemented')
  for (const s of ['SIGNAL_SIGUSR1', 10]) {
    // the protocol names two, ours any
    assert.deepEqual((await signal({ pid }, s)).json, {})
    await sleep(200)
  }
  assert.deepEqual((await signal({ pid }, 'SIGNAL_SIGTERM')).json, {})
  const messages = await stream.rest()
  assert.equal(printed(messages).toString(), 'usr1\nusr1\n')
  assert.equal(messages.at(-1).event.end.exitCode, 4)
})

await check('stdin is a pipe unless it is said that there is none', async () => {
  const { pid, stream } = await start('cat')
  assert.equal(
    (await raw.call(`${P}/SendInput`, { process: { pid }, input: { stdin: base64('x') } })).status,
    200,
  )
  await raw.call(`${P}/CloseStdin`, { process: { pid } })
  assert.equal(printed(await stream.rest()).toString(), 'x')
  const none = await start('cat; sleep 60', { stdin: false })
  refused(
    await raw.call(`${P}/SendInput`, { process: { pid: none.pid }, input: { stdin: 'eA==' } }),
    500,
    'internal',
    /stdin not enabled or closed/,
  )
  await kill(none.pid)
})

await check('input of the wrong kind, or of none', async () => {
  const { pid } = await start('sleep 60', { stdin: true })
  const send = (input, to = { pid }) => raw.call(`${P}/SendInput`, { process: to, input })
  refused(await send({ pty: 'eA==' }), 500, 'internal')
  refused(await send({ pty: 'eA==', stdin: 'eA==' }), 400, 'invalid_argument', /not both/)
  const none = await send(undefined)
  assert.ok([400, 501].includes(none.status), none.text)
  refused(await send({ stdin: 'eA==' }, { pid: 4000000 }), 404, 'not_found')
  assert.equal((await send({ stdin: '' })).status, 200)
  const close = () => raw.call(`${P}/CloseStdin`, { process: { pid } })
  assert.deepEqual((await close()).json, {})
  assert.deepEqual((await close()).json, {})
  refused(await send({ stdin: 'eA==' }), 500, 'internal', /stdin not enabled or closed/)
  await kill(pid)
  refused(await raw.call(`${P}/CloseStdin`, { process: { pid: 4000000 } }), 404, 'not_found')
})

await check('input at once: message after message, and the end behind all of them', async () => {
  const { pid, stream } = await start('sleep 0.3; cat', { stdin: true })
  const read = stream.rest()
  const send = (letter) =>
    raw.call(`${P}/SendInput`, {
      process: { pid },
      input: { stdin: base64(letter.repeat(700000)) },
    })
  const sent = [...'abcdefgh'].map(send)
  await sleep(200) // they fill the pipe, and wait
  const closed = raw.call(`${P}/CloseStdin`, { process: { pid } })
  assert.ok((await Promise.all([...sent, closed])).every((a) => a.status === 200))
  const runs = printed(await read)
    .toString()
    .match(/(.)\1*/g)
  assert.deepEqual(runs.map((r) => r.length), Array(8).fill(700000))
})

await check('who sends input is none of those that wait for a slow reader', async () => {
  const { pid, stream } = await start('yes | head -c 20000000', { stdin: true })
  const input = { stdin: 'A'.repeat(400000) } // for nobody: it waits as long as the process is there
  const sent = raw.call(`${P}/SendInput`, { process: { pid }, input })
  await sleep(2500)
  assert.equal(printed(await stream.rest()).length, 20000000)
  refused(await sent, 404, 'not_found')
})

await check('input that its reader has had enough of: as if the process had gone', async () => {
  const { pid, stream } = await start('exec </dev/null; echo deaf; sleep 1; echo after', {
    stdin: true,
  })
  assert.equal(printed([await stream.next()]).toString(), 'deaf\n')
  refused(
    await raw.call(`${P}/SendInput`, { process: { pid }, input: { stdin: 'eA==' } }),
    404,
    'not_found',
    /its reader has gone/,
  )
  assert.equal(printed(await stream.rest()).toString(), 'after\n')

  const full = await start('sleep 1', { stdin: true })
  const stdin = base64('x'.repeat(200000))
  refused(
    await raw.call(`${P}/SendInput`, { process: { pid: full.pid }, input: { stdin } }),
    404,
    'not_found',
  )
  assert.equal((await full.stream.rest()).at(-1).event.end.exited, true)
})

await check('a terminal', async () => {
  const { pid, stream } = await start('stty size; read x; stty size; echo "<$x>"', {
    pty: { size: { cols: 70, rows: 20 } },
  })
  const process = { pid }
  assert.equal(printed([await stream.next()], 'pty').toString(), '20 70\r\n')
  assert.deepEqual(
    (await raw.call(`${P}/Update`, { process, pty: { size: { cols: 71, rows: 21 } } })).json,
    {},
  )
  assert.deepEqual((await raw.call(`${P}/Update`, { process })).json, {})
  refused(await raw.call(`${P}/CloseStdin`, { process }), 500, 'unknown', /Ctrl\+D/)
  refused(await raw.call(`${P}/SendInput`, { process, input: { stdin: 'eA==' } }), 500, 'internal')
  await raw.call(`${P}/SendInput`, { process, input: { pty: base64('in\n') } })
  const shown = printed(await stream.rest(), 'pty').toString()
  assert.equal(shown, 'in\r\n21 71\r\n<in>\r\n')
})

await check('a size for what is no terminal', async () => {
  const { pid } = await start('sleep 60')
  refused(
    await raw.call(`${P}/Update`, { process: { pid }, pty: { size: { cols: 1, rows: 1 } } }),
    500,
    'internal',
  )
  refused(
    await raw.call(`${P}/Update`, {
      process: { pid: 4000000 },
      pty: { size: { cols: 1, rows: 1 } },
    }),
    404,
    'not_found',
  )
  await kill(pid)
})

await check('input as a stream', async () => {
  const { pid, stream } = await start('sha256sum', { stdin: true })
  const body = noise(3 << 20)
  const parts = [{ start: { process: { pid } } }, { keepalive: {} }]
  for (let at = 0; at < body.length; at += 100000) {
    parts.push({ data: { input: { stdin: body.subarray(at, at + 100000).toString('base64') } } })
  }
  const s = await raw.open(`${P}/StreamInput`, Buffer.concat(parts.map((m) => envelope(m))))
  assert.deepEqual([s.status, s.headers['content-type']], [200, STREAM])
  assert.deepEqual([await s.rest(), s.end], [[{}], {}])
  await raw.call(`${P}/CloseStdin`, { process: { pid } })
  assert.equal(
    printed(await stream.rest())
      .toString()
      .split(' ')[0],
    sha256(body),
  )
})

await check('input as a stream: as it is typed', async () => {
  const { pid, stream } = await start('while read -r l; do echo "got $l"; done', { stdin: true })
  const [request, waits] = raw.begin('POST', `/${P}/StreamInput`, {
    'content-type': STREAM,
    'transfer-encoding': 'chunked',
  })
  request.write(envelope({ start: { process: { pid } } }))
  for (const word of ['one', 'two']) {
    const frame = envelope({ data: { input: { stdin: base64(`${word}\n`) } } })
    request.write(frame.subarray(0, 7))
    await sleep(30)
    request.write(frame.subarray(7))
    assert.equal(printed([await stream.next()]).toString(), `got ${word}\n`)
  }
  request.end(envelope({}, 2))
  assert.equal((await waits).statusCode, 200)
  await raw.call(`${P}/CloseStdin`, { process: { pid } })
  assert.equal((await stream.rest()).at(-1).event.end.exited, true)
})

await check('input as a stream: what goes wrong', async () => {
  const error = async (...parts) => {
    const s = await raw.open(`${P}/StreamInput`, Buffer.concat(parts.map((m) => envelope(m))))
    return s.error()
  }
  assert.equal((await error({ start: { process: { pid: 4000000 } } })).code, 'not_found')
  assert.ok((await error({ data: { input: { stdin: 'eA==' } } })).code)
  const { pid } = await start('sleep 60', { stdin: false })
  assert.equal(
    (await error({ start: { process: { pid } } }, { data: { input: { stdin: 'eA==' } } })).code,
    'internal',
  )
  await kill(pid)
})

await check('replay only where it is asked for', async () => {
  const { pid, stream } = await start('echo early; sleep 60')
  await stream.next()
  const plain = await raw.open(`${P}/Connect`, { process: { pid } })
  const again = await raw.open(`${P}/Connect`, { process: { pid }, replay: true })
  assert.equal((await again.next()).event.start.pid, pid)
  assert.deepEqual(await again.next(), { event: { data: { stdout: base64('early\n') } } })
  await kill(pid)
  assert.equal(printed(await plain.rest()).toString(), '')
})

// --- the box

await check('GET /health', async () => {
  const a = await raw.ask('GET', '/health')
  assert.deepEqual([a.status, a.text, a.headers['cache-control']], [204, '', 'no-store'])
})

await check('GET /metrics', async () => {
  const a = await raw.ask('GET', '/metrics')
  assert.match(a.headers['content-type'], /^application\/json/)
  const m = a.json
  assert.deepEqual(Object.keys(m).sort(), [
    'cpu_count',
    'cpu_used_pct',
    'disk_total',
    'disk_used',
    'mem_cache',
    'mem_total',
    'mem_total_mib',
    'mem_used',
    'mem_used_mib',
    'ts',
  ])
  assert.ok(
    Object.values(m).every((v) => typeof v === 'number'),
    a.text,
  )
  assert.ok(Math.abs(m.ts - Date.now() / 1000) < 3)
  assert.equal(m.mem_total_mib, Math.floor(m.mem_total / 2 ** 20))
})

const PAGE = { origin: 'https://example.org' }
await check('a web page may ask first', async () => {
  for (const path of [`/${P}/Start`, '/files', '/health', '/init']) {
    const a = await raw.ask('OPTIONS', path, {
      headers: {
        ...PAGE,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type,x-access-token',
      },
    })
    assert.deepEqual([a.status, a.text], [204, ''], path)
    assert.equal(a.headers['access-control-allow-origin'], '*')
    assert.match(a.headers['access-control-allow-methods'], /POST/)
    assert.match(
      a.headers['access-control-allow-headers'].toLowerCase(),
      /content-type.*x-access-token/,
    )
    assert.equal(a.headers['access-control-max-age'], '7200')
  }
})

await check('a web page may read what it is told, errors too', async () => {
  const answers = [
    await raw.call(`${P}/List`, {}, PAGE),
    await raw.call(`${F}/Stat`, { path: '/none' }, PAGE),
    await raw.ask('GET', '/files?path=/etc/passwd', { headers: PAGE }),
    await raw.ask('GET', '/files?path=/none', { headers: PAGE }),
    await raw.ask('GET', '/health', { headers: PAGE }),
    await raw.ask('GET', '/nothing', { headers: PAGE }),
    await raw.ask('GET', `/${P}/List`, { headers: PAGE }),
  ]
  const s = await raw.open(`${P}/Start`, { process: { cmd: '/bin/true' } }, PAGE)
  await s.rest()
  for (const a of [...answers, s]) {
    assert.equal(a.headers['access-control-allow-origin'], '*', a.text)
    assert.match(a.headers['access-control-expose-headers'], /Location.*Cache-Control/)
    assert.match(a.headers.vary, /Origin/)
  }
  assert.match((await raw.call(`${P}/List`, {})).headers.vary ?? '', /Origin/)
})

// --- /files

const get = (path, headers) =>
  raw.ask('GET', `/files?path=${encodeURIComponent(path)}`, { headers })
const post = (query, type, body, headers) =>
  raw.ask('POST', `/files${query}`, { headers: { 'content-type': type, ...headers }, body })
const to = (path) => `?path=${encodeURIComponent(path)}`
const OCTETS = 'application/octet-stream'

await check('GET /files: its fields', async () => {
  fs.writeFileSync(`${D}/a b.txt`, 'hello')
  fs.utimesSync(`${D}/a b.txt`, 1700000000, 1700000000)
  const a = await get(`${D}/a b.txt`)
  assert.deepEqual([a.status, a.text, a.headers['content-length']], [200, 'hello', '5'])
  assert.match(a.headers['content-type'], /^text\/plain/)
  assert.match(a.headers['content-disposition'], /^inline; filename\*?=.*a( |%20)b\.txt/)
  assert.equal(a.headers['accept-ranges'], 'bytes')
  assert.equal(a.headers['last-modified'], 'Tue, 14 Nov 2023 22:13:20 GMT')
  assert.match(a.headers.vary, /Accept-Encoding/)
})

await check('GET /files: types by name', async () => {
  for (const [name, type] of [
    ['x.json', /^application\/json/],
    ['x.html', /^text\/html/],
    ['x.png', /^image\/png/],
  ]) {
    fs.writeFileSync(`${D}/${name}`, '{}')
    assert.match((await get(`${D}/${name}`)).headers['content-type'], type)
  }
})

await check('GET /files: gzip for those who take it', async () => {
  const body = text(200000)
  fs.writeFileSync(`${D}/gz.txt`, body)
  for (const accept of ['gzip', 'gzip, deflate', 'br;q=1, gzip;q=0.5', '*']) {
    const a = await get(`${D}/gz.txt`, { 'accept-encoding': accept })
    assert.equal(a.status, 200)
    if (accept === 'gzip') assert.equal(a.headers['content-encoding'], 'gzip')
    // To those who take anything it is the server's choice.
    assert.ok(
      (a.headers['content-encoding'] ? zlib.gunzipSync(a.body) : a.body).equals(body),
      accept,
    )
  }
  for (const accept of [undefined, 'identity', 'gzip;q=0', 'br']) {
    const a = await get(`${D}/gz.txt`, accept ? { 'accept-encoding': accept } : {})
    assert.deepEqual([a.status, a.headers['content-encoding']], [200, undefined], accept)
    assert.ok(a.body.equals(body))
  }
  const none = await get(`${D}/gz.txt`, { 'accept-encoding': 'identity;q=0, br' })
  failed(none, 406)
})

await check('GET /files: nothing is never compressed', async () => {
  fs.writeFileSync(`${D}/nothing`, '')
  for (const headers of [{}, { 'accept-encoding': 'gzip, deflate' }]) {
    const a = await get(`${D}/nothing`, headers)
    assert.deepEqual(
      [a.status, a.headers['content-length'], a.headers['content-encoding']],
      [200, '0', undefined],
    )
  }
})

await check('GET /files: ranges, and not of what is compressed', async () => {
  const body = fs.readFileSync(`${D}/gz.txt`)
  for (const [range, from, end] of [
    ['bytes=0-9', 0, 10],
    ['bytes=100-', 100, body.length],
    ['bytes=-7', body.length - 7, body.length],
  ]) {
    const a = await get(`${D}/gz.txt`, { range, 'accept-encoding': 'gzip' })
    assert.deepEqual(
      [a.status, a.headers['content-range']],
      [206, `bytes ${from}-${end - 1}/${body.length}`],
    )
    assert.ok(a.body.equals(body.subarray(from, end)))
  }
  for (const range of [`bytes=${body.length}-`, 'bytes=5-2', 'bytes=x', 'lines=1-2']) {
    const bad = await get(`${D}/gz.txt`, { range })
    assert.deepEqual(
      [bad.status, bad.headers['content-range']],
      [416, `bytes */${body.length}`],
      range,
    )
  }
})

await check('GET /files: only if it is newer', async () => {
  const { headers } = await get(`${D}/a b.txt`)
  const since = (when) => get(`${D}/a b.txt`, { 'if-modified-since': when })
  assert.equal((await since(headers['last-modified'])).status, 304)
  assert.equal((await since('Tue, 14 Nov 2023 22:13:19 GMT')).status, 200)
})

await check('GET /files: errors', async () => {
  failed(await get(`${D}/none`), 404, new RegExp(`^path '${D}/none' does not exist$`))
  failed(await get(D), 400)
  failed(await raw.ask('GET', '/files?path=/etc/passwd&username=nobody-here'), 401, /nobody-here/)
  failed(await raw.ask('GET', '/files?path=/a%00b'), 400)
})

await check('POST /files: the body as it is', async () => {
  const a = await post(to(`${D}/o/1`), OCTETS, 'body')
  assert.deepEqual(
    [a.status, JSON.parse(a.text)],
    [200, [{ name: '1', path: `${D}/o/1`, type: 'file' }]],
  )
  assert.equal(fs.readFileSync(`${D}/o/1`, 'utf8'), 'body')
  const [request, waits] = raw.begin('POST', `/files${to(`${D}/o/2`)}`, {
    'content-type': OCTETS,
    'transfer-encoding': 'chunked',
  })
  for (const part of ['in ', 'three ', 'chunks']) {
    request.write(part)
    await sleep(20)
  }
  request.end()
  assert.equal((await waits).statusCode, 200)
  assert.equal(fs.readFileSync(`${D}/o/2`, 'utf8'), 'in three chunks')
})

await check('POST /files: the body, gzipped', async () => {
  const body = text(500000)
  const gzip = { 'content-encoding': 'gzip' }
  assert.equal((await post(to(`${D}/z`), OCTETS, zlib.gzipSync(body), gzip)).status, 200)
  assert.ok(fs.readFileSync(`${D}/z`).equals(body))
  const both = Buffer.concat([zlib.gzipSync('one '), zlib.gzipSync('two')]) // members add up
  assert.equal((await post(to(`${D}/z`), OCTETS, both, gzip)).status, 200)
  assert.equal(fs.readFileSync(`${D}/z`, 'utf8'), 'one two')
  for (const bad of [Buffer.from('no gzip'), zlib.gzipSync(body).subarray(0, 1000)]) {
    failed(await post(to(`${D}/z2`), OCTETS, bad, gzip), 400)
  }
  const other = await post(to(`${D}/z3`), OCTETS, 'x', { 'content-encoding': 'br' })
  assert.ok(other.status >= 400 && other.status < 500, `${other.status}`)
})

const BOUNDARY = '----of-this-test'
const part = (fields, body) =>
  Buffer.concat([
    Buffer.from(`--${BOUNDARY}\r\n${fields}\r\n\r\n`),
    Buffer.from(body),
    Buffer.from('\r\n'),
  ])
const form = (...parts) => Buffer.concat([...parts, Buffer.from(`--${BOUNDARY}--\r\n`)])
const FORM = `multipart/form-data; boundary=${BOUNDARY}`
const named = (filename, name = 'file') =>
  `Content-Disposition: form-data; name="${name}"; filename="${filename}"\r\nContent-Type: ${OCTETS}`

await check('POST /files: a form, with all kinds of parts', async () => {
  const tricky = `\r\n--${BOUNDARY.slice(0, -1)}\r\n--\r\n\r\n`
  const a = await post(
    '',
    FORM,
    form(
      part('Content-Disposition: form-data; name="note"', 'ignored'),
      part(named(`${D}/fm/a`), tricky),
      part(named(`${D}/fm/other`, 'other'), 'ignored'),
      part(named(`${D}/fm/sub/b`), ''),
      part(named(`${D}/fm/c`), noise(100000)),
    ),
  )
  assert.equal(a.status, 200, a.text)
  assert.deepEqual(
    JSON.parse(a.text).map((w) => w.path),
    [`${D}/fm/a`, `${D}/fm/sub/b`, `${D}/fm/c`],
  )
  assert.equal(fs.readFileSync(`${D}/fm/a`, 'utf8'), tricky)
  assert.equal(fs.statSync(`${D}/fm/sub/b`).size, 0)
  assert.ok(fs.readFileSync(`${D}/fm/c`).equals(noise(100000)))
  assert.equal(fs.existsSync(`${D}/fm/other`), false)
})

await check('POST /files: a form that comes in tiny pieces', async () => {
  const body = form(part(named(`${D}/fm/p1`), 'one\r\n'), part(named(`${D}/fm/p2`), '--two'))
  const [request, waits] = raw.begin('POST', '/files', {
    'content-type': FORM,
    'content-length': body.length,
  })
  for (const byte of body) request.write(Buffer.from([byte]))
  request.end()
  assert.equal((await waits).statusCode, 200)
  assert.deepEqual(
    [fs.readFileSync(`${D}/fm/p1`, 'utf8'), fs.readFileSync(`${D}/fm/p2`, 'utf8')],
    ['one\r\n', '--two'],
  )
})

await check(
  'POST /files: a form with a preamble, a quoted boundary and small field names',
  async () => {
    const body = Buffer.concat([
      Buffer.from('ignored\r\n'),
      form(part(`content-disposition: form-data; filename="${D}/fm/q"; name=file`, 'q')),
    ])
    const a = await post('', `multipart/form-data; charset=x; boundary="${BOUNDARY}"`, body)
    assert.equal(a.status, 200, a.text)
    assert.equal(fs.readFileSync(`${D}/fm/q`, 'utf8'), 'q')
  },
)

await check('POST /files: names as other clients write them', async () => {
  const field = (filename) =>
    `Content-Disposition: form-data; name="file"; ${filename}\r\nContent-Type: ${OCTETS}`
  for (const [filename, name] of [
    [`filename="${D}/nm/caf\u00e9"`, 'caf\u00e9'],
    [`filename*=utf-8''${D}/nm/h%C3%A9%20llo`, 'h\u00e9 llo'],
    [`filename=${D}/nm/bare`, 'bare'],
    [`filename="${D}/nm/a;b=c"`, 'a;b=c'],
  ]) {
    const a = await post('', FORM, form(part(field(filename), name)))
    assert.equal(a.status, 200, `${filename}: ${a.text}`)
    assert.equal(JSON.parse(a.text)[0].name, name)
    assert.equal(fs.readFileSync(`${D}/nm/${name}`, 'utf8'), name)
  }
})

await check('POST /files: forms that are none', async () => {
  for (const [type, body] of [
    ['multipart/form-data', form(part(named(`${D}/bad`), 'x'))],
    [FORM, ''],
    [FORM, part(named(`${D}/bad`), 'x')],
    [FORM, form(part('X: y', 'x')).subarray(0, 40)],
    [FORM, 'no form'],
  ]) {
    const a = await post('', type, body)
    assert.ok(a.status === 400, `${a.status} ${a.text} for ${type} ${body}`)
  }
  const twice = form(part(named(`${D}/twice`), '1'), part(named(`${D}/twice`), '2'))
  failed(await post('', FORM, twice), 400)
})

await check('POST /files: errors', async () => {
  failed(await post('', OCTETS, 'x'), 400)
  failed(await post(to(`${D}/x`), 'text/plain', 'x'), 400)
  failed(await post(to(D), OCTETS, 'x'), 400)
  failed(await post(`${to(`${D}/x`)}&username=nobody-here`, OCTETS, 'x'), 401, /nobody-here/)
  assert.equal(fs.existsSync(`${D}/x`), false)
})

await check('POST /files: metadata', async () => {
  const a = await post(to(`${D}/meta`), OCTETS, 'x', {
    'X-Metadata-Some-Key': 'Value 1',
    'x-metadata-b': '',
  })
  assert.deepEqual(JSON.parse(a.text)[0].metadata, { 'some-key': 'Value 1', b: '' })
  const entry = (await raw.call(`${F}/Stat`, { path: `${D}/meta` })).json.entry
  assert.deepEqual(entry.metadata, { 'some-key': 'Value 1', b: '' })
  failed(await post(to(`${D}/meta`), OCTETS, 'x', { 'x-metadata-k': '\xe9' }), 400)
  failed(await post(to(`${D}/meta`), OCTETS, 'x', { [`x-metadata-${'k'.repeat(247)}`]: 'v' }), 400)
  failed(await post(to(`${D}/meta`), OCTETS, 'x', { 'x-metadata-k': 'v'.repeat(4087) }), 400)
})

await check('POST /files: who goes away in the middle holds up nobody', async () => {
  const [request] = raw.begin('POST', `/files${to(`${D}/cut`)}`, {
    'content-type': OCTETS,
    'content-length': 1000,
  })
  request.write('half')
  await sleep(100)
  request.destroy()
  assert.equal((await post(to(`${D}/cut`), OCTETS, 'whole')).status, 200)
  assert.equal(fs.readFileSync(`${D}/cut`, 'utf8'), 'whole')
})

await check('POST /files/compose', async () => {
  const parts = ['one ', 'two ', 'three'].map((body, i) => {
    fs.writeFileSync(`${D}/part${i}`, body)
    return `${D}/part${i}`
  })
  const compose = (body) =>
    raw.ask('POST', '/files/compose', { headers: JSON_TYPE, body: JSON.stringify(body) })
  const a = await compose({ source_paths: parts, destination: `${D}/comp/whole`, username: 'user' })
  assert.equal(a.status, 200, a.text)
  assert.deepEqual([a.json.name, a.json.path], ['whole', `${D}/comp/whole`])
  assert.equal(fs.readFileSync(`${D}/comp/whole`, 'utf8'), 'one two three')
  assert.equal(fs.statSync(`${D}/comp/whole`).uid, 61000)
  assert.ok(parts.every((path) => !fs.existsSync(path)))
  failed(
    await compose({ source_paths: [`${D}/none`], destination: `${D}/comp/other` }),
    404,
    new RegExp(`${D}/none`),
  )
  failed(await compose({ source_paths: [], destination: `${D}/comp/other` }), 400)
  failed(await compose({ source_paths: [`${D}/comp/whole`] }), 400)
  assert.equal(fs.existsSync(`${D}/comp/other`), false)
})

// --- POST /init

const init = (body, headers = JSON_TYPE) =>
  raw.ask('POST', '/init', { headers, body: body === undefined ? undefined : JSON.stringify(body) })
const envs = async () => (await raw.ask('GET', '/envs')).json

await check('POST /init: with nothing; what version it is', async () => {
  const a = await init(undefined, {})
  assert.deepEqual([a.status, a.text], [204, ''])
  const [major, minor, patch] = a.headers['x-envd-version'].split('.').map(Number)
  assert.ok(major > 0 || minor > 6 || (minor === 6 && patch >= 4), a.headers['x-envd-version'])
  assert.equal((await init({})).status, 204)
})

await check('POST /init: variables, and all of them anew', async () => {
  assert.equal((await init({ envVars: { A: '1', B: 'zwei\n"2"' } })).status, 204)
  assert.deepEqual([(await envs()).A, (await envs()).B], ['1', 'zwei\n"2"'])
  assert.equal((await raw.sh('printf "%s|%s" "$A" "$B"')).out, '1|zwei\n"2"')
  assert.equal(
    (await raw.run({ cmd: '/bin/sh', args: ['-c', 'printf "$A"'], envs: { A: 'own' } })).out,
    'own',
  )
  await init({ envVars: { C: '3' } })
  const now = await envs()
  assert.deepEqual([now.A, now.C], [undefined, '3'])
  await init({})
  assert.equal((await envs()).C, '3')
})

await check('POST /init: what the sandbox says of itself stays', async () => {
  await init({ envVars: { E2B_SANDBOX: 'no', OTHER: '1' } })
  assert.equal((await raw.sh('echo $E2B_SANDBOX $OTHER')).out, 'true 1\n')
  const envs = await raw.ask('GET', '/envs')
  assert.equal(envs.text.match(/E2B_SANDBOX"/g).length, 1, envs.text)
  assert.equal(envs.json.E2B_SANDBOX, 'true')
  await init({ envVars: {} })
})

await check('POST /init: what is older is not applied', async () => {
  assert.equal(
    (await init({ timestamp: '2030-01-01T00:00:00.5Z', envVars: { T: 'new' } })).status,
    204,
  )
  for (const timestamp of [
    '2029-12-31T23:59:59Z',
    '2030-01-01T00:00:00.5Z',
    '2030-01-01T01:00:00+01:00',
  ]) {
    assert.equal((await init({ timestamp, envVars: { T: 'old' } })).status, 204)
    assert.equal((await envs()).T, 'new', timestamp)
  }
  await init({ timestamp: '2030-01-01T00:00:00.500000001Z', envVars: { T: 'newer' } })
  assert.equal((await envs()).T, 'newer')
})

await check('POST /init: the user and the folder for those who name none', async () => {
  await init({ timestamp: '2031-01-01T00:00:00Z', defaultUser: 'user', defaultWorkdir: '/usr/lib' })
  assert.equal((await raw.sh('id -un; pwd')).out, 'user\n/usr/lib\n')
  assert.equal(
    (await raw.sh('id -un', { headers: { authorization: basic('root') } })).out,
    'root\n',
  )
  assert.ok(
    (await raw.call(`${F}/ListDir`, { path: '' })).json.entries.every((e) =>
      e.path.startsWith('/usr/lib/'),
    ),
  )
  await init({ timestamp: '2031-01-02T00:00:00Z', defaultWorkdir: `${D}/dir` })
  fs.chownSync(`${D}/dir`, 61000, 61000)
  const placed = async (path) => (await raw.call(`${F}/Stat`, { path })).json.entry.path
  assert.equal(await placed(''), `${D}/dir`)
  const home = await placed('~')
  const made = (await post('?path=at-home', OCTETS, 'x')).json[0].path
  assert.equal(made, `${home}/at-home`, 'of a workdir only the empty path is')
})

await check('POST /init: what it has no use for is let pass', async () => {
  const a = await init({
    hyperloopIP: '10.0.0.1',
    lifecycleID: 'x',
    volumeMounts: [],
    later: { x: 1 },
  })
  assert.equal(a.status, 204, a.text)
})

await check('POST /init: what makes no sense is refused, and changes nothing', async () => {
  for (const body of [
    '{',
    '[]',
    '{"envVars":[]}',
    '{"envVars":{"A":1}}',
    '{"timestamp":"soon"}',
    '{"accessToken":5}',
  ]) {
    const a = await raw.ask('POST', '/init', { headers: JSON_TYPE, body })
    assert.equal(a.status, 400, `${body}: ${a.status} ${a.text}`)
  }
  assert.equal((await envs()).T, 'newer')
})

await check('POST /init: a token closes the box', async () => {
  const token = 'a-token-of-this-test'
  const before = await start('sleep 60')
  assert.equal((await init({ accessToken: token, timestamp: '2032-01-01T00:00:00Z' })).status, 204)
  const a = await raw.call(`${P}/List`, {})
  failed(a, 401)
  const s = await raw.open(`${P}/Start`, { process: { cmd: '/bin/true' } })
  assert.equal(s.status, 401)
  s.close()
  assert.equal((await raw.ask('GET', '/envs')).status, 401)
  assert.equal((await raw.ask('GET', '/metrics')).status, 401)
  assert.equal((await raw.ask('GET', '/health')).status, 204)
  failed(await get('/etc/passwd'), 401, /missing signature query parameter/)
  const shown = new Raw(raw.url, { 'x-access-token': token })
  assert.equal((await shown.call(`${P}/List`, {})).json.processes.length, 1)
  assert.equal((await shown.ask('GET', '/files?path=/etc/passwd')).status, 200)
  const preflight = await raw.ask('OPTIONS', `/${P}/List`, {
    headers: { ...PAGE, 'access-control-request-method': 'POST' },
  })
  assert.equal(preflight.status, 204)
  before.stream.close()
})

await check('POST /init: the same token again, no other one, not none', async () => {
  const token = 'a-token-of-this-test'
  const later = (body, n) => init({ timestamp: `2033-01-0${n}T00:00:00Z`, ...body })
  assert.equal((await later({ accessToken: token, envVars: { AFTER: 'yes' } }, 1)).status, 204)
  const other = await later({ accessToken: 'another', envVars: { AFTER: 'no' } }, 2)
  assert.equal(other.status, 401)
  assert.match(other.text, /access token validation failed/)
  const none = await later({ envVars: { AFTER: 'no' } }, 3)
  assert.equal(none.status, 401)
  assert.match(none.text, /access token reset not authorized/)
  const shown = new Raw(raw.url, { 'x-access-token': token })
  assert.equal((await shown.ask('GET', '/envs')).json.AFTER, 'yes')
  assert.equal((await shown.call(`${P}/List`, {})).status, 200)
})

done()
