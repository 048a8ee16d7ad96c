/** `npm run bench -- NAME [ARGUMENT…]`: runs one measurement of bench/src; without a name, lists them. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

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
  const child = spawn(process.execPath, [join(folder, `${name}.js`), ...args], { stdio: 'inherit' })
  // Ctrl-C reaches the whole process group; the measurement clears up and ends, and so then do we.
  process.on('SIGINT', () => undefined)
  child.on('close', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1)
  })
}
