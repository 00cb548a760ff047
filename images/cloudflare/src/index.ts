// A Worker that has an image built and run by the engine in its sandbox. Nothing polls: the first call
// is answered when dockerd is ready.
import { getSandbox } from '@cloudflare/sandbox'

export { Sandbox } from '@cloudflare/sandbox'

const DOCKERFILE = `FROM alpine
CMD ["echo", "hello from a container in a container"]
`

export default {
  async fetch(_request: Request, env: Env): Promise<Response> {
    const sandbox = getSandbox(env.Sandbox, 'docker')
    await sandbox.writeFile('/workspace/Dockerfile', DOCKERFILE)
    const built = await sandbox.exec('docker build --network=host -t hello /workspace')
    if (!built.success) return new Response(built.stderr, { status: 500 })
    const ran = await sandbox.exec('docker run --rm --network=host hello')
    return new Response(ran.stdout + ran.stderr, { status: ran.success ? 200 : 500 })
  },
}
