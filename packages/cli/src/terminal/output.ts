import { styleText } from 'node:util'

/**
 * The two streams of a command. Results and events go to standard output, errors and hints to standard error.
 * A reader that went away (`lockstep inspect … | head -1`) is no error: what is left is not written.
 */

const gone = new Set<NodeJS.WriteStream>()

/** Watches both streams; once, before anything is written. */
export function guardOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      gone.add(stream)
      if (error.code !== 'EPIPE' && stream === process.stdout)
        writeError(`error: cannot write to standard output (${error.code ?? error.message})`)
    })
  }
}

/** A line to standard output. */
export function writeLine(line: string): void {
  if (!gone.has(process.stdout)) process.stdout.write(`${line}\n`)
}

/** A line to standard error. */
export function writeError(line: string): void {
  if (!gone.has(process.stderr)) process.stderr.write(`${line}\n`)
}

/** Whether a live display may be drawn. */
export function isInteractive(): boolean {
  return process.stdout.isTTY && process.env.TERM !== 'dumb'
}

type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan'

/** Text in a style, on a terminal that wants colours (https://no-color.org). */
export function styled(style: Style, text: string): string {
  const { NO_COLOR: noColor } = process.env
  return isInteractive() && (noColor === undefined || noColor === '') ? styleText(style, text) : text
}
