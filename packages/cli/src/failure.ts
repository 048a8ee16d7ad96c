import { InvariantError, TrainError } from '@lockstep/shared/errors/train-error.js'

/** A command that ended early for a reason other than success, with nothing more to say. */
export class ExitRequest extends Error {
  override readonly name = 'ExitRequest'
  readonly exitCode: number
  constructor(exitCode: number) {
    super(`exit code ${String(exitCode)}`)
    this.exitCode = exitCode
  }
}

export interface Failure {
  /** `error: …`, one line a problem */
  lines: string[]
  code: string
  exitCode: number
}

/** What a person sees of an error, and the exit code. Never a stack trace. */
export function failureOf(error: unknown): Failure {
  if (error instanceof ExitRequest) return { lines: [], code: error.exitCode > 128 ? 'INTERRUPTED' : 'FAILED', exitCode: error.exitCode }
  if (error instanceof TrainError) {
    return { lines: error.message.split('\n').map((line) => `error: ${line}`), code: error.code, exitCode: error.code === 'USAGE' ? 2 : 1 }
  }
  if (error instanceof InvariantError) return { lines: [`error: ${oneLine(error.message)}`], code: 'INTERNAL', exitCode: 1 }
  return systemFailure(error) ?? bug(error)
}

/** Faults of the machine that reach us as they are. */
function systemFailure(error: unknown): Failure | undefined {
  const { code, path } = error as Partial<NodeJS.ErrnoException>
  const what = path === undefined ? '' : `${path}: `
  const remedies: Record<string, string> = {
    ENOSPC: 'the disk is full: free some space and start again',
    EACCES: 'no permission: check who owns it',
    EPERM: 'no permission: check who owns it',
    EROFS: 'the file system is read-only: choose another place',
    EMFILE: 'too many open files: raise the limit with `ulimit -n 4096`',
    ENOENT: 'no such file or folder: check the path',
    ENOTDIR: 'a part of this path is not a folder: check the path',
    EISDIR: 'this is a folder, a file was expected: check the path',
  }
  const remedy = code === undefined ? undefined : remedies[code]
  return remedy === undefined ? undefined : { lines: [`error: ${what}${remedy}`], code: code ?? 'FAILED', exitCode: 1 }
}

function bug(error: unknown): Failure {
  const said = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  const where = error instanceof Error ? firstFrame(error) : ''
  return {
    lines: [`error: this is a bug in Lockstep: ${oneLine(said)}${where}; please report it, with the logs/ of the run if there is one`],
    code: 'INTERNAL',
    exitCode: 1,
  }
}

/** ` (at file.js:12)` of the innermost frame in our code: enough for a report, not a stack trace. */
function firstFrame(error: Error): string {
  const frame = /([\w-]+\.m?js):(\d+):\d+/.exec(error.stack?.split('\n').find((line) => line.includes('/packages/')) ?? '')
  return frame === null ? '' : ` (${frame[1] ?? ''}:${frame[2] ?? ''})`
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim()
}
