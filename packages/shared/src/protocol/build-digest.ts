import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The packages whose built files take part in the arithmetic of a worker. */
const PACKAGES = ['shared', 'data', 'worker']

let cached: string | undefined

/**
 * SHA-256 (hex) over the built files that decide what a worker computes: two sides of a run must have the same.
 * Paths count relative to the packages, so that the place of the installation does not matter.
 */
export function buildDigest(): string {
  cached ??= digestOf(fileURLToPath(new URL('../../../', import.meta.url)))
  return cached
}

function digestOf(packages: string): string {
  const hash = createHash('sha256')
  for (const name of PACKAGES) {
    const dist = join(packages, name, 'dist')
    const files = readdirSync(dist, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /(?<!\.test)\.(js|wasm)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
    for (const file of files) {
      hash.update(`${name}/${relative(dist, file).split(sep).join('/')}\0`)
      hash.update(readFileSync(file))
    }
  }
  return hash.digest('hex')
}
