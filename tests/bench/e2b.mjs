// What the published E2B SDK measures against a box: node e2b.mjs FOLDER ROUND_TRIPS MIB DIRECTORY
// FOLDER has its node_modules, E2B_DEBUG and E2B_SANDBOX_URL say where the box is. Prints JSON:
// milliseconds of each command, and MiB/s.
import { createRequire } from 'node:module'

const [folder, trips, mib, directory] = process.argv.slice(2)
const { Sandbox } = createRequire(`${folder}/package.json`)('e2b')
const MIB = 1 << 20
const box = await Sandbox.create()

async function timed(work) {
  const began = performance.now()
  await work()
  return performance.now() - began
}

// Whatever root's login scripts do here is not what is measured.
const envs = { HOME: directory }
const rate = (bytes, ms) => bytes / MIB / (ms / 1000)

const commands = []
for (let i = 0; i < Number(trips) + 20; i++) commands.push(await timed(() => box.commands.run('true', { envs })))

const bytes = Number(mib) * MIB
let seen = 0
const stdout = await timed(() =>
  box.commands.run(`head -c ${bytes} /dev/zero | tr '\\0' a`, {
    envs,
    timeoutMs: 600_000,
    onStdout: (text) => void (seen += text.length),
  }),
)
if (seen !== bytes) throw new Error(`${seen} of ${bytes} bytes of stdout`)

const path = `${directory}/e2b`
const content = new Blob([Buffer.alloc(bytes / 4, 'pinnace ')])
const up = await timed(() => box.files.write(path, content, { requestTimeoutMs: 600_000 }))
let down = 0
const got = await timed(async () => {
  for await (const piece of await box.files.read(path, { format: 'stream', requestTimeoutMs: 600_000 }))
    down += piece.length
})
if (down !== bytes / 4) throw new Error(`${down} of ${bytes / 4} bytes of a file`)

console.log(
  JSON.stringify({
    commands: commands.slice(20),
    stdout: rate(bytes, stdout),
    upload: rate(bytes / 4, up),
    download: rate(bytes / 4, got),
  }),
)
