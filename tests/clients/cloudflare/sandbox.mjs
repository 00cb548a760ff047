// sandbox.mjs: the SDK in both versions, with both ways into it: its Sandbox, the Durable Object with
// all of the public API, and its SandboxClient, which knows routes only.
//
//   for (const { v, sdk, sandbox, client } of await versions(transport)) ...
import { context } from './platform.mjs'

export const OLD = '0.7.4'
export const NEW = '0.12.10'

// `transport`: http or websocket. `name` tells apart what several suites make in a box.
export async function versions(transport = 'http', name = 'box') {
  const all = []
  for (const [v, from] of [
    [OLD, 'sandbox-old'],
    [NEW, 'sandbox-new'],
  ]) {
    const sdk = await import(from)
    const make = async (more = {}) => {
      const own = `${name}-${v.replaceAll('.', '-')}-${all.length}-${Math.random().toString(36).slice(2, 8)}`
      const s = new sdk.Sandbox(context(own), {
        SANDBOX_TRANSPORT: transport,
        SANDBOX_LOG_LEVEL: 'error',
        ...more,
      })
      await s.setSandboxName?.(own)
      return s
    }
    const socket = {
      transportMode: 'websocket',
      wsUrl: `${process.env.BOX_URL}/ws`.replace(/^http/, 'ws'),
    }
    const client = new sdk.SandboxClient({
      baseUrl: process.env.BOX_URL,
      ...(transport === 'websocket' && socket),
    })
    all.push({ v, sdk, make, sandbox: await make(), client, old: v === OLD })
  }
  return all
}

// All events of a stream.
export async function events(sdk, stream) {
  const all = []
  for await (const event of sdk.parseSSEStream(stream)) all.push(event)
  return all
}
export const printed = (all, type) =>
  all
    .filter((e) => e.type === type)
    .map((e) => e.data)
    .join('')

// The error that a call of the SDK fails with has this code.
export async function failsWith(promise, code) {
  let value
  try {
    value = await promise
  } catch (e) {
    const got = e.code ?? e.errorResponse?.code
    if (got !== code) throw new Error(`not ${code} but ${got}: ${e.name}: ${e.message}`)
    return e
  }
  throw new Error(`no ${code} but ${JSON.stringify(value)?.slice(0, 200)}`)
}
