import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { evaluate } from './evaluation.js'
import type { StandaloneMessage, StandaloneProgress, StandaloneRequest } from './messages.js'
import { predict } from './prediction.js'
import { measureSignals } from './signal.js'

/**
 * A process of its own for work without a run. TensorFlow takes its number of threads from the environment before the first
 * line, prints to stderr and blocks its thread: none of that belongs into the command line's process.
 */
process.once('message', (request: StandaloneRequest) => {
  void answer(request)
})
// Without its parent nobody waits for an answer.
process.once('disconnect', parentGone)

function parentGone(): void {
  process.exit(1)
}

async function answer(request: StandaloneRequest): Promise<void> {
  try {
    send(await perform(request))
  } catch (error) {
    console.error(error)
    send(failureOf(error))
  }
  process.off('disconnect', parentGone)
  process.disconnect()
}

async function perform(request: StandaloneRequest): Promise<StandaloneMessage> {
  switch (request.kind) {
    case 'evaluate':
      return { type: 'evaluated', report: await evaluate(request, onProgress) }
    case 'predict':
      return { type: 'predicted', predictions: await predict(request, onProgress) }
    case 'signal':
      return { type: 'signals', reports: await measureSignals(request, onProgress) }
  }
}

function onProgress(progress: StandaloneProgress): void {
  send({ type: 'progress', progress })
}

function send(message: StandaloneMessage): void {
  process.send?.(message)
}

function failureOf(error: unknown): StandaloneMessage {
  if (error instanceof TrainError) return { type: 'failed', code: error.code, message: error.message }
  const text = (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
  if (/out of memory|OOM|allocation failed/i.test(text)) {
    return { type: 'failed', code: 'MEMORY', message: `not enough memory (${text}); use a smaller evaluation batch` }
  }
  return { type: 'failed', code: 'INTERNAL', message: text }
}
