import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Names that hold no sources. */
const PASSED_OVER = new Set(['node_modules', '.git', '.runtime', '.cache'])

/**
 * All files under a folder in byte order of their paths, relative to `root`; none when the folder is not there.
 *
 * @param {string} root
 * @param {string} folder relative to `root`
 * @returns {string[]}
 */
export function filesUnder(root, folder) {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return PASSED_OVER.has(entry.name) ? [] : filesUnder(root, path)
      return entry.isFile() ? [path] : []
    })
    .sort()
}

/**
 * SHA-256 over names and contents, and over `salt`. A file that is not there counts as that.
 *
 * @param {string} root
 * @param {readonly string[]} paths relative to `root`
 * @param {string} [salt]
 */
export function digestOfFiles(root, paths, salt = '') {
  const hash = createHash('sha256').update(salt)
  for (const path of paths) {
    const contents = existsSync(join(root, path)) ? readFileSync(join(root, path)) : undefined
    hash.update(`\0${path}\0${contents === undefined ? 'absent' : String(contents.length)}\0`)
    if (contents !== undefined) hash.update(contents)
  }
  return hash.digest('hex')
}

/**
 * What an earlier run noted, or nothing where it noted nothing or was cut off while it did.
 *
 * @param {string} file
 * @returns {Record<string, string>}
 */
export function readStamp(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return {}
  }
}

/**
 * Writes aside and renames: a reader sees the old note or the new one.
 *
 * @param {string} file
 * @param {Record<string, string>} stamp
 */
export function writeStamp(file, stamp) {
  mkdirSync(dirname(file), { recursive: true })
  const aside = `${file}.${String(process.pid)}`
  writeFileSync(aside, `${JSON.stringify(stamp, null, 2)}\n`)
  renameSync(aside, file)
}
