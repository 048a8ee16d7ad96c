import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * For tests: a Node process that stands for a coordinator, so that it can be killed in the middle. It runs in a process
 * group of its own, so that a signal to the group can be sent without reaching the test.
 */
export class DoomedParent {
  readonly pid: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child
    this.pid = pid
  }

  /**
   * Runs a module's text; resolves with what it gives to `say(value)` first, which goes through JSON.
   * @throws Error with its stderr when it ends without having said anything
   */
  static async start(text: string): Promise<{ parent: DoomedParent; said: unknown }> {
    // It ends with the test at the latest, also when that fails before it could kill it.
    const code = `process.stdin.resume().on('end', () => process.exit())\nconst say = (value) => process.stdout.write(JSON.stringify(value) + '\\n')\n${text}`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], { detached: true, stdio: ['pipe', 'pipe', 'pipe'] })
    let output = ''
    let complaint = ''
    child.stderr.on('data', (part: Buffer) => (complaint += part.toString()))
    const said = await new Promise<unknown>((resolve, reject) => {
      child.stdout.on('data', (part: Buffer) => {
        output += part.toString()
        const end = output.indexOf('\n')
        if (end >= 0) resolve(JSON.parse(output.slice(0, end)))
      })
      child.once('close', () => reject(new Error(`it ended in silence: ${complaint}`)))
      child.once('error', reject)
    })
    return { parent: new DoomedParent(child, child.pid ?? 0), said }
  }

  /** Signals it alone. SIGKILL is waited for. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = once(this.#child, 'exit')
    this.#child.kill(signal)
    if (signal === 'SIGKILL') await gone
  }

  /** Signals its process group, as a terminal does at Ctrl-C. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal)
  }
}

/** For tests: whether a process runs; one that has ended but was not yet buried does not. */
export async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${String(pid)}/stat`, 'utf8').catch(() => undefined)
  if (status !== undefined) return !/\) [ZX] /.test(status)
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux'
  } catch {
    return false
  }
}

/** For tests: waits until something holds; the test's own time limit ends a wait in vain. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(20)
}
