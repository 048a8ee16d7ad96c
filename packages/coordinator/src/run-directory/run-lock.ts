import { spawn } from 'node:child_process'
import { open, readFile, type FileHandle } from 'node:fs/promises'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/**
 * A run is held by flock(2). The lock belongs to the open file description, which a child shares when it inherits the
 * descriptor: so a child of a few milliseconds takes the lock and ends, and this process keeps it by keeping the file
 * open. The kernel gives it up in the instant this process ends, SIGKILL included; nothing can go stale, no process has
 * to be watched, and it holds between containers and (where the file system carries flock) between machines that share
 * the folder, which a socket would not.
 *
 * The file's text names the holder, for the message alone; it decides nothing.
 */
export class RunLock {
  readonly #file: FileHandle

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /**
   * @param path the lock file, made if missing and never deleted: deleting it would let two hold "it"
   * @param what the run, for the message
   * @throws TrainError RUN_LOCKED, DISK
   */
  static async take(path: string, what: string): Promise<RunLock> {
    const file = await open(path, 'a+', 0o640).catch((error: unknown) => {
      throw new TrainError('DISK', `cannot open ${path} (${reasonOf(error)}): make the run's folder writable`, { cause: error })
    })
    try {
      if (!(await flock(file, path)))
        throw new TrainError(
          'RUN_LOCKED',
          `${what} is going on already (${await holderOf(path)}): wait for it, or stop it with Ctrl-C there`,
        )
      await file.truncate(0)
      await file.write(`${JSON.stringify({ pid: process.pid, host: hostname() })}\n`)
      return new RunLock(file)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Gives the lock up. */
  async release(): Promise<void> {
    await this.#file.truncate(0).catch(() => undefined)
    await this.#file.close()
  }
}

/** Programs that take the lock on the descriptor they inherit as 3; exit code 1: another has it. */
const LOCKERS: readonly (readonly [string, readonly string[]])[] = [
  ['flock', ['-n', '-x', '3']],
  // where util-linux is not (macOS): set-up needs python3 in any case
  [
    'python3',
    [
      '-c',
      'import fcntl,sys\ntry: fcntl.flock(3, fcntl.LOCK_EX | fcntl.LOCK_NB)\nexcept BlockingIOError: sys.exit(1)\nexcept OSError as e: print(e, file=sys.stderr); sys.exit(71)',
    ],
  ],
]

/** Takes the lock on an open file, for as long as this process keeps it open. @returns whether it was free */
async function flock(file: FileHandle, path: string): Promise<boolean> {
  for (const [program, words] of LOCKERS) {
    const result = await runLocker(program, words, file.fd)
    if (result === 'missing') continue
    if (result.code === 0) return true
    if (result.code === 1) return false
    throw new TrainError('DISK', `cannot lock ${path} (${result.complaint}): put runs on a file system with locks, with --run`)
  }
  throw new TrainError('DISK', `cannot lock ${path}: neither flock (package util-linux) nor python3 is on the PATH; install one of them`)
}

async function runLocker(
  program: string,
  words: readonly string[],
  descriptor: number,
): Promise<'missing' | { code: number | null; complaint: string }> {
  return await new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe', descriptor] })
    let complaint = ''
    child.stderr?.on('data', (part: Buffer) => (complaint += part.toString()))
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'EACCES') resolve('missing')
      else reject(error)
    })
    child.once('close', (code) => {
      resolve({ code, complaint: complaint.trim().replaceAll('\n', ' ') })
    })
  })
}

/** The holder in words. Just after taking the lock it may not have written its name yet. */
async function holderOf(path: string): Promise<string> {
  for (let attempt = 0; attempt < 5; attempt++) {
    try {
      const holder = JSON.parse(await readFile(path, 'utf8')) as { pid: number; host: string }
      return holder.host === hostname() ? `process ${String(holder.pid)}` : `process ${String(holder.pid)} on ${holder.host}`
    } catch {
      await sleep(20)
    }
  }
  return 'by a process that has not said its number'
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
