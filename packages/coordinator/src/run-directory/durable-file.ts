import { randomBytes } from 'node:crypto'
import { open, rename, rm, symlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Part of the name of everything that is written aside; what bears it after a crash is rubbish. */
export const PARTIAL = '.partial'

/**
 * Replaces a file so that a reader, or a power cut, finds either the old content or the new, whole: written aside,
 * fsync, rename, fsync of the directory.
 */
export async function writeDurably(path: string, content: string | Uint8Array): Promise<void> {
  const aside = asideOf(path)
  try {
    const file = await open(aside, 'wx', 0o640)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(aside, path)
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Points a symbolic link to another target in one step. @param target relative to the link's folder */
export async function replaceLink(path: string, target: string): Promise<void> {
  const aside = asideOf(path)
  try {
    await symlink(target, aside)
    await rename(aside, path)
  } catch (error) {
    await rm(aside, { force: true })
    throw error
  }
  await syncDirectory(dirname(path))
}

/** Makes renames and deletions in a directory last. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function asideOf(path: string): string {
  return join(dirname(path), `.${basename(path)}${PARTIAL}-${randomBytes(4).toString('hex')}`)
}
