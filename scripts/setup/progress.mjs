/** How often a line is written where the terminal cannot rewrite one. */
const PLAIN_INTERVAL_MS = 10_000
const REWRITE_INTERVAL_MS = 500

/**
 * Progress of one thing: a line that rewrites itself on a terminal, a plain line every ten seconds elsewhere. It goes on telling the time where
 * nothing else is known. Whoever starts one ends it, with `end` or `stop`.
 *
 * @param {string} verb what is being done: `downloading`
 * @param {string} what
 * @returns {{update: (done: number, total: number, shown: string) => void, end: (note?: string) => void, stop: () => void}}
 */
export function progressOf(verb, what) {
  const startMs = Date.now()
  const prefix = `  ${verb.padEnd(12)}${what}`
  const terminal = process.stdout.isTTY
  const seconds = () => (Date.now() - startMs) / 1000
  const write = (text) => (terminal ? process.stdout.write(`\r\u001b[2K${text}`) : console.log(text))
  let state = ''
  const show = () => write(`${prefix}  ${state}${seconds().toFixed(0)} s`)
  if (terminal) show()
  const timer = setInterval(show, terminal ? REWRITE_INTERVAL_MS : PLAIN_INTERVAL_MS)
  const stop = () => clearInterval(timer)
  return {
    update(done, total, shown) {
      state = `${String(total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : 0)} %  ${shown}  `
    },
    end(note) {
      stop()
      write(`${prefix} (${note === undefined ? '' : `${note}, `}${seconds().toFixed(1)} s)${terminal ? '\n' : ''}`)
    },
    stop,
  }
}
