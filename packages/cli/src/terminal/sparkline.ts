const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const

/**
 * A line of block characters, one a column, from low to high.
 * @param values oldest first; grouped into `columns` means when there are more
 */
export function sparkline(values: readonly number[], columns: number): string {
  const finite = values.filter((value) => Number.isFinite(value))
  if (finite.length === 0 || columns < 1) return ''
  const means = finite.length <= columns ? finite : Array.from({ length: columns }, (_, column) => meanOfColumn(finite, column, columns))
  const low = Math.min(...means)
  const span = Math.max(...means) - low
  return means
    .map((mean) => BLOCKS[span === 0 ? 0 : Math.min(BLOCKS.length - 1, Math.floor(((mean - low) / span) * BLOCKS.length))] ?? '')
    .join('')
}

function meanOfColumn(values: readonly number[], column: number, columns: number): number {
  const from = Math.floor((column * values.length) / columns)
  const to = Math.floor(((column + 1) * values.length) / columns)
  let sum = 0
  for (let index = from; index < to; index++) sum += values[index] ?? 0
  return sum / (to - from)
}
