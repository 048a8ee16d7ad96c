import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/** The variable of the environment that names a queue server's program. */
export const VALKEY_VARIABLE = 'LOCKSTEP_VALKEY'
const INSTALLED = fileURLToPath(new URL('../../../../.runtime/valkey/bin/valkey-server', import.meta.url))

/**
 * The queue server's program: the one named in the environment, the one that set-up fetched, or one on the PATH.
 * @throws TrainError QUEUE_UNAVAILABLE
 */
export async function findValkey(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const named = environment[VALKEY_VARIABLE]
  if (named !== undefined && named !== '') {
    if (await executable(named)) return named
    throw new TrainError(
      'QUEUE_UNAVAILABLE',
      `${VALKEY_VARIABLE} names ${named}, which cannot be run: correct it, or unset it to use the one that set-up fetched`,
    )
  }
  const folders = (environment.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const candidates = [
    INSTALLED,
    ...folders.map((folder) => join(folder, 'valkey-server')),
    ...folders.map((folder) => join(folder, 'redis-server')),
  ]
  for (const candidate of candidates) if (await executable(candidate)) return candidate
  throw new TrainError(
    'QUEUE_UNAVAILABLE',
    `no queue server is installed: run npm run setup, put valkey-server or redis-server (6.2 or newer) on the PATH, or set run.queue to a redis:// address`,
  )
}

async function executable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}
