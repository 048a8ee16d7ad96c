export interface Column {
  title: string
  align: 'left' | 'right'
}

/** A plain table: titles, a rule, rows; columns two spaces apart. @returns lines without trailing spaces */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = columns.map(({ title }, column) => Math.max(width(title), ...rows.map((row) => width(row[column] ?? ''))))
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, column) => {
        const cell = cells[column] ?? ''
        const space = ' '.repeat((widths[column] ?? 0) - width(cell))
        return align === 'left' ? cell + space : space + cell
      })
      .join('  ')
      .trimEnd()
  const rule = '─'.repeat(widths.reduce((sum, each) => sum + each, 0) + 2 * (columns.length - 1))
  return [line(columns.map(({ title }) => title)), rule, ...rows.map(line)]
}

/** Lines of `name  value`, the values under each other. */
export function fields(entries: readonly (readonly [name: string, value: string])[]): string[] {
  const widest = Math.max(0, ...entries.map(([name]) => width(name)))
  return entries.map(([name, value]) => `${name}${' '.repeat(widest - width(name))}  ${value}`.trimEnd())
}

const segmenter = new Intl.Segmenter()

/** Columns on a terminal, counted as characters that a person sees. */
function width(text: string): number {
  return [...segmenter.segment(text)].length
}
