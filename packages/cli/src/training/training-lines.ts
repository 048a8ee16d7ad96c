import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { sparkline } from '../terminal/sparkline.js'
import { count, duration, percent, rate, significant } from '../terminal/units.js'
import { shownPath } from '../terminal/paths.js'

type StepEvent = Extract<TrainEvent, { type: 'step' }>

/** The line that an event leaves behind, or undefined for those that only move the bar. */
export function lineOf(event: TrainEvent): string | undefined {
  switch (event.type) {
    case 'started':
      return startedLine(event)
    case 'workerJoined':
      return `${event.name} joined (${event.host}, pid ${String(event.pid)})`
    case 'workerLost':
      return `${event.name} lost: ${event.reason}; its work goes to the others`
    case 'workerLeft':
      return `${event.name} left: ${event.reason}`
    case 'workerRefused':
      return `${event.name} refused: ${event.reason}`
    case 'auditDiffers':
      return `step ${String(event.step)}: ${event.names.join(' and ')} computed leaf ${String(event.leaf)} with different bits; another worker settles it`
    case 'workerQuarantined':
      return `${event.name} (${event.host}, pid ${String(event.pid)}) computed wrong bits at step ${String(event.step)} and is not admitted again; the step is done again without it. Test that machine, and check the steps before with: lockstep verify`
    case 'evaluation':
      return `step ${String(event.step)}: validation loss ${significant(event.loss)}, top-1 ${percent(event.top1)}, top-5 ${percent(event.top5)} on ${count(event.samples)} pictures${event.best ? ', the best so far' : ''}`
    case 'learningRateDropped':
      return `step ${String(event.step)}: learning rate ${rate(event.from)} → ${rate(event.to)}`
    case 'checkpoint':
      return `step ${String(event.step)}: checkpoint ${shownPath(event.path)}`
    case 'waiting':
      return event.reason.startsWith('waiting') ? event.reason : `waiting: ${event.reason}`
    case 'warning':
      return `warning: ${event.message}`
    case 'note':
      return `note: ${event.message}`
    case 'stopping':
      return `stopping: ${event.reason}`
    case 'preparing':
    case 'step':
    case 'evaluating':
    case 'summary':
      return undefined
  }
}

function startedLine(event: Extract<TrainEvent, { type: 'started' }>): string {
  const from = event.firstStep === 0 ? `${count(event.steps)} steps` : `steps ${count(event.firstStep)} to ${count(event.steps)}`
  const workers =
    event.workers === 0
      ? `workers join with: lockstep worker --join ${event.address}`
      : `${plural(event.workers, 'worker')}; more may join at ${event.address}`
  const idle =
    event.workers > event.leaves
      ? `; only ${String(event.leaves)} of them can compute at once: a step has ${plural(event.leaves, 'leaf', 'leaves')}`
      : ''
  return `${shownPath(event.directory)}: ${from}, ${count(event.parameters)} parameters${event.frozen === 0 ? '' : ` trained, ${count(event.frozen)} frozen`}, ${plural(event.leaves, 'leaf', 'leaves')} a step; ${workers}${idle}`
}

/** `loss 0.412 ▇▅▃▂▁ · top-1 91.2 % · rate 0.01 · 512 images/s · 1:20 left · 2 workers`, cut to the columns by leaving out what matters least. */
export function figuresOf(event: StepEvent, losses: readonly number[], columns: number): string {
  const parts = [
    `loss ${significant(event.loss)} ${sparkline(losses, 16)}`.trimEnd(),
    `top-1 ${percent(event.top1)}`,
    `${duration(event.secondsLeft)} left`,
    `${significant(event.samplesPerSecond)} images/s`,
    `rate ${rate(event.learningRate)}`,
    plural(event.workers, 'worker'),
  ]
  while (parts.length > 1 && parts.join(' · ').length >= columns) parts.pop()
  return parts.join(' · ')
}

/** The same for a place without a terminal. */
export function plainStep(event: StepEvent): string {
  return `step ${String(event.step)}/${String(event.steps)}: ${figuresOf(event, [], Number.POSITIVE_INFINITY)}`
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}
