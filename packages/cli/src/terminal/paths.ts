import { isAbsolute, relative } from 'node:path'

/** A path as a person would type it here: relative when it lies below the working directory. */
export function shownPath(path: string, from = process.cwd()): string {
  const short = relative(from, path)
  return short === '' ? '.' : short.startsWith('..') || isAbsolute(short) ? path : short
}
