import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { listClassFolders } from './class-folders.js'
import { openPlainFolder, type PlainFolderOptions } from './plain-folder.js'
import { openDescribed, readDescription, type SampleFolder } from './sample-folder.js'

export interface WantedFolder {
  readonly part: 'training' | 'validation'
  readonly digest: string
  readonly samples: number
}

/**
 * The data set with the wanted digest: `directory` itself or one of its direct subfolders. Packed folders are looked at first, since
 * their digest is written down; a plain folder is read only when it has the wanted number of pictures.
 * @throws TrainError DATA_MISSING when there is no data set at all; WORKER_REFUSED_DATA naming those found and the one wanted;
 *   DATA_CORRUPT when the right one is damaged
 */
export async function findFolder(directory: string, wanted: WantedFolder, options: PlainFolderOptions): Promise<SampleFolder> {
  const found: string[] = []
  const plain: string[] = []
  for (const path of await candidates(directory)) {
    const description = await readDescription(path)
    if (description === null) plain.push(path)
    else if (description.digest === wanted.digest) return openDescribed(path, path, description)
    else found.push(summary(path, description.samples, description.digest))
  }
  for (const path of plain) {
    const listed = await listClassFolders(path).catch((error: unknown) => {
      if (error instanceof TrainError) return null
      throw error
    })
    if (listed === null) continue
    if (listed.pictures.length !== wanted.samples) {
      found.push(`${path} (${String(listed.pictures.length)} pictures)`)
      continue
    }
    const folder = await openPlainFolder(path, options)
    if (folder.description.digest === wanted.digest) return folder
    found.push(summary(path, folder.size, folder.description.digest))
    await folder.close()
  }
  const want = `the ${wanted.part} set of this run has ${String(wanted.samples)} pictures and digest ${wanted.digest.slice(0, 12)}`
  const remedy = "copy the coordinator's data here and name its folder with --data"
  if (found.length === 0) throw new TrainError('DATA_MISSING', `no data set in ${directory}: ${want}; ${remedy}`)
  throw new TrainError('WORKER_REFUSED_DATA', `${directory} holds other data: ${want}, found ${found.slice(0, 5).join('; ')}; ${remedy}`)
}

function summary(path: string, samples: number, digest: string): string {
  return `${path} (${String(samples)} pictures, digest ${digest.slice(0, 12)})`
}

async function candidates(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error: unknown) => {
    throw new TrainError(
      'DATA_MISSING',
      `${directory} cannot be read (${String((error as NodeJS.ErrnoException).code)}): name the folder that holds the data sets with --data`,
    )
  })
  const folders = entries
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !entry.name.startsWith('.'))
    .map((entry) => join(directory, entry.name))
  return [directory, ...folders.sort()]
}
