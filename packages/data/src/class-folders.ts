import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/** Formats that training reads, by extension; the content decides what is decoded. */
const PICTURE = /\.(?:jpe?g|png|webp|gif|tiff?|avif|svg)$/i

export interface ListedPicture {
  /** Path relative to the folder, with slashes. */
  readonly name: string
  readonly label: number
}

export interface ClassFolders {
  readonly classes: readonly string[]
  readonly pictures: readonly ListedPicture[]
}

const byBytes = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right))

const REMEDY = 'a data set is a folder with one folder of pictures a class (JPEG, PNG, WebP, …), or one made by `lockstep pack`'

/**
 * The pictures of a folder of class folders: classes are its first-level folders in byte order of their names; pictures lie in them at
 * any depth and come in byte order of their paths. Hidden entries and other files are passed over.
 * @throws TrainError DATA_MISSING when the folder, classes or the pictures of a class are missing
 */
export async function listClassFolders(root: string): Promise<ClassFolders> {
  const classes = (await foldersOf(root)).sort(byBytes)
  if (classes.length === 0) throw new TrainError('DATA_MISSING', `${root} holds no class folders: ${REMEDY}`)
  const pictures: ListedPicture[] = []
  const empty: string[] = []
  for (const [label, name] of classes.entries()) {
    const files = (await filesUnder(root, name)).sort(byBytes)
    if (files.length === 0) empty.push(name)
    for (const file of files) pictures.push({ name: file, label })
  }
  if (pictures.length === 0) throw new TrainError('DATA_MISSING', `the class folders of ${root} hold no pictures: ${REMEDY}`)
  if (empty.length > 0) {
    throw new TrainError(
      'DATA_MISSING',
      `no pictures in the class folder ${empty.slice(0, 5).join(', ')} of ${root}: add some, or remove the folder`,
    )
  }
  return { classes, pictures }
}

/** First-level folders; symbolic links to folders count. */
async function foldersOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch((error: unknown) => {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') throw new TrainError('DATA_MISSING', `there is no folder ${root}: ${REMEDY}`)
    if (code === 'ENOTDIR') throw new TrainError('DATA_MISSING', `${root} is a file, not a folder: ${REMEDY}`)
    throw new TrainError('DATA_MISSING', `${root} cannot be read (${String(code)}): check its permissions`)
  })
  const folders: string[] = []
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue
    if (entry.isDirectory() || (entry.isSymbolicLink() && (await stat(join(root, entry.name)).catch(() => null))?.isDirectory() === true))
      folders.push(entry.name)
  }
  return folders
}

async function filesUnder(root: string, folder: string): Promise<string[]> {
  const files: string[] = []
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) files.push(...(await filesUnder(root, path)))
    else if (PICTURE.test(entry.name) && (entry.isFile() || entry.isSymbolicLink())) files.push(path)
  }
  return files
}
