import { count, percent, significant } from '../terminal/units.js'
import type { DepthReport } from './depth-report.js'
import { errorCell, fateCell, paperCell } from './report-table.js'
import { BEGINNINGS, beginningTitle, CONFIGURATIONS, configurationLetter } from './training-plan.js'
import { fateOf } from './training-result.js'

/** The report as Markdown. Pure. */

/** Files of the figures, beside report.md. */
export const FIGURES = { loss: 'loss.svg', top1: 'top1.svg', signal: 'signal.svg' } as const

type Signal = DepthReport['signals'][number]

/** With so many classes or fewer, five guesses are all of them. */
const TOP5_CLASSES = 5

export function reportText(report: DepthReport): string {
  return [
    ...heading(report),
    ...findingLines(report),
    ...errorLines(report),
    '## Curves',
    '',
    'Means over the seeds; a panel a configuration.',
    '',
    `![Training loss by step](${FIGURES.loss})`,
    '',
    `![Top-1 accuracy on the validation pictures by step](${FIGURES.top1})`,
    '',
    ...signalLines(report),
    ...settingLines(report),
    '',
  ].join('\n')
}

function heading({ settings, yardsticks, trainings }: DepthReport): string[] {
  const { data, preset, seeds } = settings
  return [
    '# From shallow to deep: the VGG paper’s experiment',
    '',
    `\`${commandOf(settings)}\``,
    '',
    `${count(trainings.length)} trainings on ${data}, preset ${preset}, ${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}: ${count(yardsticks.trainPictures)} pictures to ` +
      `train on and ${count(yardsticks.chance.pictures)} to test, ${count(yardsticks.classes)} classes. Everything below follows from \`report.json\`; each training's own ` +
      'folder is in `runs/`.',
    '',
  ]
}

/** The command line that these settings stand for. */
export function commandOf({ data, preset, seeds, set, configurations, beginnings }: DepthReport['settings']): string {
  const whole = <Item>(some: readonly Item[], all: readonly Item[]): boolean => all.every((item) => some.includes(item))
  return [
    'lockstep experiment depth',
    `--data ${quoted(data)}`,
    `--preset ${preset}`,
    `--seeds ${seeds.join(',')}`,
    ...(whole(configurations, CONFIGURATIONS)
      ? []
      : [`--configurations ${configurations.map(configurationLetter).join(',').toLowerCase()}`]),
    ...(whole(beginnings, BEGINNINGS) ? [] : [`--initializations ${beginnings.join(',')}`]),
    ...set.map((one) => `--set ${quoted(one)}`),
  ].join(' ')
}

function quoted(word: string): string {
  return /^[\w./,=:-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}

function findingLines({ findings }: DepthReport): string[] {
  return [
    '## What of the paper was seen',
    '',
    ...markdownTable(
      ['the paper', 'here'],
      findings.map(({ claim, verdict }) => [claim, `**${verdict}**`]),
    ),
    '',
    ...findings.flatMap(({ claim, verdict, sentences }) => [`- *${claim}* ${capital(verdict)}. ${sentences.join(' ')}`]),
    '',
  ]
}

function errorLines({ rows, yardsticks }: DepthReport): string[] {
  const { classes, chance, nearestNeighbour } = yardsticks
  const top5 = classes > TOP5_CLASSES
  const cells = (...parts: [string, string, string, string, string, string, string, string, string]): string[] =>
    top5 ? parts : parts.filter((_, column) => column !== 3)
  const body = rows.map((row) =>
    cells(
      configurationLetter(row.configuration),
      beginningTitle(row.configuration, row.beginning),
      errorCell(row.top1Errors),
      errorCell(row.top5Errors),
      paperCell(row.paper.fixed),
      paperCell(row.paper.jittered),
      fateCell(row.fates),
      row.seconds.toFixed(0),
      count(Math.round(row.imagesPerSecond)),
    ),
  )
  const yardstick = (name: string, top1: number, seconds: string): string[] =>
    cells(name, '–', percent(1 - top1), '–', '–', '–', '–', seconds, '–')
  return [
    '## Errors, beside the paper’s table 3',
    '',
    `Ours: errors after the last step, mean over the seeds (least–most). The paper’s: top-1 / top-5 in per cent on ImageNet, one network, one test scale; S is the training scale. \`stalls\`: no evaluation was above chance; \`diverges\`: a loss or weight was not finite. Seconds are those of steps and evaluations.`,
    '',
    ...markdownTable(
      cells(
        'configuration',
        'first weights',
        'top-1 error',
        'top-5 error',
        'paper, S = 256',
        'paper, S ∈ [256, 512]',
        'outcome',
        'seconds',
        'images/s',
      ),
      [
        ...body,
        yardstick(
          `nearest neighbour on pixels (${String(nearestNeighbour.side)}×${String(nearestNeighbour.side)})`,
          nearestNeighbour.top1,
          nearestNeighbour.seconds.toFixed(0),
        ),
        yardstick('always the largest class', chance.top1, '–'),
      ],
    ),
    '',
  ]
}

function signalLines({ signals, trainings, yardsticks }: DepthReport): string[] {
  const outcome = ({ configuration, beginning, seed }: Signal): string => {
    const training = trainings.find((one) => one.configuration === configuration && one.beginning === beginning && one.seed === seed)
    return training === undefined ? '–' : fateOf(training, yardsticks.chance)
  }
  return [
    '## Where the signal dies',
    '',
    'Root mean squares at initialization, on the first micro-batch of the first seed, dropout on. The signal *dies* at the first layer whose ' +
      'output is below a thousandth of the input’s scale, and *explodes* at the first one above a thousand times. *Change* is what a step ' +
      'alters of a kernel, learning rate × gradient / kernel: at 10⁻⁷ it takes millions of steps to be another network, and above 1 the first step throws the kernel away. Scale is not all: ' +
      'a network whose signal lives can stall for other reasons, a rate too large for it among them.',
    '',
    ...BEGINNINGS.flatMap((beginning) => deathSentence(signals.filter((signal) => signal.beginning === beginning))),
    '',
    ...markdownTable(
      [
        'configuration',
        'first weights',
        'dies at',
        'explodes at',
        'logits / input',
        'largest change',
        'change of the first kernel',
        'outcome',
      ],
      signals.map((signal) => [
        configurationLetter(signal.configuration),
        beginningTitle(signal.configuration, signal.beginning),
        signal.dies ?? '–',
        signal.explodes ?? '–',
        figure(signal.logits),
        figure(signal.largestChange),
        figure(signal.firstChange),
        outcome(signal),
      ]),
    ),
    '',
    `![Scale of activations by layer](${FIGURES.signal})`,
    '',
    ...layerLines(signals),
  ]
}

/** `- random, N(0, 0.01²): dies in A at block3_conv1, in B at block2_conv1; the kernel that moves most changes by …` */
function deathSentence(signals: readonly Signal[]): string[] {
  const [first] = signals
  if (first === undefined) return []
  const places = (of: 'dies' | 'explodes'): string =>
    signals
      .flatMap((signal) => (signal[of] === null ? [] : [`in ${configurationLetter(signal.configuration)} at ${signal[of]}`]))
      .join(', ')
  const [dead, exploded] = [places('dies'), places('explodes')]
  const said = [...(dead === '' ? [] : [`dies ${dead}`]), ...(exploded === '' ? [] : [`explodes ${exploded}`])]
  const scale = said.length === 0 ? 'neither dies nor explodes anywhere' : said.join('; ')
  const changes = signals.map(({ largestChange }) => largestChange).filter((change) => change !== null)
  const range = [Math.min(...changes), Math.max(...changes)].map(significant)
  const moved = changes.length === 0 ? '' : `; the kernel that moves most changes by ${[...new Set(range)].join(' to ')} of itself`
  return [`- *${beginningTitle('vgg-b', first.beginning)}*: ${scale}${moved}.`]
}

/** Every layer of the deepest network measured. */
function layerLines(signals: readonly Signal[]): string[] {
  const deepest = signals.at(-1)?.configuration
  if (deepest === undefined) return []
  const own = signals.filter(({ configuration }) => configuration === deepest)
  return [
    `Layer by layer in ${configurationLetter(deepest)}, activation / gradient:`,
    '',
    ...markdownTable(
      ['layer', ...own.map(({ configuration, beginning }) => beginningTitle(configuration, beginning))],
      (own[0]?.layers ?? []).map(({ layer }, index) => [
        layer,
        ...own.map(({ layers }) => `${figure(layers[index]?.activation ?? null)} / ${figure(layers[index]?.gradient ?? null)}`),
      ]),
    ),
    '',
  ]
}

function settingLines({ recipe, settings, trainings }: DepthReport): string[] {
  const sources = [...new Set(trainings.flatMap(({ source }) => source ?? []))]
  const { model, batch, learningRate, optimizer, data } = recipe
  const length = recipe.steps === undefined ? `${String(recipe.epochs ?? '')} epochs` : `${count(recipe.steps)} steps`
  return [
    '## Settings',
    '',
    `The same for all: width ${String(model.width)}, ${String(model.inputSize)} pixels, fully connected layers of ${model.fullyConnected.join(' and ')}, dropout ${String(model.dropout)}; ` +
      `${length} of ${String(batch.global)} pictures; learning rate ${String(learningRate.initial)}, schedule ${JSON.stringify(learningRate.schedule)}; ` +
      `momentum ${String(optimizer.momentum)}, weight decay ${String(optimizer.weightDecay)}; pictures normalized by ${data.normalize ?? 'default'}.` +
      (settings.set.length === 0 ? '' : ` Changed by --set: ${settings.set.join(', ')}.`),
    '',
    'From A: the first four convolutions and the fully connected layers come from the best checkpoint of the A that came out best on the ' +
      `same seed (${sources.join(', ')}), the rest is random by He’s method. *From A, going on* is A itself for as many steps again, so that what is compared has the same steps behind it.`,
  ]
}

function markdownTable(titles: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(titles), line(titles.map(() => '---')), ...rows.map(line)]
}

function figure(value: number | null): string {
  return value === null ? 'not finite' : significant(value)
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
