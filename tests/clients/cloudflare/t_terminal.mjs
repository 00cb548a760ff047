// Terminals, by the way that a Worker goes: getSandbox(...).terminal(request).
import assert from 'node:assert/strict'
import { WebSocket } from 'ws'
import { check, done, gone, mark, running, until } from './tap.mjs'
import { versions } from './sandbox.mjs'

class Terminal {
  constructor(ws) {
    Object.assign(this, { ws, out: '', words: [], code: null })
    ws.on('message', (data, binary) => {
      if (binary) this.out += data.toString()
      else this.words.push(JSON.parse(data.toString()))
    })
    ws.on('close', (code) => (this.code = code))
  }
  type(text) {
    this.out = ''
    this.ws.send(Buffer.from(text))
  }
  resize(cols, rows) {
    this.ws.send(JSON.stringify({ type: 'resize', cols, rows }))
  }
  async shows(what) {
    const found = () => (what instanceof RegExp ? what.test(this.out) : this.out.includes(what))
    assert.ok(await until(found), `no ${what} in ${JSON.stringify(this.out.slice(-500))}`)
  }
  async says(type) {
    const word = () => this.words.find((w) => w.type === type)
    assert.ok(await until(word), `no ${type} but ${JSON.stringify(this.words)}`)
    return word()
  }
}

for (const { v, sdk, sandbox, make } of await versions('http', 'pty')) {
  const open = async (sb, options) => {
    const box = sdk.getSandbox({ idFromName: (n) => n, get: () => sb }, `pty-${v}`)
    const upgrade = { Upgrade: 'websocket', Connection: 'Upgrade' }
    const r = await box.terminal(new Request('http://worker/', { headers: upgrade }), options)
    assert.ok(r.webSocket, `HTTP ${r.status}`)
    const t = new Terminal(r.webSocket)
    r.webSocket.accept()
    return t
  }

  await check(`${v}: a terminal of the size asked for`, async () => {
    const t = await open(sandbox, { cols: 91, rows: 27 })
    await t.says('ready')
    t.type('stty size; tty\n')
    await t.shows('27 91')
    await t.shows('/dev/pts/')
    t.resize(120, 40)
    t.type('stty size\n')
    await t.shows('40 120')
    t.ws.close()
  })

  await check(`${v}: ^C interrupts, and jobs can be controlled`, async () => {
    const t = await open(await make(), { cols: 80, rows: 24 })
    await t.says('ready')
    const m = mark()
    t.type(`sleep ${m}\n`)
    assert.ok(await until(() => running(`sleep ${m}`).length))
    t.type('\x03')
    assert.ok(await gone(`sleep ${m}`))
    t.type('echo status-$?\n')
    await t.shows('status-130')
    t.type(`sleep ${m} & jobs\n`)
    await t.shows('Running')
    t.type('kill %1; wait; echo ov$((1+1))er\n')
    await t.shows('ov2er')
    t.ws.close()
  })

  await check(`${v}: it stays, and shows what was printed`, async () => {
    const sb = await make()
    const a = await open(sb, { cols: 80, rows: 24 })
    await a.says('ready')
    a.type('X=kept; echo one-$((1+1))\n')
    await a.shows('one-2')
    const b = await open(sb, { cols: 80, rows: 24 })
    await b.says('ready')
    await b.shows('one-2')
    a.ws.close()
    b.type('echo [$X]\n')
    await b.shows('[kept]')
    b.type('exit 7\n')
    assert.equal((await b.says('exit')).code, 7)
    assert.ok(await until(() => b.code === 1000), `closed with ${b.code}`)
    const c = await open(sb, { cols: 80, rows: 24 })
    await c.says('ready')
    c.type('echo [$X]\n')
    await c.shows('[]')
    c.ws.close()
  })

  await check(`${v}: 4 MB of output`, async () => {
    const t = await open(await make(), { cols: 80, rows: 24 })
    await t.says('ready')
    let bytes = 0
    t.ws.on('message', (data) => (bytes += data.length))
    t.type('seq 1 500000; echo la$((1+1))st\n')
    assert.ok(await until(() => t.out.includes('la2st'), 15000))
    assert.ok(bytes > 3_880_000, `${bytes} bytes`)
    t.ws.close()
  })

  await check(`${v}: it is the session's`, async () => {
    const sb = await make()
    const s = await sb.createSession({ id: `pty-own-${v}`, env: { MINE: 'yes' }, cwd: '/usr' })
    const ws = new WebSocket(
      `${process.env.BOX_URL.replace('http', 'ws')}/ws/pty?sessionId=${encodeURIComponent(s.id)}`,
    )
    const t = new Terminal(ws)
    await t.says('ready')
    t.type('echo $MINE; pwd\n')
    await t.shows('yes')
    await t.shows('/usr')
    await sb.deleteSession(s.id)
    await t.says('exit')
    assert.ok(await until(() => t.code === 1000))
  })
}

done()
