import { compareErrors, type Comparison } from './comparison.js'
import { fateOf, finalEvaluation, type Chance, type TrainingResult } from './training-result.js'
import { beginningTitle, configurationLetter, PLAIN_BEGINNING, type Beginning, type Configuration } from './training-plan.js'

/** Which of the paper's findings the figures show. Pure: every sentence is computed, and says no more than they do. */

export type Verdict = 'seen' | 'partly seen' | 'not seen' | 'not told apart' | 'not measured'

export interface Finding {
  /** As the paper has it, in one sentence. */
  readonly claim: string
  readonly verdict: Verdict
  /** The figures behind it. */
  readonly sentences: readonly string[]
}

const DEEP: readonly Configuration[] = ['vgg-b', 'vgg-c', 'vgg-d', 'vgg-e']

/** All trainings of one configuration from one beginning, over the seeds. */
class Figures {
  readonly results: readonly TrainingResult[]
  readonly chance: Chance

  constructor(results: readonly TrainingResult[], chance: Chance) {
    this.results = results
    this.chance = chance
  }

  of(configuration: Configuration, beginning: Beginning): TrainingResult[] {
    return this.results.filter((result) => result.configuration === configuration && result.beginning === beginning)
  }

  /** Top-1 errors, one a seed; undefined when there is none, or one did not go to its end. */
  errors(configuration: Configuration, beginning: Beginning): number[] | undefined {
    const results = this.of(configuration, beginning)
    const errors = results.map(finalEvaluation).filter((evaluation) => evaluation !== undefined)
    return results.length > 0 && errors.length === results.length ? errors.map(({ top1 }) => 1 - top1) : undefined
  }

  compare(left: readonly [Configuration, Beginning], right: readonly [Configuration, Beginning]): Comparison | undefined {
    const [one, other] = [this.errors(...left), this.errors(...right)]
    return one === undefined || other === undefined ? undefined : compareErrors(one, other, this.chance.pictures)
  }

  get seeds(): number {
    return new Set(this.results.map(({ seed }) => seed)).size
  }
}

/** Every finding, in the paper's order. @param chance of the validation pictures */
export function findingsOf(results: readonly TrainingResult[], chance: Chance): Finding[] {
  const figures = new Figures(results, chance)
  return [
    normalization(figures),
    step(figures, 'Deeper is better: B errs less than A.', 'vgg-b', 'vgg-a'),
    step(figures, 'Further non-linearities help: C errs less than B.', 'vgg-c', 'vgg-b'),
    step(figures, 'Seeing a neighbourhood helps: D, with 3×3 convolutions, errs less than C, with 1×1 ones.', 'vgg-d', 'vgg-c'),
    step(figures, 'Depth as a whole helps: D errs less than A.', 'vgg-d', 'vgg-a'),
    saturation(figures),
    stalling(figures, 'normal-0.01', 'A deep network from random weights does not learn: those from N(0, 0.01²) stay at chance.'),
    stalling(figures, 'normal-0.1', 'The other reading of the paper, N(0, 0.1²), leaves deep networks at chance, or they diverge.'),
    advantage(figures),
    glorot(figures),
  ]
}

function normalization(figures: Figures): Finding {
  const claim = 'Local response normalization does not help: A-LRN errs no less than A.'
  const compared = figures.compare(['vgg-a-lrn', PLAIN_BEGINNING], ['vgg-a', PLAIN_BEGINNING])
  if (compared === undefined) return unmeasured(claim, 'A-LRN and A from random weights, trained to their end')
  const verdict = { left: 'not seen', right: 'seen', neither: 'not told apart' } as const
  const remark = compared.better === 'neither' ? ['That fits with the paper, whose own two errors differ by 0.1 points.'] : []
  return { claim, verdict: verdict[compared.better], sentences: [comparisonSentence('A-LRN', 'A', compared, figures), ...remark] }
}

/** One configuration against the next shallower one, both from A, with the same steps behind them. */
function step(figures: Figures, claim: string, deep: Configuration, shallow: Configuration): Finding {
  const compared = figures.compare([deep, 'from-a'], [shallow, 'from-a'])
  const [left, right] = [fromA(deep), fromA(shallow)]
  if (compared === undefined) return unmeasured(claim, `${left} and ${right}, trained to their end`)
  const verdict = { left: 'seen', right: 'not seen', neither: 'not told apart' } as const
  return { claim, verdict: verdict[compared.better], sentences: [comparisonSentence(left, right, compared, figures)] }
}

/** A from A has gone on for as many steps again, as the deeper ones have A's steps behind them. */
function fromA(configuration: Configuration): string {
  return configuration === 'vgg-a' ? 'A going on' : `${configurationLetter(configuration)} from A`
}

function saturation(figures: Figures): Finding {
  const claim = 'Depth saturates: E errs about as much as D.'
  const compared = figures.compare(['vgg-e', 'from-a'], ['vgg-d', 'from-a'])
  if (compared === undefined) return unmeasured(claim, 'E and D from A, trained to their end')
  const sentences = [comparisonSentence('E from A', 'D from A', compared, figures)]
  if (compared.better === 'left') return { claim, verdict: 'not seen', sentences }
  const gain = figures.compare(['vgg-d', 'from-a'], ['vgg-a', 'from-a'])
  if (gain?.better === 'left') return { claim, verdict: 'seen', sentences }
  return {
    claim,
    verdict: 'not told apart',
    sentences: [...sentences, 'But D did not come out better than A either, so there was no gain that could end.'],
  }
}

function stalling(figures: Figures, beginning: Beginning, claim: string): Finding {
  const measured = DEEP.map((configuration) => figures.of(configuration, beginning)).filter((results) => results.length > 0)
  if (measured.length === 0) return unmeasured(claim, `one of B to E from ${beginningTitle('vgg-b', beginning)}`)
  const fates = measured.map((results) => results.map((result) => fateOf(result, figures.chance)))
  const held = fates.flat().filter((fate) => fate !== 'learns').length
  const verdict = held === fates.flat().length ? 'seen' : held === 0 ? 'not seen' : 'partly seen'
  const sentences = measured.map((results, index) => {
    const counted = (['stalls', 'diverges', 'learns'] as const).flatMap((fate) => {
      const count = fates[index]?.filter((one) => one === fate).length ?? 0
      return count === 0 ? [] : [`${fate} on ${seeds(count)}`]
    })
    return `${configurationLetter(results[0]?.configuration ?? 'vgg-b')} ${counted.join(', ')}.`
  })
  return { claim, verdict, sentences }
}

/** From A against the best random beginning of the same configuration, by the mean error. */
function advantage(figures: Figures): Finding {
  const claim = 'Beginning with layers of A helps the deep ones.'
  const random: readonly Beginning[] = ['normal-0.01', 'normal-0.1', 'he', 'glorot']
  const compared = DEEP.flatMap((configuration) => {
    const all = random.flatMap((beginning) => {
      const comparison = figures.compare([configuration, 'from-a'], [configuration, beginning])
      return comparison === undefined ? [] : [{ configuration, beginning, comparison }]
    })
    return all.sort((one, other) => one.comparison.right - other.comparison.right).slice(0, 1)
  })
  if (compared.length === 0) return unmeasured(claim, 'one of B to E both from A and from random weights, trained to their end')
  const sentences = compared.map(({ configuration, beginning, comparison }) => {
    const letter = configurationLetter(configuration)
    return comparisonSentence(
      `${letter} from A`,
      `${letter} from its best random beginning (${beginningTitle(configuration, beginning)})`,
      comparison,
      figures,
    )
  })
  return { claim, verdict: together(compared.map(({ comparison }) => comparison.better)), sentences }
}

/** The verdict of several comparisons, the left side being the one that should err less. */
function together(outcomes: readonly Comparison['better'][]): Verdict {
  if (outcomes.every((better) => better === 'left')) return 'seen'
  if (outcomes.includes('left')) return 'partly seen'
  return outcomes.includes('right') ? 'not seen' : 'not told apart'
}

function glorot(figures: Figures): Finding {
  const claim = "With Glorot's random weights the deep ones learn without A (the paper's afterthought)."
  const measured = DEEP.flatMap((configuration) => figures.of(configuration, 'glorot'))
  if (measured.length === 0) return unmeasured(claim, 'one of B to E from Glorot')
  const fates = measured.map((result) => fateOf(result, figures.chance))
  const learned = fates.filter((fate) => fate === 'learns').length
  const verdict = learned === fates.length ? 'seen' : learned === 0 ? 'not seen' : 'partly seen'
  return { claim, verdict, sentences: [`${String(learned)} of ${String(fates.length)} trainings of B to E from Glorot learned.`] }
}

function unmeasured(claim: string, needed: string): Finding {
  return { claim, verdict: 'not measured', sentences: [`It takes ${needed}.`] }
}

function comparisonSentence(left: string, right: string, { difference, margin, ...errors }: Comparison, figures: Figures): string {
  const points = (share: number): string => (Math.abs(share) * 100).toFixed(1)
  const word = { left: 'less', right: 'more', neither: 'which is not told apart' }[errors.better]
  const gap = `${points(difference)} points ${difference < 0 ? 'less' : 'more'}`
  const outcome = errors.better === 'neither' ? `${gap}, ${word}` : gap
  const spread =
    figures.seeds > 1
      ? `the spread of ${String(figures.seeds)} seeds and of ${String(figures.chance.pictures)} pictures is`
      : `${String(figures.chance.pictures)} pictures alone, on one seed, leave`
  return `Error ${points(errors.left)} % for ${left}, ${points(errors.right)} % for ${right}: ${outcome} (${spread} ${points(margin)}).`
}

function seeds(count: number): string {
  return count === 1 ? '1 seed' : `${String(count)} seeds`
}
