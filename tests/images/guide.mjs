// The example of Cloudflare's guide, through its SDK: write a Dockerfile, have it built, run it.
//   node --import ./loader.mjs guide.mjs        BOX_URL: the box
// One line of JSON for each version. Nothing waits for dockerd here: the first call does.
import { versions } from './sandbox.mjs'

const DOCKERFILE = `FROM tiny
RUN echo built >/made
CMD ["cat", "/made"]
`
const began = Date.now()
for (const { v, sandbox } of await versions('http', 'guide')) {
  const first = await sandbox.exec('docker version --format {{.Server.Version}}')
  const waited = Date.now() - began
  await sandbox.exec("docker import -c 'ENV PATH=/bin' /opt/tiny.tar tiny")
  await sandbox.mkdir('/workspace/app', { recursive: true })
  await sandbox.writeFile('/workspace/app/Dockerfile', DOCKERFILE)
  const build = await sandbox.exec(`docker build --network=host -t guide-${v} /workspace/app`)
  const run = await sandbox.exec(`docker run --rm --network=host guide-${v}`)
  const lines = []
  await sandbox.exec(`docker run --rm --network=host guide-${v} sh -c 'echo a; echo b'`, {
    stream: true,
    onOutput: (_stream, data) => lines.push(data),
  })
  console.log(JSON.stringify({ v, waited, first, build, run, streamed: lines.join('') }))
}
process.exit()
