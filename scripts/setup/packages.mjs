import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run, SetupError, tailOf } from './command.mjs'
import { downloadProblem } from './plan.mjs'
import { npmCommand } from './prerequisites.mjs'
import { progressOf } from './progress.mjs'

const POLL_INTERVAL_MS = 1000

/** npm's own note of what it installed; written last, so that a cut-off installation has none. */
const INSTALLED = 'node_modules/.package-lock.json'

/**
 * Whether node_modules holds what package-lock.json names, whoever installed it.
 *
 * @param {string} root
 */
export function packagesAreCurrent(root) {
  if (!existsSync(join(root, INSTALLED))) return false
  const [wanted, installed] = ['package-lock.json', INSTALLED].map((path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages)
  return packagesFor(wanted).every((path) => {
    const [want, have] = [wanted[path], installed[path]]
    if (have === undefined) return want.optional === true || want.devOptional === true
    return want.version === have.version && want.integrity === have.integrity
  })
}

/**
 * Installs exactly what package-lock.json names, without running any package's install script.
 *
 * @param {import('./wheels.mjs').Context} context
 */
export async function installPackages({ root, lockFd }) {
  rmSync(join(root, INSTALLED), { force: true })
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
  progress.end(`${String(expected.length)} packages`)
}

/** The folders that npm fills on this machine; packages for other machines are in the lock file too. */
function packagesFor(entries) {
  const suits = (wanted, mine) => wanted === undefined || wanted.includes(mine)
  const here = ({ os, cpu, libc }) => suits(os, process.platform) && suits(cpu, process.arch) && suits(libc, 'glibc')
  return Object.entries(entries)
    .filter(([path, entry]) => path.includes('node_modules/') && entry.link !== true && here(entry))
    .map(([path]) => path)
}
