// platform.mjs: as much of Cloudflare's runtime as the SDK needs. There is one container, the box at
// BOX_URL; a Durable Object's storage is a Map.
import { WebSocket } from 'ws'

globalThis.WebSocket ??= WebSocket

const box = process.env.BOX_URL

// --- cloudflare:workers

export class DurableObject {
  constructor(ctx, env) {
    Object.assign(this, { ctx, env })
  }
}
export class WorkerEntrypoint extends DurableObject {}
export class RpcTarget {}
export class RpcStub {}
export const env = {}
export const exports = {}
export const waitUntil = () => {}
const span = new Proxy({}, { get: () => () => span })
const within = (_name, ...rest) => rest.findLast((a) => typeof a === 'function')?.(span) ?? span
export const tracing = { enterSpan: within, startActiveSpan: within, getActiveSpan: () => span }

// --- @cloudflare/containers

const here = (url) => {
  const { pathname, search } = new URL(url)
  return pathname + search
}

// As a Worker's fetch() does it: the answer holds the socket, which gives nothing until accept().
function connect(request) {
  const ws = new WebSocket(box.replace(/^http/, 'ws') + here(request.url))
  const early = []
  const keep = (...frame) => early.push(frame)
  ws.on('message', keep)
  ws.accept = () =>
    setImmediate(() => {
      ws.off('message', keep)
      for (const frame of early) ws.emit('message', ...frame)
    })
  return new Promise((resolve, reject) => {
    ws.once('open', () =>
      resolve({ status: 101, ok: false, statusText: '', headers: new Headers(), webSocket: ws }),
    )
    ws.once('unexpected-response', (_, r) => resolve(new Response(null, { status: r.statusCode })))
    ws.once('error', reject)
  })
}

async function ask(what, init) {
  const request = what instanceof Request ? what : new Request(what, Object(init))
  if (request.headers.has('upgrade')) return connect(request)
  const { method, headers, signal } = request
  const body = request.body ? await request.arrayBuffer() : undefined
  return fetch(box + here(request.url), { method, headers, signal, body, redirect: 'manual' })
}

export class Container extends DurableObject {
  defaultPort = 3000
  sleepAfter = '10m'
  envVars = {}
  containerFetch = ask
  fetch = ask
  async getState() {
    return { status: 'healthy', lastChange: Date.now() }
  }
}
for (const name of [
  'startAndWaitForPorts',
  'start',
  'stop',
  'destroy',
  'schedule',
  'deleteSchedules',
  'setOutboundByHost',
  'setOutboundByHosts',
])
  Container.prototype[name] = async () => {}
Container.prototype.renewActivityTimeout = () => {}

export class ContainerProxy {}
export const getContainer = (namespace, id) => namespace.get(namespace.idFromName(id))
export const outboundParams = () => ({})
export function switchPort(request, port) {
  const headers = new Headers(request.headers)
  headers.set('cf-container-target-port', port)
  return new Request(request, { headers })
}

// --- a Durable Object's own

export function context(name) {
  const kept = new Map()
  const storage = {
    get: async (key) => kept.get(key),
    put: async (key, value) => void kept.set(key, value),
    delete: async (key) => kept.delete(key),
    list: async () => new Map(kept),
    deleteAll: async () => kept.clear(),
    transaction: (act) => act(storage),
    getAlarm: async () => null,
    setAlarm: async () => {},
    deleteAlarm: async () => {},
    sync: async () => {},
    sql: { exec: () => ({ toArray: () => [] }) },
  }
  return {
    id: { name, toString: () => name },
    storage,
    blockConcurrencyWhile: (act) => act(),
    waitUntil: () => {},
    container: { running: true, getTcpPort: () => ({ fetch: ask }), monitor: async () => {} },
    exports: {},
    props: {},
  }
}
