import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { computeEnvironment } from '@lockstep/shared/environment/compute-environment.js'
import { newLogFile } from '../standalone-work.js'
import { writeError, writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'

const WORKER_PROGRAM = fileURLToPath(import.meta.resolve('@lockstep/worker/main.js'))
/** pino's levels */
const INFO = 30
const WARN = 40
const ERROR = 50

export interface WorkerProcessOptions {
  join: string
  data?: string
  name?: string
  computeThreads: number
  insecureNetwork: boolean
  json: boolean
}

/**
 * Runs a worker as a child: TensorFlow reads its number of threads before the first line of a process runs, and prints lines of
 * its own, which go to a log file. What the worker itself says is shown as plain lines.
 * @returns the worker's exit code
 * @throws TrainError DISK when there is no place for the log
 */
export async function runWorkerProcess(options: WorkerProcessOptions): Promise<number> {
  const logFile = newLogFile('worker')
  const child = spawn(process.execPath, [WORKER_PROGRAM, ...wordsOf(options)], {
    // a group of its own: Ctrl-C reaches this process alone, which passes it on in order
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: computeEnvironment(process.env, options.computeThreads),
  })
  if (!options.json) writeLine(`joining ${options.join}; log: ${shownPath(logFile)}`)
  const log = createWriteStream(logFile, { flags: 'a' })
  // a full disk must not end the work
  log.on('error', () => undefined)
  let lastWords = ''
  const listen = (stream: NodeJS.ReadableStream, isError: boolean): void => {
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`)
      const said = wordsOfLog(line)
      if (options.json && said !== undefined) writeLine(line)
      else if (said !== undefined && said.level >= INFO && said.level < ERROR)
        writeLine(said.level >= WARN ? `warning: ${said.text}` : said.text)
      if (said !== undefined && said.level >= ERROR) lastWords = said.text
      else if (isError && said === undefined && line.trim() !== '') lastWords = line.trim()
    })
  }
  listen(child.stdout, false)
  listen(child.stderr, true)
  const release = passSignalsOn(child)
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
    if (code === 1 || code === 2 || code === null) {
      const how = lastWords === '' ? `the worker ended (${signal ?? String(code)}) without a word` : lastWords
      writeError(`error: ${oneLine(how)} (log: ${shownPath(logFile)})`)
    }
    return code ?? 1
  } finally {
    release()
    log.end()
  }
}

function wordsOf({ join: address, data, name, computeThreads, insecureNetwork }: WorkerProcessOptions): string[] {
  return [
    ...['--join', address, '--compute-threads', String(computeThreads), '--lifeline', 'stdin'],
    ...(data === undefined ? [] : ['--data', data]),
    ...(name === undefined ? [] : ['--name', name]),
    ...(insecureNetwork ? ['--insecure-network'] : []),
  ]
}

function passSignalsOn(child: ChildProcess): () => void {
  const handlers = (['SIGINT', 'SIGTERM'] as const).map((signal) => {
    const handler = (): void => void child.kill(signal)
    process.on(signal, handler)
    return () => process.off(signal, handler)
  })
  return () => {
    for (const release of handlers) release()
  }
}

/** A line of the worker's own log; undefined for what libraries print. */
function wordsOfLog(line: string): { level: number; text: string } | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown }
    return typeof level === 'number' && typeof msg === 'string' ? { level, text: msg } : undefined
  } catch {
    return undefined
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ')
}
