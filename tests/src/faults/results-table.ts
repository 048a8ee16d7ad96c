import type { Trial } from './trial.js'

/** The rows of a finished walk through the faults, as people read them. */

export interface Row {
  readonly fault: string
  readonly trials: readonly Trial[]
  /** Why it was not tried, if so. */
  readonly skipped?: string
}

const HEADINGS = ['fault', 'repetitions', 'digests', 'longest pause', 'seen'] as const

/** One line a row, columns aligned. */
export function tableLines(rows: readonly Row[]): string[] {
  const cells = [[...HEADINGS], ...rows.map(cellsOf)]
  const widths = HEADINGS.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  return cells.map((row) =>
    row
      .map((cell, column) => (column === HEADINGS.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

/** `N passed, N failed[, N skipped]`: rows, of which every repetition has to pass. */
export function tally(rows: readonly Row[]): { passed: number; failed: number; skipped: number } {
  const skipped = rows.filter((row) => row.skipped !== undefined).length
  const failed = rows.filter((row) => row.trials.some((trial) => !trial.passed)).length
  return { passed: rows.length - skipped - failed, failed, skipped }
}

function cellsOf({ fault, trials, skipped }: Row): string[] {
  if (skipped !== undefined) return [fault, 'skipped', '', '', skipped]
  const passed = trials.filter((trial) => trial.passed).length
  const [different, unknown] = [false, undefined].map((state) => trials.filter(({ digestsEqual }) => digestsEqual === state).length)
  const digests = [different === 0 ? '' : `${String(different)} DIFFER`, unknown === 0 ? '' : `${String(unknown)} not compared`].filter(
    Boolean,
  )
  const pauses = trials.map((trial) => trial.pauseSeconds).sort((a, b) => a - b)
  const [median = 0, worst = 0] = [pauses[Math.floor((pauses.length - 1) / 2)], pauses.at(-1)]
  const counts = new Map<string, number>()
  for (const { seen } of trials) if (seen !== '') counts.set(seen, (counts.get(seen) ?? 0) + 1)
  const seen = [...counts].map(([text, count]) => (count > 1 ? `${text} (${String(count)}×)` : text)).join('; ')
  return [
    fault,
    `${String(passed)} of ${String(trials.length)}`,
    digests.length === 0 ? 'all equal' : digests.join(', '),
    `${median.toFixed(1)} s, worst ${worst.toFixed(1)} s`,
    seen,
  ]
}
