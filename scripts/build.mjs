/**
 * Builds everything that is not committed: gRPC types from protos/, the WebAssembly kernels, what JavaScript cannot do with memory, and JavaScript from
 * TypeScript.
 * Each part remembers a digest of what it was made from, so that a run with nothing to do takes a fraction of a second.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { run, SetupError, tailOf } from './setup/command.mjs'
import { withLock } from './setup/lock.mjs'
import { compiler } from './setup/prerequisites.mjs'
import { progressOf } from './setup/progress.mjs'
import { digestOfFiles, filesUnder, readStamp, writeStamp } from './setup/stamps.mjs'

const GENERATED = 'packages/shared/src/protocol/generated'
const KERNEL_SOURCES = 'packages/shared/assembly'
const KERNELS = 'packages/shared/dist/kernels/kernels.wasm'
const NATIVE_SOURCE = 'packages/shared/native/memory.c'
const NATIVE = 'packages/shared/dist/shared-memory/memory.node'

/** Folders with a tsconfig.json, a src/ and a dist/. */
function projectsOf(root) {
  const packages = existsSync(join(root, 'packages')) ? readdirSync(join(root, 'packages')).map((name) => join('packages', name)) : []
  return [...packages, 'tests', 'bench'].filter((folder) => existsSync(join(root, folder, 'tsconfig.json')))
}

/**
 * The parts of the build in their order. `key` is a digest of all that goes in, `done` whether the outputs are there.
 *
 * @param {string} root absolute path of the repository
 */
function partsOf(root) {
  const lock = digestOfFiles(root, ['package-lock.json', 'scripts/build.mjs'])
  const protos = filesUnder(root, 'protos').filter((path) => path.endsWith('.proto'))
  const assembly = filesUnder(root, KERNEL_SOURCES)
  const projects = projectsOf(root)
  const sources = projects.flatMap((folder) => filesUnder(root, join(folder, 'src'))).filter((path) => !path.startsWith(GENERATED))
  const configurations = [
    'tsconfig.base.json',
    'tsconfig.json',
    ...projects.flatMap((f) => [join(f, 'tsconfig.json'), join(f, 'package.json')]),
  ]
  const protocolKey = digestOfFiles(root, protos, lock)
  return [
    {
      name: 'protocol',
      title: 'gRPC types',
      key: protocolKey,
      done: existsSync(join(root, GENERATED)),
      make: () => generateTypes(root, protos),
    },
    {
      name: 'kernels',
      title: 'WebAssembly kernels',
      key: digestOfFiles(root, assembly, lock),
      done: existsSync(join(root, KERNELS)),
      make: () => compileKernels(root),
    },
    {
      name: 'native',
      title: 'native memory operations',
      key: digestOfFiles(root, [NATIVE_SOURCE], lock),
      done: process.platform !== 'linux' || existsSync(join(root, NATIVE)),
      make: () => compileNative(root),
    },
    {
      name: 'typescript',
      title: 'TypeScript',
      key: digestOfFiles(root, [...sources, ...configurations], protocolKey),
      done: missingOutputs(root, projects).length === 0,
      make: () => compileTypeScript(root, projects),
    },
  ]
}

async function generateTypes(root, protos) {
  const aside = join(root, '.runtime/build/generated')
  rmSync(aside, { recursive: true, force: true })
  const generator = join(root, 'node_modules/@grpc/proto-loader/build/bin/proto-loader-gen-types.js')
  const flags = ['--longs=Number', '--enums=String', '--defaults', '--oneofs', '--grpcLib=@grpc/grpc-js', '--importFileExtension=.js']
  await tool(root, 'protocol', [generator, ...flags, `--outDir=${aside}`, ...protos], 'gRPC types could not be made from protos/')
  rmSync(join(root, GENERATED), { recursive: true, force: true })
  mkdirSync(dirname(join(root, GENERATED)), { recursive: true })
  renameSync(aside, join(root, GENERATED))
}

async function compileKernels(root) {
  const aside = join(root, '.runtime/build/kernels.wasm')
  mkdirSync(dirname(aside), { recursive: true })
  const compiler = join(root, 'node_modules/assemblyscript/bin/asc.js')
  const config = join(KERNEL_SOURCES, 'asconfig.json')
  const args = [compiler, join(KERNEL_SOURCES, 'kernels.ts'), '--config', config, '--target', 'release', '--outFile', relative(root, aside)]
  await tool(root, 'kernels', args, 'the WebAssembly kernels do not compile')
  mkdirSync(dirname(join(root, KERNELS)), { recursive: true })
  renameSync(aside, join(root, KERNELS))
}

/** Elsewhere than on Linux there is nothing to compile: bodies are copied there. */
async function compileNative(root) {
  if (process.platform !== 'linux') return
  const aside = join(root, '.runtime/build/memory.node')
  mkdirSync(dirname(aside), { recursive: true })
  const program = compiler() ?? 'g++'
  const flags = ['-x', 'c', '-std=gnu11', '-shared', '-fPIC', '-O2', '-Wall', '-Wextra', '-DNAPI_VERSION=8']
  const args = [...flags, `-I${join(root, 'node_modules/node-api-headers/include')}`, join(root, NATIVE_SOURCE), '-o', aside]
  const { code, output } = await run(program, args, { cwd: root, logFile: join(root, '.runtime/logs/build-native.log') })
  if (code !== 0)
    throw new SetupError(`${program} could not compile ${NATIVE_SOURCE}: mend what is named above and run again`, tailOf(output))
  mkdirSync(dirname(join(root, NATIVE)), { recursive: true })
  renameSync(aside, join(root, NATIVE))
}

async function compileTypeScript(root, projects) {
  for (const folder of projects) removeOrphans(root, folder)
  // tsc trusts its own notes and not the folder: a project whose outputs were deleted has to forget its notes to be built again.
  for (const folder of missingOutputs(root, projects)) rmSync(join(root, folder, 'tsconfig.tsbuildinfo'), { force: true })
  await tool(root, 'typescript', [join(root, 'node_modules/typescript/bin/tsc'), '-b'], 'TypeScript found errors', 60)
}

/** The projects of which at least one source has no output. */
function missingOutputs(root, projects) {
  return projects.filter((folder) => {
    const sources = filesUnder(root, join(folder, 'src')).filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    const outputs = new Set(filesUnder(root, join(folder, 'dist')))
    return sources.some((path) => !outputs.has(path.replace(join(folder, 'src'), join(folder, 'dist')).replace(/\.ts$/, '.js')))
  })
}

/** Deletes outputs whose source is gone, so that neither a test nor an import finds what no longer exists. */
function removeOrphans(root, folder) {
  const sources = new Set(filesUnder(root, join(folder, 'src')))
  for (const output of filesUnder(root, join(folder, 'dist'))) {
    const stem = output.replace(join(folder, 'dist'), join(folder, 'src')).replace(/(\.d\.ts|\.js)(\.map)?$/, '')
    const made = /(\.d\.ts|\.js)(\.map)?$/.test(output)
    if (made && !sources.has(`${stem}.ts`)) rmSync(join(root, output))
  }
}

async function tool(root, name, args, failure, lines = 20) {
  const { code, output } = await run(process.execPath, args, { cwd: root, logFile: join(root, `.runtime/logs/build-${name}.log`) })
  if (code !== 0) throw new SetupError(`${failure}: mend what is named above and run again`, tailOf(output, lines))
}

/** @param {string} root */
export function buildIsCurrent(root) {
  const stamp = readStamp(join(root, '.runtime/build/stamp.json'))
  return partsOf(root).every(({ name, key, done }) => done && stamp[name] === key)
}

/**
 * Builds what is out of date.
 *
 * @param {string} root
 * @throws {SetupError} with the end of the compiler's output
 */
export async function build(root) {
  const file = join(root, '.runtime/build/stamp.json')
  // One part's output is another's input: each is looked at again after those before it.
  for (const { name } of partsOf(root)) {
    const part = partsOf(root).find((candidate) => candidate.name === name)
    if (part.done && readStamp(file)[name] === part.key) continue
    writeStamp(file, { ...readStamp(file), [name]: '' })
    const progress = progressOf('building', part.title)
    await part.make().finally(progress.stop)
    writeStamp(file, { ...readStamp(file), [name]: part.key })
    progress.end()
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const root = join(dirname(fileURLToPath(import.meta.url)), '..')
  try {
    if (!buildIsCurrent(root)) await withLock(root, console.log, () => build(root))
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    console.error(`${error.tail}\n${error.message}`)
    process.exitCode = 1
  }
}
