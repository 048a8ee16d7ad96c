import { join } from 'node:path'
import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { styled } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { sparkline } from '../terminal/sparkline.js'
import { fields } from '../terminal/table.js'
import { count, duration, percent, significant } from '../terminal/units.js'

type SummaryEvent = Extract<TrainEvent, { type: 'summary' }>

/** The end of a training: a short table, where things are, what to do next. */
export function summaryLines({ summary, directory, finished }: SummaryEvent, losses: readonly number[]): string[] {
  const run = shownPath(directory)
  const accuracy = (value: number | null | undefined): string => (value === null || value === undefined ? '–' : percent(value))
  const loss = summary.loss === null ? '–' : significant(summary.loss)
  const entries: [string, string][] = [
    ['steps', count(summary.steps)],
    ['loss', `${loss}  ${sparkline(losses, 24)}`],
    ['top-1 / top-5', `${accuracy(summary.top1)} / ${accuracy(summary.top5)}`],
    ['images/s', significant(summary.samplesPerSecond)],
    ['time', duration(summary.wallSeconds)],
    ...(summary.inexact === undefined ? [] : [['exact', `no: ${summary.inexact}`] satisfies [string, string]]),
    ['weights digest', summary.weightsDigest],
    ['state digest', summary.stateDigest],
  ]
  const checkpoint = join(run, 'checkpoints', 'best.safetensors')
  const next: [string, string][] = finished
    ? [
        ['see what it sees', `lockstep predict ${checkpoint} PICTURE`],
        ['curves', `tensorboard --logdir ${run}`],
        ['all of it', `lockstep inspect ${run}`],
      ]
    : [
        ['go on', `lockstep resume ${run}`],
        ['what there is', `lockstep inspect ${run}`],
      ]
  return [
    '',
    styled('bold', finished ? `${run} is trained` : `${run} was stopped`),
    ...fields(entries).map((line) => `  ${line}`),
    '',
    ...fields(next).map((line) => `  ${line}`),
  ]
}
