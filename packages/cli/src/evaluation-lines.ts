import { viewsInWords } from '@lockstep/shared/sampling/evaluation-views.js'
import type { EvaluationReport } from '@lockstep/worker/standalone/messages.js'
import { shownPath } from './terminal/paths.js'
import { fields, table, type Column } from './terminal/table.js'
import { count, percent, significant } from './terminal/units.js'

/** Mistakes that are told where the matrix is too wide. */
const MISTAKES = 10
/** A longer name is cut in the matrix's titles. */
const TITLE_LENGTH = 10

/** An evaluation for a person: totals, a table of classes, a confusion matrix. @param width columns there are */
export function evaluationLines(checkpoints: readonly string[], report: EvaluationReport, width: number): string[] {
  const { loss, meanAbsoluteError, top1, top5, samples, correctTop1, correctTop5 } = report
  const looks = [...new Set(report.views.map(viewsInWords))]
  const totals = fields([
    ...checkpoints.map((path, index): [string, string] => [index === 0 ? 'checkpoint' : '', shownPath(path)]),
    ...(checkpoints.length > 1
      ? [['together', meanAbsoluteError === undefined ? 'the mean of their soft-max outputs' : 'the mean of their values'] as const]
      : []),
    ...looks.map((look, index): [string, string] => [index === 0 ? 'looked at' : '', look]),
    ['pictures', count(samples)],
    ...(meanAbsoluteError === undefined
      ? ([
          ['loss', significant(loss)],
          ['top-1', `${percent(top1)}  ${count(correctTop1)} right`],
          ['top-5', `${percent(top5)}  ${count(correctTop5)} right`],
        ] as const)
      : ([
          ['mean squared error', significant(loss)],
          ['mean absolute error', significant(meanAbsoluteError)],
          ['nearest is right', `${percent(top1)}  ${count(correctTop1)} pictures`],
        ] as const)),
  ])
  return [...totals, '', ...classTable(report), '', ...confusionLines(report, width)]
}

function classTable({ perClass }: EvaluationReport): string[] {
  const columns: Column[] = [
    { title: 'class', align: 'left' },
    { title: 'pictures', align: 'right' },
    { title: 'top-1', align: 'right' },
    { title: 'top-5', align: 'right' },
  ]
  const share = (pictures: number, value: number): string => (pictures === 0 ? '–' : percent(value))
  return table(
    columns,
    perClass.map((row) => [row.name, count(row.samples), share(row.samples, row.top1), share(row.samples, row.top5)]),
  )
}

/** The matrix, a row a true class; where it is wider than the terminal, the most frequent mistakes. */
function confusionLines({ confusion, perClass }: EvaluationReport, width: number): string[] {
  const columns: Column[] = [
    { title: 'true \\ seen as', align: 'left' },
    ...perClass.map(({ name }): Column => ({
      title: name.length > TITLE_LENGTH ? `${name.slice(0, TITLE_LENGTH - 1)}…` : name,
      align: 'right',
    })),
  ]
  const matrix = table(
    columns,
    perClass.map(({ name }, label) => [name, ...(confusion[label] ?? []).map((pictures) => (pictures === 0 ? '·' : count(pictures)))]),
  )
  if (matrix.every((line) => line.length <= width)) return matrix
  const mistakes = mistakesOf(confusion).slice(0, MISTAKES)
  if (mistakes.length === 0) return ['no picture was taken for one of another class']
  const rows = mistakes.map(({ label, seen, pictures }) => [perClass[label]?.name ?? '', perClass[seen]?.name ?? '', count(pictures)])
  const titles: Column[] = [
    { title: 'true class', align: 'left' },
    { title: 'seen as', align: 'left' },
    { title: 'pictures', align: 'right' },
  ]
  return ['the most frequent mistakes (--json has the whole matrix)', ...table(titles, rows)]
}

/** Most frequent first; of equals in the order of classes. */
function mistakesOf(confusion: EvaluationReport['confusion']): { label: number; seen: number; pictures: number }[] {
  return confusion
    .flatMap((row, label) => row.map((pictures, seen) => ({ label, seen, pictures })))
    .filter(({ label, seen, pictures }) => label !== seen && pictures > 0)
    .sort((left, right) => right.pictures - left.pictures)
}
