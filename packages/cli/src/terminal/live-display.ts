import cliProgress, { type SingleBar } from 'cli-progress'
import { isInteractive, writeLine } from './output.js'

/** Plain lines about the same work come no closer together than this. */
const PLAIN_EVERY_MS = 5_000

/**
 * One progress bar with a line of figures at the bottom of the terminal, and lines that scroll above it. Off a terminal:
 * the lines, and a line of progress every few seconds.
 */
export class LiveDisplay {
  private readonly interactive = isInteractive()
  private readonly multi: cliProgress.MultiBar | undefined
  private figures: SingleBar | undefined
  private bar: SingleBar | undefined
  private logged = false
  private lastPlain = Number.NEGATIVE_INFINITY
  private readonly onExit = (): void => this.close()

  constructor() {
    if (!this.interactive) return
    this.multi = new cliProgress.MultiBar({
      stream: process.stdout,
      format: '{text}',
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      linewrap: false,
      clearOnComplete: true,
      // signals are ours: the bar goes on while the run writes its last checkpoint
      gracefulExit: false,
      emptyOnZero: true,
      fps: 8,
    })
    // a second Ctrl-C ends the process at once: the cursor must be back
    process.once('exit', this.onExit)
  }

  /** Columns that a line may have. */
  get columns(): number {
    return this.interactive ? process.stdout.columns || 80 : 120
  }

  /** A line that stays. */
  line(text: string): void {
    if (this.multi?.isActive !== true) {
      writeLine(text)
      return
    }
    this.multi.log(`${text}\n`)
    this.logged = true
  }

  /**
   * Where the work is.
   * @param plain the line for places without a terminal; said at most every few seconds, and when all is done
   */
  progress(done: number, total: number, figures: string, plain: string): void {
    if (this.multi === undefined) {
      const now = performance.now()
      if (done < total && now - this.lastPlain < PLAIN_EVERY_MS) return
      this.lastPlain = now
      writeLine(plain)
      return
    }
    const size = Math.max(10, Math.min(40, this.columns - 40))
    this.bar ??= this.multi.create(total, done, {}, { format: '{value}/{total} {bar} {percentage} %', barsize: size })
    if (this.bar.getTotal() !== total) this.bar.setTotal(total)
    this.bar.update(done)
    this.status(figures)
  }

  /** The line of figures alone; nothing off a terminal. */
  status(text: string): void {
    if (this.multi === undefined) return
    const cut = text.slice(0, this.columns - 1)
    if (this.figures === undefined) this.figures = this.multi.create(1, 0, { text: cut })
    else this.figures.update(0, { text: cut })
  }

  /** Clears the bar; the lines stay. */
  close(): void {
    process.off('exit', this.onExit)
    if (this.multi?.isActive !== true) return
    if (this.logged) this.multi.update()
    this.multi.stop()
  }
}
