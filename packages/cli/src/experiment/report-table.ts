import { mean } from './comparison.js'
import { PAPER_TABLE, type PaperError } from './paper-table.js'
import { fateOf, finalEvaluation, type Chance, type Fate, type TrainingResult } from './training-result.js'
import { BEGINNINGS, CONFIGURATIONS, type Beginning, type Configuration } from './training-plan.js'

/** Our figures beside the paper's. Pure. */

/** One configuration from one beginning, over the seeds. */
export interface ReportRow {
  readonly configuration: Configuration
  readonly beginning: Beginning
  readonly seeds: readonly number[]
  readonly parameters: number
  /** Of the last evaluation, shares 0–1; null for a training that diverged. */
  readonly top1Errors: readonly (number | null)[]
  readonly top5Errors: readonly (number | null)[]
  readonly fates: readonly Fate[]
  /** Means over the seeds. */
  readonly seconds: number
  readonly imagesPerSecond: number
  readonly paper: { readonly fixed: PaperError; readonly jittered: PaperError | null }
}

/** A row for everything that was trained, in the paper's order. */
export function reportRows(results: readonly TrainingResult[], chance: Chance): ReportRow[] {
  return CONFIGURATIONS.flatMap((configuration) =>
    BEGINNINGS.flatMap((beginning) => {
      const group = results.filter((result) => result.configuration === configuration && result.beginning === beginning)
      return group.length === 0 ? [] : [rowOf(configuration, beginning, group, chance)]
    }),
  )
}

function rowOf(configuration: Configuration, beginning: Beginning, group: readonly TrainingResult[], chance: Chance): ReportRow {
  const errors = (of: 'top1' | 'top5'): (number | null)[] =>
    group.map((result) => {
      const evaluation = finalEvaluation(result)
      return evaluation === undefined ? null : 1 - evaluation[of]
    })
  return {
    configuration,
    beginning,
    seeds: group.map(({ seed }) => seed),
    parameters: group[0]?.parameters ?? 0,
    top1Errors: errors('top1'),
    top5Errors: errors('top5'),
    fates: group.map((result) => fateOf(result, chance)),
    seconds: mean(group.map(({ seconds }) => seconds)),
    imagesPerSecond: mean(group.map(({ imagesPerSecond }) => imagesPerSecond)),
    paper: PAPER_TABLE[configuration],
  }
}

/** `3.2 %`, or with several seeds `3.2 % (2.9–3.5)`; `–` where one diverged. */
export function errorCell(errors: readonly (number | null)[]): string {
  const known = errors.filter((error) => error !== null)
  if (known.length === 0 || known.length < errors.length) return '–'
  const points = (share: number): string => (share * 100).toFixed(1)
  const range = known.length > 1 ? ` (${points(Math.min(...known))}–${points(Math.max(...known))})` : ''
  return `${points(mean(known))} %${range}`
}

/** `learns`, or where the seeds differ `stalls on 1 of 2`. */
export function fateCell(fates: readonly Fate[]): string {
  const counted = (['learns', 'stalls', 'diverges'] as const).map((fate) => [fate, fates.filter((one) => one === fate).length] as const)
  const present = counted.filter(([, count]) => count > 0)
  if (present.length === 1) return present[0]?.[0] ?? ''
  return present.map(([fate, count]) => `${fate} on ${String(count)}`).join(', ')
}

/** `29.6 / 10.4` */
export function paperCell(error: PaperError | null): string {
  return error === null ? '–' : `${error.top1.toFixed(1)} / ${error.top5.toFixed(1)}`
}
