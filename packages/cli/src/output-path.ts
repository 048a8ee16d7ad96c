import { stat } from 'node:fs/promises'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { shownPath } from './terminal/paths.js'

/**
 * Refuses to overwrite what nobody said may go.
 * @param out the file that is to be written
 * @throws TrainError USAGE when it is a folder, or exists without --force
 */
export async function requireFreeFile(out: string, force: boolean): Promise<void> {
  const found = await stat(out).catch(() => undefined)
  if (found?.isDirectory() === true)
    throw new TrainError('USAGE', `--out ${shownPath(out)} is a folder: name a file in it, such as initial.safetensors`)
  if (found !== undefined && !force)
    throw new TrainError('USAGE', `${shownPath(out)} exists already: say --force to overwrite it, or --out for another file`)
}
