/** `npm run bench -- NAME [ARGUMENT…]`: runs one measurement of bench/src; without a name, lists them. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const folder = join(dirname(fileURLToPath(import.meta.url)), 'dist')
const names = existsSync(folder)
  ? readdirSync(folder)
      .filter((file) => file.endsWith('.js') && !file.endsWith('.test.js'))
      .map((file) => file.slice(0, -3))
  : []
const [name, ...args] = process.argv.slice(2)
if (name === undefined || !names.includes(name)) {
  console.error(`Usage: npm run bench -- NAME\nMeasurements: ${names.join(', ')}`)
  process.exitCode = 2
} else {
  // What it leaves behind, however it ends, goes with this folder.
  const scratch = mkdtempSync(join(tmpdir(), 'lockstep-bench-'))
  const ending = pathToFileURL(join(folder, 'method', 'ending.js')).href
  const child = spawn(process.execPath, ['--import', ending, join(folder, `${name}.js`), ...args], {
    stdio: 'inherit',
    env: { ...process.env, TMPDIR: scratch },
  })
  // Ctrl-C reaches the whole process group; the measurement clears up and ends, and so then do we.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  child.on('close', (code, signal) => {
    rmSync(scratch, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 })
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}
