import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The command as a user starts it: its own process group, so that a signal to the group is what Ctrl-C in a shell is. */
const LAUNCHER = fileURLToPath(new URL('../../../packages/cli/bin/lockstep.mjs', import.meta.url))

export interface Ended {
  /** As a shell shows it. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Started {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** Sends a signal to the whole process group. */
  interrupt(signal: NodeJS.Signals): void
}

/**
 * Starts `lockstep` with these words.
 * @param onLine sees every line of standard output as it comes
 * @param environment added to this process's own
 */
export function startCommand(
  words: readonly string[],
  cwd: string,
  onLine: (line: string) => void = () => undefined,
  environment: NodeJS.ProcessEnv = {},
): Started {
  const env = { ...process.env, ...environment }
  const child = spawn(process.execPath, [LAUNCHER, ...words], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    lines.forEach(onLine)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code) => {
      resolve({ code, stdout, stderr })
    })
  })
  const interrupt = (signal: NodeJS.Signals): void => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, signal)
  }
  return { child, ended, interrupt }
}

/** Runs `lockstep` with these words to its end. */
export async function runCommand(words: readonly string[], cwd: string): Promise<Ended> {
  return await startCommand(words, cwd).ended
}
