// raw.mjs: the agent's protocol by hand: what no SDK sends or shows. Written by the book and apart
// from the program under test: what it cannot read is a failure.
//
//   const raw = new Raw('http://127.0.0.1:49983', { 'x-access-token': '...' })
//   (await raw.call('process.Process/List', {})).json.processes
//   const s = await raw.open('process.Process/Start', { process: { cmd: 'true' } })
//   for (let f; (f = await s.next()); ) ...
import assert from 'node:assert/strict'
import http from 'node:http'

export const STREAM = 'application/connect+json'
const END = 2

// One message as it is framed in a stream.
export function envelope(message, flags = 0) {
  const body = Buffer.isBuffer(message) ? message : Buffer.from(JSON.stringify(message))
  const head = Buffer.alloc(5)
  head[0] = flags
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

export const basic = (user) => `Basic ${Buffer.from(`${user}:`).toString('base64')}`
export const base64 = (text) => Buffer.from(text).toString('base64')

class Answer {
  constructor(response, body) {
    this.status = response.statusCode
    this.headers = response.headers
    this.body = body
  }
  get text() {
    return this.body.toString()
  }
  get json() {
    return JSON.parse(this.body)
  }
}

// The frames of an answer, as they come.
export class Stream {
  constructor(request, response) {
    this.request = request
    this.response = response
    this.status = response.statusCode
    this.headers = response.headers
    this.have = Buffer.alloc(0)
    this.chunks = response[Symbol.asyncIterator]()
    this.end = undefined // the message of the end-of-stream frame
  }
  async fill(n) {
    const parts = [this.have]
    let length = this.have.length
    while (length < n) {
      const { value, done } = await this.chunks.next()
      if (done) break
      parts.push(value)
      length += value.length
    }
    this.have = Buffer.concat(parts)
    return length >= n
  }
  // The next message; null once the stream has ended, which it must have said.
  async next() {
    if (!(await this.fill(5))) {
      assert.equal(this.have.length, 0, 'cut within a frame')
      assert.ok(this.end, 'the stream has ended without an end-of-stream frame')
      return null
    }
    const flags = this.have[0]
    const length = this.have.readUInt32BE(1)
    assert.ok(await this.fill(5 + length), 'cut within a frame')
    const message = JSON.parse(this.have.subarray(5, 5 + length))
    this.have = this.have.subarray(5 + length)
    assert.equal(this.end, undefined, 'a frame after the last one')
    assert.ok(flags === 0 || flags === END, `flags ${flags}`)
    if (flags !== END) return message
    this.end = message
    return this.next()
  }
  // All further messages; the end is in `end`.
  async rest() {
    const messages = []
    for (let m; (m = await this.next());) messages.push(m)
    return messages
  }
  // The error of a stream that has nothing but one.
  async error() {
    assert.equal(this.status, 200)
    assert.equal(this.headers['content-type'], STREAM)
    assert.deepEqual(await this.rest(), [])
    assert.equal(typeof this.end.error?.message, 'string', JSON.stringify(this.end))
    return this.end.error
  }
  close() {
    this.request.destroy()
  }
}

// What a command has printed, of messages.
export const printed = (messages, kind = 'stdout') =>
  Buffer.concat(messages.map((m) => Buffer.from(m.event?.data?.[kind] ?? '', 'base64')))

export class Raw {
  constructor(url, headers = {}) {
    this.url = new URL(url)
    this.headers = headers
  }

  // A request whose head is out: [ClientRequest, Promise of its IncomingMessage].
  begin(method, path, headers = {}) {
    const request = http.request({
      host: this.url.hostname,
      port: this.url.port,
      method,
      path,
      agent: false,
      headers: { ...this.headers, ...headers },
    })
    const response = new Promise((resolve, reject) => {
      request.on('response', resolve)
      request.on('error', reject)
    })
    response.catch(() => {}) // of a request that its maker has destroyed
    return [request, response]
  }

  async ask(method, path, { headers, body } = {}) {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const [request, waits] = this.begin(method, path, { ...length, ...headers })
    request.end(body)
    const response = await waits
    const parts = []
    for await (const part of response) parts.push(part)
    assert.ok(response.complete, 'the answer is cut')
    return new Answer(response, Buffer.concat(parts))
  }

  // A unary call; message: an object, or the body as it is.
  call(rpc, message, headers = {}) {
    const body =
      typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message)
    return this.ask('POST', `/${rpc}`, {
      headers: { 'content-type': 'application/json', ...headers },
      body,
    })
  }

  // A streaming call; message: an object, or all of the body.
  async open(rpc, message, headers = {}) {
    const body = Buffer.isBuffer(message) ? message : envelope(message)
    const [request, waits] = this.begin('POST', `/${rpc}`, {
      'content-type': STREAM,
      'content-length': body.length,
      ...headers,
    })
    request.end(body)
    return new Stream(request, await waits)
  }

  // A command by its stream: {pid, messages, end}.
  async run(process, { headers, ...fields } = {}) {
    const stream = await this.open('process.Process/Start', { process, ...fields }, headers)
    const messages = await stream.rest()
    return {
      pid: messages[0]?.event?.start?.pid,
      out: printed(messages).toString(),
      err: printed(messages, 'stderr').toString(),
      end: messages.at(-1)?.event?.end,
      error: stream.end.error,
      messages,
    }
  }

  sh(command, fields) {
    return this.run({ cmd: '/bin/sh', args: ['-c', command] }, fields)
  }
}
