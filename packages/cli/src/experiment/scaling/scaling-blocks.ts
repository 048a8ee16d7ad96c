import { bytes, count, percent, significant } from '../../terminal/units.js'
import type { Interval } from '../../measurement/statistics.js'
import type { Block } from './report-blocks.js'
import { digestStep, scalingCommand } from './scaling-plan.js'
import { NETWORKS, type ScalingReport, type ScalingRow } from './scaling-report.js'

/** What the scaling report says. Pure. */

export const TITLE = 'Scaling: how much faster several workers are than one'

/** Files beside report.md. */
export const FIGURES = { speedup: 'speedup.svg', times: 'step-times.svg', hosts: 'hosts.svg' } as const

const text = (...sentences: readonly string[]): Block => ({ type: 'text', text: sentences.filter((one) => one !== '').join(' ') })
const heading = (title: string): Block => ({ type: 'heading', text: title })

export function scalingBlocks(report: ScalingReport): Block[] {
  return [
    ...introduction(report),
    ...stateBlocks(report),
    ...rateBlocks(report),
    ...timeBlocks(report),
    ...modelBlocks(report),
    ...hostBlocks(report),
    ...sampleBlocks(report),
  ]
}

function introduction({ settings, subject, machine, rounds }: ScalingReport): Block[] {
  const { model, inputSize, parameters, globalBatch, leaves, computeThreads } = subject
  const { repetitions, steps, warmUpSteps } = settings
  const base = settings.workers[0] ?? 1
  return [
    text(`\`${scalingCommand(settings)}\``),
    text(
      `${model.toUpperCase()} at ${String(inputSize)} px, ${count(parameters)} parameters, ${String(globalBatch)} images a step in ${String(leaves)} leaves.`,
      `The global batch belongs to the contract, so it is divided among the workers and does not grow with them: strong scaling.`,
      machineWords(machine.cores, computeThreads),
      machine.confined
        ? 'Each training, with its coordinator, averager, queue and workers, was confined to as many cores as it has compute threads.'
        : 'Nothing confined a training to its cores here (no taskset), so efficiency is judged by processor time.',
    ),
    text(
      `${String(repetitions)} ${repetitions === 1 ? 'round' : 'rounds'}, in each of them every count in turn, every second one backwards;`,
      `of each training ${String(steps)} ${steps === 1 ? 'step' : 'steps'} after ${String(warmUpSteps)} to warm up.`,
      `Figures are geometric means, with the 95 % t-interval over the rounds; speed-ups are taken within a round, beside ${workersWords(base)}.`,
      disturbanceWords(rounds.kept, rounds.disturbed),
    ),
  ]
}

function machineWords(cores: number, threads: number): string {
  return `The machine lent ${String(cores)} ${cores === 1 ? 'core' : 'cores'}; a worker computes on ${String(threads)} ${threads === 1 ? 'thread' : 'threads'}.`
}

function disturbanceWords(kept: readonly number[], disturbed: readonly number[]): string {
  if (disturbed.length === 0) return 'Nothing else worth mentioning ran beside it.'
  const which = `${disturbed.length === 1 ? 'round' : 'rounds'} ${disturbed.join(', ')}`
  if (disturbed.some((round) => kept.includes(round)))
    return `**Other work ran beside it in ${which}**, too much of it to set those aside: times are those of a machine that was shared, so efficiency is judged by processor time; run it again on an idle one.`
  return `Other work ran beside it in ${which}, which ${disturbed.length === 1 ? 'is' : 'are'} set aside.`
}

function stateBlocks({ state }: ScalingReport): Block[] {
  const [first] = state.digests
  if (state.same && first !== undefined)
    return [
      heading('The same bits'),
      text(
        `All ${String(first.trainings)} trainings, with ${first.workers.join(', ')} workers, came to the same state after step ${String(state.step)}: weights, velocity and schedule,`,
        `\`stateDigest ${first.stateDigest}\`.`,
      ),
    ]
  return [
    heading('NOT the same bits'),
    text(`**After step ${String(state.step)} the trainings had different states.** This is a bug: please report it.`),
    {
      type: 'table',
      titles: ['stateDigest', 'workers', 'trainings'],
      rows: state.digests.map(({ stateDigest, workers, trainings }) => [`\`${stateDigest}\``, workers.join(', '), String(trainings)]),
    },
  ]
}

function rateBlocks(report: ScalingReport): Block[] {
  const { rows, paper, settings } = report
  const base = settings.workers[0]
  const crowded = rows.filter(({ oversubscribed }) => oversubscribed)
  return [
    heading('Rate and efficiency'),
    {
      type: 'table',
      titles: ['workers', 'cores', 'images/s', 'CPU s an image', 'speed-up', 'efficiency by time', 'efficiency by CPU time', 'judged by'],
      rows: rows.map((row) => [
        String(row.workers),
        String(row.cores),
        intervalWords(row.imagesPerSecond, significant),
        intervalWords(row.cpuSecondsPerImage, significant),
        ...(row.workers === base ? ['1', '–', '–', '–'] : besideWords(row)),
      ]),
    },
    ...crowded.map((row) => text(crowdedWords(row, report))),
    text(
      `The VGG paper has ${String(paper.speedup)} × on ${String(paper.workers)} GPUs (section 3.3): ${percent(paper.speedup / paper.workers)}.`,
      paperWords(rows, paper),
    ),
    { type: 'figure', file: FIGURES.speedup, alt: 'Speed-up by workers, beside the ideal and the paper' },
  ]
}

function crowdedWords({ workers, cores, cpuEfficiency }: ScalingRow, { settings }: ScalingReport): string {
  return (
    `**${String(workers)} workers shared ${String(cores)} ${cores === 1 ? 'core' : 'cores'}**: they cannot be faster than ${workersWords(cores)}. What can be told of them is how much ` +
    `processor time an image takes: ${percent(cpuEfficiency.mean)} of what ${workersWords(settings.workers[0] ?? 1)} ${settings.workers[0] === 1 ? 'makes' : 'make'} of it.`
  )
}

function paperWords(rows: readonly ScalingRow[], { workers, speedup }: ScalingReport['paper']): string {
  const row = rows.find((one) => one.workers === workers)
  if (row === undefined) return `Nothing was measured on ${String(workers)} workers.`
  if (row.judgedBy === 'time') return `Here: ${row.speedup.mean.toFixed(2)} ×.`
  return `Here, by processor time, as if every worker had a core: ${(row.cpuEfficiency.mean * workers).toFixed(2)} ×; beside the paper's ${String(speedup)} × that leaves out what waiting for a network costs.`
}

function timeBlocks({ rows }: ScalingReport): Block[] {
  const seconds = (value: number): string => value.toFixed(value < 0.1 ? 4 : 3)
  return [
    heading('Where a step’s time went'),
    text(
      'Seconds a step, the mean over workers and rounds. *Input*: pictures were not decoded yet. *Send*: after the last gradient, until all of them were acknowledged.',
      '*Receive*: after the commit, until the new weights were in the engine. *Wait*: for the others, the commit and the next job. *Reduce*, on the averager and beside the workers: taking gradients in, adding, updating.',
    ),
    {
      type: 'table',
      titles: ['workers', 'step', 'input', 'compute', 'send', 'receive', 'wait', 'reduce', 'gradients a step', 'weights a step'],
      rows: rows.map(({ workers, secondsPerStep, times, bytes: { sent, received } }) => [
        String(workers),
        seconds(secondsPerStep),
        ...(['input', 'compute', 'send', 'receive', 'wait', 'reduce'] as const).map((key) => seconds(times[key])),
        bytes(sent),
        bytes(received),
      ]),
    },
    { type: 'figure', file: FIGURES.times, alt: 'Seconds of a step by what they were spent on' },
  ]
}

function modelBlocks({ model, checks }: ScalingReport): Block[] {
  const { cpu, busy } = model
  return [
    heading('A model, checked'),
    text(
      `A step takes C(n) = ${significant(cpu.fixed)} + ${significant(cpu.perWorker)} · n seconds of processor time with n workers, and C(n) / (cores · ${busy.toFixed(3)}) seconds,`,
      'the last figure being how busy the cores are. Both were fitted on all counts. What such a model is worth shows where it is asked for a count that it was not fitted on:',
    ),
    checks.length === 0
      ? text('One count alone was measured, so there is nothing to check it with.')
      : {
          type: 'table',
          titles: ['workers', 'fitted on', 'predicted s a step', 'measured s a step', 'error'],
          rows: checks.map(({ workers, from, predictedSeconds, measuredSeconds, error }) => [
            String(workers),
            from.join(', '),
            predictedSeconds.toFixed(3),
            measuredSeconds.toFixed(3),
            `${error < 0 ? '−' : '+'}${percent(Math.abs(error))}`,
          ]),
        },
  ]
}

function hostBlocks({ hosts, hostImages, rounds }: ScalingReport): Block[] {
  const shared = rounds.kept.some((round) => rounds.disturbed.includes(round))
  const counts = [...new Set(hosts.map((one) => one.hosts))]
  const cell = (count: number, network: (typeof NETWORKS)[number]): string => {
    const found = hosts.find((one) => one.hosts === count && one.network.gigabits === network.gigabits)
    return found === undefined ? '–' : `${percent(found.apartEfficiency)} … ${percent(found.overlappedEfficiency)}`
  }
  return [
    heading('Several hosts, predicted'),
    text(
      `Not measured: what the model says of one worker a host on cores like these, ${count(hostImages)} images a host and step (so the batch grows with the hosts), one averager with one line for all, and bytes a step as measured.`,
      'Efficiency, from when computing, sending, reducing and receiving come one after the other, as they mostly do now, to when they overlap as far as they can.',
      'A processor core is slow at this; a host that computes ten times as fast needs ten times the line.',
      shared ? 'Since the machine was shared, cores are taken here to be busy with nothing but this, which is hard on the network.' : '',
    ),
    {
      type: 'table',
      titles: ['hosts', ...NETWORKS.map(({ gigabits, delaySeconds }) => `${String(gigabits)} Gbit/s, ${String(delaySeconds * 1000)} ms`)],
      rows: counts.map((count) => [String(count), ...NETWORKS.map((network) => cell(count, network))]),
    },
    { type: 'figure', file: FIGURES.hosts, alt: 'Predicted speed-up by hosts and network' },
  ]
}

function sampleBlocks({ samples, settings, machine }: ScalingReport): Block[] {
  return [
    heading('Every training'),
    text(
      `In the order they were run. *Others*: share of the machine’s time that other processes took; *stolen*: that its hypervisor did. The digest is that of step ${String(digestStep(settings))}.`,
    ),
    {
      type: 'table',
      titles: ['round', 'workers', 'cores', 'images/s', 'CPU s an image', 'others', 'stolen', 'loss', 'stateDigest'],
      rows: samples.map((sample) => [
        String(sample.round),
        String(sample.workers),
        sample.cores === null ? `any of ${String(machine.cores)}` : sample.cores.join(', '),
        significant(sample.images / sample.seconds),
        significant(sample.cpuSeconds / sample.images),
        percent(Math.max(0, sample.foreign)),
        percent(sample.steal),
        sample.loss === null ? 'not finite' : sample.loss.toFixed(4),
        `\`${sample.stateDigest.slice(0, 16)}…\``,
      ]),
    },
  ]
}

function besideWords({ speedup, efficiency, cpuEfficiency, judgedBy }: ScalingRow): string[] {
  const points = (share: number): string => (share * 100).toFixed(1)
  return [
    intervalWords(speedup, (value) => value.toFixed(2), ' ×'),
    intervalWords(efficiency, points, ' %'),
    intervalWords(cpuEfficiency, points, ' %'),
    judgedBy,
  ]
}

/** `97.1 % (96.8–97.4)` */
export function intervalWords({ mean, range }: Interval, shown: (value: number) => string, unit = ''): string {
  return range === null ? `${shown(mean)}${unit}` : `${shown(mean)}${unit} (${shown(range[0])}–${shown(range[1])})`
}

function workersWords(workers: number): string {
  return workers === 1 ? 'one worker' : `${String(workers)} workers`
}
