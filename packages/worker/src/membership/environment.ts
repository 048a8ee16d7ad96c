import type { Environment } from '@lockstep/shared/protocol/generated/lockstep/v1/Environment.js'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'

/**
 * TensorFlow reads its number of threads from the environment when its library loads, which is before any operation and
 * after this. Bits depend on it.
 */
export function setComputeThreads(computeThreads: number): void {
  const threads = String(computeThreads)
  process.env.TF_NUM_INTRAOP_THREADS = threads
  process.env.TF_NUM_INTEROP_THREADS = '1'
  process.env.OMP_NUM_THREADS = threads
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '2'
}

/** What might explain that another machine computes other bits. */
export function describeEnvironment(computeThreads: number): Environment {
  return {
    node: process.version,
    tensorflow: `@tensorflow/tfjs-node-gpu ${libraryVersion('@tensorflow/tfjs-node-gpu')}`,
    cpu: os.cpus()[0]?.model ?? 'unknown',
    platform: `${os.platform()} ${os.arch()} ${os.release()}`,
    computeThreads,
  }
}

/** The installed version of a package, from its package.json; looked for upwards, since some hide it in their exports. */
function libraryVersion(name: string): string {
  const require = createRequire(import.meta.url)
  for (const directory of require.resolve.paths(name) ?? []) {
    try {
      const { version } = require(path.join(directory, name, 'package.json')) as { version: string }
      return version
    } catch {
      continue
    }
  }
  return 'absent'
}
