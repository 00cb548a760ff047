// control-plane.mjs: as much of E2B's API and of the proxy before its sandboxes as the published
// clients need, with one pinnace for each sandbox. By hand, as root:
//
//   PINNACE=build/pinnace node tests/clients/e2b/control-plane.mjs
//
// prints the variables that point a client at it. A sandbox is a PID namespace here, no more: what
// runs in it sees this machine's files and network. Nothing for production.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const PORT = 49983 // of the agent, as clients name it
const HERE = path.dirname(fs.realpathSync(fileURLToPath(import.meta.url)))
export const VERSION = '0.6.13' // of the agent whose protocol is spoken

const collect = async (request) => {
  const parts = []
  for await (const part of request) parts.push(part)
  const body = Buffer.concat(parts)
  return body.length ? JSON.parse(body) : {}
}

function answer(response, status, body, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(body === undefined ? undefined : JSON.stringify(body))
}

async function freePort() {
  const server = http.createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

class Sandbox {
  constructor(plane, asked) {
    this.id = `i${randomBytes(10).toString('hex')}`.slice(0, 20)
    this.plane = plane
    this.asked = asked
    this.token = asked.secure === false ? undefined : randomBytes(16).toString('hex')
    this.started = new Date()
  }

  // Boot, and tell the agent what E2B's own orchestrator tells it.
  async boot() {
    const dir = path.join(this.plane.dir, this.id)
    this.port = await freePort()
    fs.mkdirSync(dir, { mode: 0o711 })
    fs.writeFileSync(
      `${dir}/box.ini`,
      [
        '[pinnace]',
        `run-dir = ${dir}/run`,
        '[engine]',
        'enabled = no',
        '[channel e2b]',
        'dialect = e2b',
        `listen = tcp:127.0.0.1:${this.port}`,
        '',
      ].join('\n'),
    )
    const log = fs.openSync(`${dir}/log`, 'a')
    this.process = spawn(
      'unshare',
      [
        '-p',
        '-f',
        '--mount-proc',
        '--kill-child',
        '--',
        `${HERE}/enter`,
        dir,
        this.plane.pinnace,
        '--',
      ],
      {
        stdio: ['ignore', log, log],
        env: { PATH: process.env.PATH, PINNACE_CONFIG: `${dir}/box.ini` },
      },
    )
    fs.closeSync(log)
    this.process.on('error', () => {})
    this.plane.processes.add(this.process)
    this.ended = new Promise((resolve) => this.process.on('exit', resolve))
    this.ended.then(() => this.plane.processes.delete(this.process))
    for (
      let left = 500;
      (await this.ask('GET', '/health').catch(() => ({}))).status !== 204;
      left--
    ) {
      if (!left || this.process.exitCode !== null)
        throw new Error(fs.readFileSync(`${dir}/log`, 'utf8'))
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    const told = await this.ask('POST', '/init', {
      accessToken: this.token,
      envVars: {
        E2B_SANDBOX_ID: this.id,
        E2B_TEMPLATE_ID: this.asked.templateID,
        ...this.asked.envVars,
      },
      defaultUser: 'user',
      timestamp: new Date().toISOString(),
    })
    if (told.status !== 204) throw new Error(`/init: ${told.status} ${told.text}`)
    this.expire(this.asked.timeout ?? 300)
  }

  ask(method, where, body) {
    return new Promise((resolve, reject) => {
      const request = http.request(
        {
          host: '127.0.0.1',
          port: this.port,
          method,
          path: where,
          agent: false,
          headers: {
            'content-type': 'application/json',
            ...(this.token && { 'x-access-token': this.token }),
          },
        },
        async (response) => {
          let text = ''
          for await (const part of response) text += part
          resolve({ status: response.statusCode, text })
        },
      )
      request.on('error', reject)
      request.end(body && JSON.stringify(body))
    })
  }

  // In so many seconds; with `extend` only if that is later.
  expire(seconds, extend = false) {
    const end = new Date(Date.now() + seconds * 1000)
    if (extend && end < this.end) return
    this.end = end
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.kill(), Math.min(seconds * 1000, 2 ** 31 - 1)).unref()
  }

  async kill() {
    clearTimeout(this.timer)
    this.plane.sandboxes.delete(this.id)
    this.process?.kill('SIGKILL') // its child, PID 1 of the namespace, goes with it
    await this.ended
  }

  get view() {
    return {
      sandboxID: this.id,
      templateID: this.asked.templateID ?? 'base',
      alias: 'base',
      clientID: 'local',
      domain: null,
      envdVersion: this.plane.version,
      envdAccessToken: this.token,
      state: 'running',
      startedAt: this.started.toISOString(),
      endAt: this.end.toISOString(),
      cpuCount: os.cpus().length,
      memoryMB: Math.round(os.totalmem() / 2 ** 20),
      diskSizeMB: 1024,
      metadata: this.asked.metadata ?? {},
    }
  }

  async metrics() {
    const m = JSON.parse((await this.ask('GET', '/metrics')).text)
    return [
      {
        timestamp: new Date(m.ts * 1000).toISOString(),
        timestampUnix: m.ts,
        cpuCount: m.cpu_count,
        cpuUsedPct: m.cpu_used_pct,
        memUsed: m.mem_used,
        memTotal: m.mem_total,
        memCache: m.mem_cache,
        diskUsed: m.disk_used,
        diskTotal: m.disk_total,
      },
    ]
  }
}

export class ControlPlane {
  constructor({
    pinnace = process.env.PINNACE,
    version = VERSION,
    apiKey = `e2b_${randomBytes(20).toString('hex')}`,
  } = {}) {
    Object.assign(this, { pinnace: path.resolve(pinnace), version, apiKey })
    this.sandboxes = new Map()
    this.processes = new Set()
    process.on('exit', () => this.processes.forEach((one) => one.kill('SIGKILL')))
    this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'pinnace-e2b-'))
    fs.chmodSync(this.dir, 0o711)
  }

  async start() {
    const listen = async (serve) => {
      const server = http.createServer(serve)
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
      return [server, `http://127.0.0.1:${server.address().port}`]
    }
    ;[this.api, this.apiUrl] = await listen((q, r) =>
      this.serve(q, r).catch((e) => answer(r, 500, { code: 500, message: String(e) })),
    )
    ;[this.edge, this.sandboxUrl] = await listen((q, r) => this.proxy(q, r))
    return this
  }

  get env() {
    return {
      E2B_API_URL: this.apiUrl,
      E2B_SANDBOX_URL: this.sandboxUrl,
      E2B_API_KEY: this.apiKey,
      E2B_DEBUG: 'false',
    }
  }

  // What clients ask of E2B: api.DOMAIN.
  async serve(request, response) {
    const url = new URL(request.url, 'http://x')
    const [, id, what] = url.pathname.match(
      /^(?:\/v2)?\/sandboxes(?:\/([^/]+))?(?:\/([^/]+))?$/,
    ) ?? [, 'none']
    if (request.headers['x-api-key'] !== this.apiKey)
      return answer(response, 401, { code: 401, message: 'wrong API key' })
    const body = await collect(request)
    const route = `${request.method} ${what ?? (id ? 'one' : 'all')}`
    if (route === 'POST all') {
      const made = new Sandbox(this, body)
      await made.boot().catch(async (e) => {
        await made.kill()
        throw e
      })
      this.sandboxes.set(made.id, made)
      return answer(response, 201, made.view)
    }
    if (route === 'GET all') return this.list(url.searchParams, response)
    const s = this.sandboxes.get(id)
    if (!s) return answer(response, 404, { code: 404, message: `sandbox "${id}" not found` })
    switch (route) {
      case 'GET one':
        return answer(response, 200, s.view)
      case 'DELETE one':
        await s.kill()
        return answer(response, 204)
      case 'POST connect':
        s.expire(body.timeout ?? 300, true)
        return answer(response, 200, s.view)
      case 'POST timeout':
        s.expire(body.timeout)
        return answer(response, 204)
      case 'GET metrics':
        return answer(response, 200, await s.metrics())
      case 'GET address':
        return answer(response, 200, { url: `http://127.0.0.1:${s.port}`, pid: s.process.pid })
      default:
        return answer(response, 404, {
          code: 404,
          message: `no ${request.method} ${url.pathname} here`,
        })
    }
  }

  list(query, response) {
    const wanted = Object.fromEntries(new URLSearchParams(query.get('metadata') ?? ''))
    let all = [...this.sandboxes.values()]
      .map((s) => s.view)
      .filter((s) =>
        Object.entries(wanted).every(
          ([k, v]) => s.metadata[decodeURIComponent(k)] === decodeURIComponent(v),
        ),
      )
      .sort((a, b) => b.startedAt.localeCompare(a.startedAt))
    const from = Number(query.get('nextToken') ?? 0)
    const limit = Number(query.get('limit') ?? 100)
    const more = from + limit < all.length ? { 'x-next-token': String(from + limit) } : {}
    answer(response, 200, all.slice(from, from + limit), more)
  }

  // What clients ask of a sandbox: it is named in a header.
  proxy(request, response) {
    const id = request.headers['e2b-sandbox-id']
    const s = this.sandboxes.get(id)
    const gone = () => {
      if (response.headersSent) response.destroy()
      else answer(response, 502, { sandboxId: id, message: 'The sandbox was not found', code: 502 })
    }
    if (!s || Number(request.headers['e2b-sandbox-port'] ?? PORT) !== PORT) return gone()
    const inner = http.request(
      {
        host: '127.0.0.1',
        port: s.port,
        method: request.method,
        path: request.url,
        headers: request.headers,
        agent: false,
      },
      (told) => {
        response.writeHead(told.statusCode, told.headers)
        told.on('error', () => response.destroy())
        told.on('aborted', () => response.destroy())
        told.pipe(response)
      },
    )
    inner.on('error', gone)
    response.on('close', () => inner.destroy())
    request.pipe(inner)
  }

  async stop() {
    await Promise.all([...this.sandboxes.values()].map((s) => s.kill()))
    for (const server of [this.api, this.edge]) {
      server.closeAllConnections()
      server.close()
    }
    fs.rmSync(this.dir, { recursive: true, force: true })
  }
}

if (fs.realpathSync(process.argv[1]) === fs.realpathSync(fileURLToPath(import.meta.url))) {
  const plane = await new ControlPlane().start()
  for (const [name, value] of Object.entries(plane.env)) console.log(`export ${name}=${value}`)
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => plane.stop().then(() => process.exit(0)))
}
