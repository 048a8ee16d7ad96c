import { stat } from 'node:fs/promises'
import { RunDirectory } from '@lockstep/coordinator/run-directory/run-directory.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/**
 * The checkpoint a person means: a file, or a run, whose best one (the newest, if none was evaluated) is taken.
 * @throws TrainError CHECKPOINT_INVALID, RUN_MISSING
 */
export async function checkpointPathOf(named: string): Promise<string> {
  const found = await stat(named).catch(() => undefined)
  if (found === undefined)
    throw new TrainError(
      'CHECKPOINT_INVALID',
      `${named}: there is no such checkpoint or run; \`lockstep inspect\` shows the newest run and its checkpoints`,
    )
  if (!found.isDirectory()) return named
  const run = await RunDirectory.open(named)
  const chosen = (await run.best()) ?? (await run.checkpoints())[0]
  if (chosen === undefined)
    throw new TrainError('CHECKPOINT_INVALID', `${named} has no checkpoint yet: wait for its first one, or name another run`)
  return chosen.path
}
