import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const FOLDER = fileURLToPath(new URL('../../../.runtime/peers', import.meta.url))
const PYTHON = `${FOLDER}/bin/python`
const DONE = `${FOLDER}/installed`
const PACKAGES = ['torch==2.15.0', 'numpy']

/** A script of bench/src/peers: they are not compiled, so they are run from there. */
export function peerScript(name: string): string {
  return fileURLToPath(new URL(`../../src/peers/${name}`, import.meta.url))
}

/**
 * The Python with PyTorch in it, made at the first call: a large download, a benchmark's need and never a user's.
 * @returns path of the interpreter
 * @throws Error with the end of pip's output
 */
export function peerPython(): string {
  if (existsSync(DONE)) return PYTHON
  console.log('Fetching PyTorch to compare with, once: about 3 GB to download, 5.4 GB on disk in .runtime/peers (delete it when done)')
  rmSync(FOLDER, { recursive: true, force: true })
  run('python3', ['-m', 'venv', FOLDER])
  run(PYTHON, ['-m', 'pip', 'install', '--quiet', '--no-cache-dir', '--disable-pip-version-check', ...PACKAGES])
  writeFileSync(DONE, `${PACKAGES.join('\n')}\n`)
  return PYTHON
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] })
  if (status === 0) return
  throw new Error(`PyTorch could not be installed (${error?.message ?? stderr.trim().slice(-600)}): see to it and run again`)
}
