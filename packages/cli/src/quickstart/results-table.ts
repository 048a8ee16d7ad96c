import { table, type Column } from '../terminal/table.js'
import { count, percent } from '../terminal/units.js'

/** The one table of results. Pure. */

export interface TrainingRow {
  readonly configuration: string
  readonly initialization: string
  readonly parameters: number
  /** Share of the validation pictures, after the last step. */
  readonly top1: number
  readonly imagesPerSecond: number
  /** From start to end, evaluations and the start of the workers included. */
  readonly seconds: number
}

/** What a network has to beat. */
export interface BaselineRow {
  readonly name: string
  readonly top1: number
  readonly seconds: number
}

const COLUMNS: readonly Column[] = [
  { title: 'configuration', align: 'left' },
  { title: 'initialization', align: 'left' },
  { title: 'parameters', align: 'right' },
  { title: 'top-1', align: 'right' },
  { title: 'images/s', align: 'right' },
  { title: 'seconds', align: 'right' },
]

/** Lines of the table. */
export function resultsTable(trainings: readonly TrainingRow[], baseline: BaselineRow): string[] {
  const rows = trainings.map((row) => [
    row.configuration,
    row.initialization,
    count(row.parameters),
    percent(row.top1),
    count(Math.round(row.imagesPerSecond)),
    row.seconds.toFixed(0),
  ])
  return table(COLUMNS, [...rows, [baseline.name, '–', '–', percent(baseline.top1), '–', baseline.seconds.toFixed(0)]])
}
