/** How often a line is written where the terminal cannot rewrite one. */
const PLAIN_INTERVAL_MS = 10_000

/**
 * Progress of one thing: a line that rewrites itself on a terminal, a plain line every ten seconds elsewhere.
 *
 * @param {string} verb what is being done: `downloading`
 * @param {string} what
 * @returns {{update: (done: number, total: number, shown: string) => void, end: (note?: string) => void}}
 */
export function progressOf(verb, what) {
  const startMs = Date.now()
  const prefix = `  ${verb.padEnd(12)}${what}`
  let shownMs = startMs
  const rewrite = (text) => process.stdout.write(`\r\u001b[2K${text}`)
  if (process.stdout.isTTY) rewrite(`${prefix} …`)
  return {
    update(done, total, shown) {
      const now = Date.now()
      const text = `${prefix}  ${String(total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : 0)} %  ${shown}`
      if (process.stdout.isTTY) rewrite(text)
      else if (now - shownMs >= PLAIN_INTERVAL_MS) {
        shownMs = now
        console.log(text)
      }
    },
    end(note) {
      const text = `${prefix} (${note === undefined ? '' : `${note}, `}${((Date.now() - startMs) / 1000).toFixed(1)} s)`
      if (process.stdout.isTTY) rewrite(`${text}\n`)
      else console.log(text)
    },
  }
}
