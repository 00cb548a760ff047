// loader.mjs: what the SDK imports of Cloudflare's runtime comes from platform.mjs. The package of
// containers is published for bundlers, so node could not load it as it is.
import { register } from 'node:module'

const platform = JSON.stringify(new URL('./platform.mjs', import.meta.url).href)
const hooks = `
  const ours = new Set(['cloudflare:workers', '@cloudflare/containers'])
  export const resolve = (name, context, next) =>
    ours.has(name) ? { url: ${platform}, shortCircuit: true } : next(name, context)
`
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
