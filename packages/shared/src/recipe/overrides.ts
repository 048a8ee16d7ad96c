import { parseDocument } from 'yaml'
import { TrainError } from '../errors/train-error.js'

/** One `--set path=value`, taken apart. */
export interface Override {
  /** as typed */
  text: string
  path: readonly string[]
  value: unknown
}

/** Keys that say the same thing in two ways: setting one by `--set` takes the other away. */
const ALTERNATIVES: readonly (readonly [string, string])[] = [
  ['steps', 'epochs'],
  ['evaluation.everySteps', 'evaluation.everyEpochs'],
]

/** @throws TrainError USAGE when it is not `path=value`, or the value is not YAML */
export function parseOverride(text: string): Override {
  const equals = text.indexOf('=')
  const path = text.slice(0, Math.max(0, equals)).trim().split('.')
  if (equals < 1 || path.some((segment) => !/^[A-Za-z0-9_-]+$/.test(segment) || segment === '__proto__')) {
    throw new TrainError('USAGE', `--set ${text}: expected path=value, as in --set batch.global=64`)
  }
  const document = parseDocument(text.slice(equals + 1), { prettyErrors: false })
  const error = document.errors[0] ?? document.warnings[0]
  if (error !== undefined) throw new TrainError('USAGE', `--set ${text}: the value is not YAML: ${firstLine(error.message)}`)
  return { text, path, value: document.toJS({ maxAliasCount: 0 }) as unknown }
}

/**
 * A copy of `root` with the overrides applied in order; mappings on the way are made where they are missing.
 * @throws TrainError USAGE when a path leads through something that is no mapping
 */
export function applyOverrides(root: Record<string, unknown>, overrides: readonly Override[]): Record<string, unknown> {
  const result = structuredClone(root)
  for (const override of overrides) {
    for (const [left, right] of ALTERNATIVES) {
      const dottedPath = override.path.join('.')
      if (dottedPath === left) removeAt(result, right.split('.'))
      if (dottedPath === right) removeAt(result, left.split('.'))
    }
    setAt(result, override)
  }
  return result
}

function setAt(root: Record<string, unknown>, { path, value, text }: Override): void {
  let here: Record<string, unknown> = root
  for (const [depth, segment] of path.slice(0, -1).entries()) {
    const next = Object.hasOwn(here, segment) ? here[segment] : undefined
    if (next === undefined || next === null) here[segment] = {}
    else if (typeof next !== 'object') {
      throw new TrainError('USAGE', `--set ${text}: ${path.slice(0, depth + 1).join('.')} has no keys of its own; set it as a whole`)
    }
    here = here[segment] as Record<string, unknown>
  }
  const last = path.at(-1) ?? ''
  if (Array.isArray(here) && !(/^\d+$/.test(last) && Number(last) <= here.length)) {
    throw new TrainError(
      'USAGE',
      `--set ${text}: ${path.slice(0, -1).join('.')} is a list; set it as a whole, as in --set ${path.slice(0, -1).join('.')}=[1, 2]`,
    )
  }
  here[last] = value
}

function removeAt(root: Record<string, unknown>, path: readonly string[]): void {
  const [first, ...rest] = path
  if (first === undefined) return
  if (rest.length === 0) {
    Reflect.deleteProperty(root, first)
    return
  }
  const next = root[first]
  if (typeof next === 'object' && next !== null) removeAt(next as Record<string, unknown>, rest)
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text
}
