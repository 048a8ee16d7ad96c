import { LiveDisplay } from './live-display.js'
import { styled, writeLine } from './output.js'

/**
 * What a work of several trainings says while it goes on: acts with a number, lines, and a bar that moves. Silent, it says
 * nothing, for callers that want the result alone.
 */
export class Narrator {
  readonly #silent: boolean
  #live: LiveDisplay | undefined
  #act = 0

  constructor({ silent }: { silent: boolean }) {
    this.#silent = silent
  }

  /** Columns that a line may have. */
  get columns(): number {
    return this.#live?.columns ?? 80
  }

  /** A new act begins. */
  act(title: string): void {
    this.#act++
    this.line('')
    this.line(styled('bold', `${String(this.#act)}  ${title}`))
  }

  /** A title without a number. */
  title(title: string): void {
    this.line('')
    this.line(styled('bold', `   ${title}`))
  }

  /** A line that stays. */
  line(text: string): void {
    if (this.#silent) return
    if (this.#live === undefined) writeLine(text)
    else this.#live.line(text)
  }

  /** Where the work is; {@link settle} takes the bar away. */
  progress(done: number, total: number, figures: string): void {
    if (this.#silent) return
    this.#live ??= new LiveDisplay()
    this.#live.progress(done, total, figures, `   ${String(done)}/${String(total)} ${figures}`)
  }

  /** What goes on before there is anything to count. */
  status(text: string): void {
    if (this.#silent) return
    this.#live ??= new LiveDisplay()
    this.#live.status(text)
  }

  /** Clears the bar; the lines stay. */
  settle(): void {
    this.#live?.close()
    this.#live = undefined
  }
}
