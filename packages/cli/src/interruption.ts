import { writeError } from './terminal/output.js'

/**
 * A second Ctrl-C sooner than this is the first one once more: npm passes on the signal that the terminal had already
 * sent to everyone.
 */
const SAME_PRESS_MS = 300

export type StopSignal = 'SIGINT' | 'SIGTERM'

/** Ctrl-C once: the work is asked to stop in order. Twice: the process ends at once. */
export class Interruption {
  private readonly controller = new AbortController()
  private readonly handlers = new Map<StopSignal, () => void>()
  private first: { signal: StopSignal; at: number } | undefined

  /** @param announce tells the person what the first signal does */
  constructor(announce: (line: string) => void = writeError, what = 'stopping after a checkpoint') {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const handler = (): void => {
        const now = performance.now()
        if (this.first === undefined) {
          this.first = { signal, at: now }
          announce(`${what}; once more to stop now`)
          this.controller.abort(signal)
        } else if (now - this.first.at > SAME_PRESS_MS) {
          process.exit(exitCodeOf(signal))
        }
      }
      this.handlers.set(signal, handler)
      process.on(signal, handler)
    }
  }

  get signal(): AbortSignal {
    return this.controller.signal
  }

  /** 130 or 143 once a signal came. */
  get exitCode(): number | undefined {
    return this.first === undefined ? undefined : exitCodeOf(this.first.signal)
  }

  /** Takes the handlers away. */
  end(): void {
    for (const [signal, handler] of this.handlers) process.off(signal, handler)
  }
}

function exitCodeOf(signal: StopSignal): number {
  return signal === 'SIGINT' ? 130 : 143
}
