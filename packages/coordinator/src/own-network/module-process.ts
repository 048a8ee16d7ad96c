import { spawn, type ChildProcess } from 'node:child_process'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/** Runs in a process of its own what a user's module does. The coordinator does not import the worker; it only knows where its program lies. */
const MODULE_PROGRAM = fileURLToPath(new URL('../../../worker/dist/own-network/module-child.js', import.meta.url))

export interface ModuleRequest {
  /** Absolute path of a module whose default export makes a tf.LayersModel. */
  readonly module: string
  readonly inputSize: number
  readonly channels: number
  readonly classes: number
}

export interface ModuleOptions {
  readonly limitMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * What the module's model looks like, `{class_name, config}` as Keras writes it.
 * @throws TrainError RECIPE_INVALID naming the module and what became of it; the signal's reason
 */
export async function describeModule(request: ModuleRequest, { limitMs, signal }: ModuleOptions): Promise<unknown> {
  signal?.throwIfAborted()
  // What it prints is its own affair, and the terminal is ours.
  const child = spawn(process.execPath, [MODULE_PROGRAM], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: computeEnvironment(process.env, 1),
  })
  const limit = { passed: false }
  const end = (): void => void child.kill('SIGKILL')
  const timer = setTimeout(() => {
    limit.passed = true
    end()
  }, limitMs)
  signal?.addEventListener('abort', end, { once: true })
  try {
    return await answerOf(child, { ...request, limitMs: limitMs + GRACE_MS })
  } catch (error) {
    signal?.throwIfAborted()
    const seconds = String(Math.round(limitMs / 1000))
    const reason = limit.passed
      ? `it has not given a network within ${seconds} s; it may be in an endless loop, or load too much`
      : reasonOf(error)
    throw new TrainError('RECIPE_INVALID', `model.from: ${basename(request.module)}: ${reason}`, { cause: error })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
    end()
  }
}

/** The child ends itself if this process cannot. */
const GRACE_MS = 5000

function answerOf(child: ChildProcess, request: ModuleRequest & { limitMs: number }): Promise<unknown> {
  return new Promise((resolve, reject) => {
    // Settles once: whatever comes after the first outcome changes nothing.
    child.on('message', (message: unknown) => {
      if (typeof message !== 'object' || message === null || !('lockstep' in message)) return
      if ('config' in message) resolve(message.config)
      else reject(new Error('reason' in message ? String(message.reason) : 'it gave no network'))
    })
    child.on('error', (error) => reject(new Error(`no process can be started for it (${error.message}); close something`)))
    child.on('close', (code, killedBy) => {
      const how = killedBy ?? `exit code ${String(code)}`
      reject(new Error(`its process ended with ${how} before it gave a network; try it alone, with node`))
    })
    child.send(request, (error) => {
      if (error !== null) reject(new Error(`no process can be started for it (${error.message}); close something`))
    })
  })
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
