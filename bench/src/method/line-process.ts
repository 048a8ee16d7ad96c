import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'

/**
 * A child that answers each line with a line: it stays loaded between measurements and waits, idle, while another is measured.
 * Ends with us, since its input closes.
 */
export class LineProcess {
  readonly #child: ChildProcess
  readonly #answers: Interface
  #errors = ''

  constructor(program: string, args: readonly string[], environment: Readonly<Record<string, string>>) {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...environment } })
    this.#child = child
    this.#answers = createInterface({ input: child.stdout })
    child.stderr.on('data', (data: Buffer) => {
      this.#errors = (this.#errors + data.toString()).slice(-4000)
    })
    // Writing to a child that is gone is told by its end.
    child.stdin.on('error', () => undefined)
  }

  /** NaN where it could not be started. */
  get pid(): number {
    return this.#child.pid ?? Number.NaN
  }

  /** @throws Error with the end of what the child wrote to stderr, when it ends instead of answering */
  async ask(question: string): Promise<string> {
    const abort = new AbortController()
    const answer = once(this.#answers, 'line', { signal: abort.signal })
    const end = once(this.#child, 'exit', { signal: abort.signal })
    this.#child.stdin?.write(`${question}\n`)
    try {
      const first = await Promise.race([answer.then((values) => String(values[0])), end.then(() => undefined)])
      if (first === undefined) throw new Error(`the measured process ended: ${this.#errors}`)
      return first
    } finally {
      abort.abort()
      await Promise.allSettled([answer, end])
    }
  }

  close(): void {
    this.#child.stdin?.end()
    this.#child.kill()
  }

  /** The same, and back when it is gone. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.close()
    await gone
  }
}
