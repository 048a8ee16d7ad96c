/** A report as blocks, and the two ways it is written: Markdown, and a page of its own. Pure. */

export type Block =
  | { readonly type: 'heading'; readonly text: string }
  /** `code` and *words* may be in it, as in Markdown. */
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'table'; readonly titles: readonly string[]; readonly rows: readonly (readonly string[])[] }
  | { readonly type: 'figure'; readonly file: string; readonly alt: string }

export function markdownOf(title: string, blocks: readonly Block[]): string {
  const parts = blocks.map((block) => {
    if (block.type === 'heading') return `## ${block.text}`
    if (block.type === 'text') return block.text
    if (block.type === 'figure') return `![${block.alt}](${block.file})`
    const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
    return [line(block.titles), line(block.titles.map(() => '---')), ...block.rows.map(line)].join('\n')
  })
  return `${[`# ${title}`, ...parts].join('\n\n')}\n`
}

const STYLE = `
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto }
th, td { padding: 0.3rem 0.8rem; border-bottom: 1px solid #ddd; text-align: left }
th { border-bottom: 2px solid #888 }
code { background: #f2f2f2; padding: 0.1rem 0.3rem; overflow-wrap: anywhere }
svg { max-width: 100%; height: auto }
`

/** One file that needs no other. @param figures SVG by file name */
export function pageOf(title: string, blocks: readonly Block[], figures: ReadonlyMap<string, string>): string {
  const parts = blocks.map((block) => {
    if (block.type === 'heading') return `<h2>${inline(block.text)}</h2>`
    if (block.type === 'text') return `<p>${inline(block.text)}</p>`
    if (block.type === 'figure') return `<figure aria-label="${escaped(block.alt)}">${figures.get(block.file) ?? ''}</figure>`
    const row = (cells: readonly string[], tag: 'td' | 'th'): string =>
      `<tr>${cells.map((cell) => `<${tag}>${inline(cell)}</${tag}>`).join('')}</tr>`
    return `<table><thead>${row(block.titles, 'th')}</thead><tbody>${block.rows.map((cells) => row(cells, 'td')).join('')}</tbody></table>`
  })
  return [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title><style>${STYLE}</style></head>`,
    `<body><h1>${escaped(title)}</h1>`,
    ...parts,
    '</body></html>',
    '',
  ].join('\n')
}

function inline(text: string): string {
  return escaped(text)
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>')
    .replaceAll(/\*\*([^*]+)\*\*/g, '<strong>$1</strong>')
    .replaceAll(/\*([^*]+)\*/g, '<em>$1</em>')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
