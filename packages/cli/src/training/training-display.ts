import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { LiveDisplay } from '../terminal/live-display.js'
import { styled, writeLine } from '../terminal/output.js'
import { table } from '../terminal/table.js'
import { figuresOf, lineOf, plainStep } from './training-lines.js'
import { summaryLines } from './training-summary.js'

/** Losses kept for the sparkline: enough to show the whole run in outline. */
const HISTORY = 2_000

const ALARMING: ReadonlySet<TrainEvent['type']> = new Set(['warning', 'workerLost', 'workerRefused', 'auditDiffers', 'workerQuarantined'])

/** Shows the events of a training to a person. */
export class TrainingDisplay {
  private readonly live = new LiveDisplay()
  private readonly losses: number[] = []
  private preparing = ''

  show(event: TrainEvent): void {
    switch (event.type) {
      case 'preparing':
        this.showPreparing(event)
        break
      case 'step':
        this.showStep(event)
        break
      case 'evaluating':
        this.live.status(`evaluating ${String(event.done)}/${String(event.total)}`)
        break
      case 'summary':
        this.live.close()
        for (const line of summaryLines(event, this.losses)) writeLine(line)
        break
      default:
        this.showLine(event)
    }
  }

  note(text: string): void {
    this.live.line(text)
  }

  close(): void {
    this.live.close()
  }

  private showLine(event: TrainEvent): void {
    const line = lineOf(event)
    if (line === undefined) return
    const style = ALARMING.has(event.type) ? 'yellow' : event.type === 'evaluation' ? 'bold' : undefined
    this.live.line(style === undefined ? line : styled(style, line))
    if (event.type === 'started' && event.initialized !== null) {
      const columns = [
        { title: 'layer', align: 'left' },
        { title: 'shape', align: 'left' },
        { title: 'weights from', align: 'left' },
      ] as const
      for (const row of table(
        columns,
        event.initialized.map(({ layer, shape, source }) => [layer, shape.join(' × '), source]),
      )) {
        this.live.line(row)
      }
    }
  }

  private showPreparing({ what, done, total }: Extract<TrainEvent, { type: 'preparing' }>): void {
    this.live.status(total === undefined ? `${what} …` : `${what} ${String(done ?? 0)}/${String(total)}`)
    if (what === this.preparing) return
    this.preparing = what
    this.live.line(styled('dim', `${what} …`))
  }

  private showStep(event: Extract<TrainEvent, { type: 'step' }>): void {
    this.losses.push(event.loss)
    if (this.losses.length > HISTORY) halve(this.losses)
    this.live.progress(event.step, event.steps, figuresOf(event, this.losses, this.live.columns), plainStep(event))
  }
}

/** Every second value goes: the outline stays. */
function halve(values: number[]): void {
  const kept = values.filter((_, index) => index % 2 === 1)
  values.splice(0, values.length, ...kept)
}
