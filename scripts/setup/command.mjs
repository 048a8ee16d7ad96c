import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/** A failure that a person can do something about: `message` is one line that says what happened and what to do; `tail` is the end of a log. */
export class SetupError extends Error {
  /**
   * @param {string} message
   * @param {string} [tail]
   */
  constructor(message, tail = '') {
    super(message)
    this.name = 'SetupError'
    this.tail = tail
  }
}

const running = new Set()

/** Ends what runs at the moment; for when a signal ends us. */
export function stopCommands() {
  for (const child of running) child.kill('SIGTERM')
}

/**
 * Runs a program with its output in a log file instead of on the terminal. Its end, whatever it is, is a result and not an exception.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{logFile: string, cwd?: string, env?: NodeJS.ProcessEnv, lockFd?: number, onOutput?: (text: string) => void}} options
 *   `lockFd` is handed down, so that a child that outlives a killed set-up keeps the lock until it is done
 * @returns {Promise<{code: number, output: string}>} `output`: the last 64 KiB of stdout and stderr
 */
export function run(program, args, { logFile, cwd, env, lockFd, onOutput }) {
  mkdirSync(dirname(logFile), { recursive: true })
  const log = createWriteStream(logFile)
  let output = ''
  return new Promise((resolve) => {
    const stdio = ['ignore', 'pipe', 'pipe', ...(lockFd === undefined ? [] : [lockFd])]
    const child = spawn(program, args, { cwd, env, stdio })
    running.add(child)
    const finish = (code) => {
      running.delete(child)
      log.end(() => resolve({ code, output }))
    }
    const take = (data) => {
      const text = data.toString()
      output = (output + text).slice(-65_536)
      log.write(data)
      onOutput?.(text)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', (error) => {
      output += error.message
      finish(1)
    })
    child.on('close', (code) => finish(code ?? 1))
  })
}

/**
 * The last lines of a log, for an error message.
 *
 * @param {string} output
 * @param {number} [lines]
 */
export function tailOf(output, lines = 12) {
  const kept = output
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .slice(-lines)
  return kept.map((line) => `  | ${line.slice(0, 300)}`).join('\n')
}
