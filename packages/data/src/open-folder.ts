import { openPlainFolder, type PlainFolderOptions } from './plain-folder.js'
import { openDescribed, readDescription, type SampleFolder } from './sample-folder.js'

/**
 * Opens a data set: a packed folder where there is a `dataset.json`, else a plain folder of class folders.
 * @throws TrainError DATA_MISSING, DATA_CORRUPT
 */
export async function openFolder(path: string, options: PlainFolderOptions = {}): Promise<SampleFolder> {
  const description = await readDescription(path)
  return description === null ? openPlainFolder(path, options) : openDescribed(path, path, description)
}
