import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run, SetupError, tailOf } from './command.mjs'
import { downloadProblem } from './plan.mjs'
import { npmCommand } from './prerequisites.mjs'
import { progressOf } from './progress.mjs'
import { writeStamp } from './stamps.mjs'

const POLL_INTERVAL_MS = 1000

/** The note lies in node_modules itself: who deletes that deletes the note with it. */
export function packagesStamp(root) {
  return join(root, 'node_modules/.lockstep-setup.json')
}

/**
 * Installs exactly what package-lock.json names, without running any package's install script.
 *
 * @param {import('./wheels.mjs').Context} context
 * @param {string} key what the note will say
 */
export async function installPackages({ root, lockFd }, key) {
  rmSync(packagesStamp(root), { force: true })
  const progress = progressOf('installing', 'npm packages')
  const expected = packagesFor(JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages)
  const timer = setInterval(() => {
    const there = expected.filter((path) => existsSync(join(root, path, 'package.json'))).length
    progress.update(there, expected.length, `${String(there)} of ${String(expected.length)} packages`)
  }, POLL_INTERVAL_MS)
  const [program, ...first] = npmCommand()
  // NODE_ENV=production or an `omit` of the user's would leave out the compilers, or the image library's binaries.
  const args = [...first, 'ci', '--ignore-scripts', '--include=dev', '--include=optional', '--no-audit', '--no-fund', '--loglevel=error']
  const logFile = join(root, '.runtime/logs/npm-ci.log')
  const { code, output } = await run(program, args, { cwd: root, logFile, lockFd })
  clearInterval(timer)
  progress.stop()
  if (code !== 0) throw new SetupError(downloadProblem('Installing the npm packages', output), tailOf(output))
  writeStamp(packagesStamp(root), { key })
  progress.end(`${String(expected.length)} packages`)
}

/** The folders that npm will fill on this machine; packages for other machines are in the lock file too. */
function packagesFor(entries) {
  const suits = (wanted, mine) => wanted === undefined || wanted.includes(mine)
  return Object.entries(entries)
    .filter(
      ([path, entry]) =>
        path.includes('node_modules/') && entry.link !== true && suits(entry.os, process.platform) && suits(entry.cpu, process.arch),
    )
    .map(([path]) => path)
}
