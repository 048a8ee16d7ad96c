/**
 * Makes a fresh clone run: npm packages, TensorFlow, Valkey, the binding between tfjs and TensorFlow, and the build. `npm start` and `npm test` call it
 * first. Plain JavaScript without dependencies, since it runs before any exist; ARCHITECTURE.md tells what it leaves where.
 */
const USAGE = `Usage: node scripts/setup.mjs [--gpu | --cpu]

Fetches and builds all that Lockstep needs into this folder (.runtime and node_modules). Does nothing where nothing is missing.

  --gpu   TensorFlow with CUDA for NVIDIA GPUs instead of the one for the CPU (about 3.4 GB to download; untried)
  --cpu   back to the one for the CPU`

/** Node 18.15 is where every import of scripts/setup/ exists; what is older must hear so from a file that it can read. */
async function main(args) {
  const { fileURLToPath } = await import('node:url')
  const root = fileURLToPath(new URL('..', import.meta.url))
  if (args.includes('--help')) return console.log(USAGE)
  const unknown = args.find((argument) => argument !== '--gpu' && argument !== '--cpu')
  if (unknown !== undefined) return fail(`Unknown option ${unknown}.\n${USAGE}`, 2)
  const tooOld = /^v(1?\d|20\.(\d|1[0-8]))\./.test(process.version)
  if (tooOld)
    return fail(
      `Node ${process.version} is too old: Lockstep needs 20.19 or newer; install a current one (nodejs.org, nvm, or your system's packages) and run again`,
    )
  const { setUp } = await import('./setup/setup.mjs')
  const { stopCommands } = await import('./setup/command.mjs')
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 })) {
    process.once(signal, () => {
      stopCommands()
      console.error('\nStopped: run again to go on from here')
      process.exit(128 + number)
    })
  }
  try {
    await setUp(root.replace(/\/$/, ''), args.includes('--gpu') ? 'gpu' : args.includes('--cpu') ? 'cpu' : undefined)
  } catch (error) {
    if (error.name !== 'SetupError') throw error
    if (process.stdout.isTTY) process.stdout.write('\n')
    fail(error.tail === '' ? error.message : `${error.tail}\n${error.message}`)
  }
}

function fail(message, code = 1) {
  console.error(message)
  process.exitCode = code
}

await main(process.argv.slice(2))
