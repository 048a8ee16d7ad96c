import { spawnSync } from 'node:child_process'
import { readFileSync, statfsSync } from 'node:fs'
import { atLeast } from './plan.mjs'

/** The first pip that knows the platform names the wheels carry (PEP 600). */
const OLDEST_PIP = '20.3'
/** What the TensorFlow wheel was built for. */
const OLDEST_GLIBC = '2.27'

/**
 * What the given steps need and this machine lacks: one sentence each.
 *
 * @param {ReadonlySet<string>} steps names
 * @returns {string[]}
 */
export function missingPrerequisites(steps) {
  const fetches = steps.has('tensorflow') || steps.has('valkey')
  const problems = [fetches ? pythonProblem() : undefined, steps.has('tensorflow') ? compilerProblem() : undefined]
  if (steps.has('packages')) problems.push(npmProblem())
  if (steps.has('tensorflow') && process.platform === 'linux') problems.push(systemProblem(), processorProblem())
  return problems.filter((problem) => problem !== undefined)
}

/** The C++ compiler to use: $CXX, else the first of the usual names. */
export function compiler() {
  const names = process.env.CXX === undefined || process.env.CXX === '' ? ['g++', 'c++', 'clang++'] : [process.env.CXX]
  return names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)
}

/** How npm is started: the one that started us, if one did, so that both belong to the same Node. */
export function npmCommand() {
  const own = process.env.npm_execpath
  return own !== undefined && /npm-cli\.c?js$/.test(own) ? [process.execPath, own] : ['npm']
}

function npmProblem() {
  const [program, ...args] = npmCommand()
  if (spawnSync(program, [...args, '--version'], { stdio: 'ignore' }).status === 0) return undefined
  return 'npm is missing: it comes with Node; install Node with npm (nodejs.org, or `apt install npm`) and run again'
}

function pythonProblem() {
  const python = spawnSync('python3', ['-c', 'import sys, zipfile; print(sys.version_info[0])'], { encoding: 'utf8' })
  const remedy =
    'install both (Debian, Ubuntu: `apt install python3 python3-pip`; Fedora: `dnf install python3-pip`; macOS: `brew install python`) and run again'
  if (python.status !== 0) return `python3 is missing, which fetches and unpacks TensorFlow together with its pip: ${remedy}`
  const pip = spawnSync('python3', ['-m', 'pip', '--version'], { encoding: 'utf8' })
  if (pip.status !== 0)
    return `python3 is there but its pip is not: install it (Debian, Ubuntu: \`apt install python3-pip\`; elsewhere \`python3 -m ensurepip\`) and run again`
  const version = /^pip (\S+)/.exec(pip.stdout)?.[1] ?? ''
  if (!atLeast(version, OLDEST_PIP)) return `pip ${version} is too old: run \`python3 -m pip install --upgrade pip\` and run again`
  return undefined
}

function compilerProblem() {
  if (compiler() !== undefined) return undefined
  return 'A C++ compiler is missing: install one (Debian, Ubuntu: `apt install g++`; Fedora: `dnf install gcc-c++`; macOS: `xcode-select --install`) or name it in CXX, and run again'
}

function systemProblem() {
  const version = process.report.getReport().header.glibcVersionRuntime
  if (version === undefined)
    return `This Linux has no glibc (Alpine?), which TensorFlow needs: use a Debian, Ubuntu or Fedora, for example in a container`
  return atLeast(version, OLDEST_GLIBC)
    ? undefined
    : `glibc ${version} is too old for TensorFlow, which needs ${OLDEST_GLIBC}: use a newer system, for example in a container`
}

function processorProblem() {
  if (process.arch !== 'x64') return undefined
  try {
    const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]
    return flags === undefined || / avx /.test(`${flags} `)
      ? undefined
      : 'This processor has no AVX, which TensorFlow needs: use another machine'
  } catch {
    return undefined
  }
}

/** @param {string} folder */
export function freeBytesIn(folder) {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}
