import { basename, dirname, resolve } from 'node:path'
import { isCollection, isMap, isScalar, LineCounter, parseDocument, stringify, type Document } from 'yaml'
import { TrainError } from '../errors/train-error.js'
import { inconsistencies } from './consistency.js'
import { keysAt } from './json-schema.js'
import { applyOverrides, parseOverride, type Override } from './overrides.js'
import { problemsOf, type RecipeProblem } from './problems.js'
import { withDefaults } from './resolved-recipe.js'
import { recipeSchema, type Recipe } from './schema.js'

/** More references than this to one anchor is a bomb, not a recipe. */
const MAXIMUM_ALIASES = 100

export interface ParseOptions {
  /** path of the file the text came from: names it in errors, and relative paths in the recipe start at its folder */
  file: string
  /** `path=value` texts of --set, applied in order */
  set?: readonly string[]
}

/**
 * A recipe from its text: YAML, overrides, the schema, the rules between keys, defaults filled, paths made absolute.
 * @throws TrainError RECIPE_INVALID with one line a problem, first in the file first: `file:line:column: key path, what is wrong, what would do`
 * @throws TrainError USAGE for a --set that is not path=value
 */
export function parseRecipe(text: string, { file, set = [] }: ParseOptions): Recipe {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const syntax = document.errors[0] ?? document.warnings[0]
  if (syntax !== undefined)
    throw new TrainError('RECIPE_INVALID', `${place(file, lines, syntax.pos[0])}: not valid YAML: ${oneLine(syntax.message)}`)
  const written = toObject(document, file)
  const overrides = set.map(parseOverride)
  const root = withoutEmpty(applyOverrides({ name: nameOfFile(file), ...written }, overrides), [])
  const parsed = recipeSchema.safeParse(root)
  const problems = parsed.success ? inconsistencies(parsed.data) : problemsOf(parsed.error.issues, root)
  if (!parsed.success || problems.length > 0) throw new TrainError('RECIPE_INVALID', report(problems, { file, document, lines, overrides }))
  // once more through the schema: equal recipes then have their keys in one order
  return recipeSchema.parse(withDefaults(absolutePaths(parsed.data, dirname(resolve(file)))))
}

/** The recipe as YAML that parses to the same recipe again: what a run stores. */
export function recipeText(recipe: Recipe): string {
  return stringify(recipe, { lineWidth: 160 })
}

function toObject(document: Document, file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = document.toJS({ maxAliasCount: MAXIMUM_ALIASES })
  } catch (error) {
    throw new TrainError('RECIPE_INVALID', `${file}: too many aliases: write the values out`, { cause: error })
  }
  if (value === null || value === undefined)
    throw new TrainError('RECIPE_INVALID', `${file}: the recipe is empty; \`lockstep init FOLDER\` writes one for a folder of pictures`)
  if (!isMap(document.contents))
    throw new TrainError('RECIPE_INVALID', `${file}:1:1: a recipe is a mapping of keys to values, such as "model: {name: vgg-a}"`)
  return value as Record<string, unknown>
}

/** A known key with nothing behind it (`run:`, its lines commented out) counts as left out. */
function withoutEmpty(value: Record<string, unknown>, path: readonly string[]): Record<string, unknown> {
  const known = keysAt(path, value)
  const entries = Object.entries(value).filter(([key, entry]) => entry !== null || !known.includes(key))
  return Object.fromEntries(
    entries.map(([key, entry]) => [
      key,
      typeof entry === 'object' && entry !== null && !Array.isArray(entry)
        ? withoutEmpty(entry as Record<string, unknown>, [...path, key])
        : entry,
    ]),
  )
}

interface Source {
  file: string
  document: Document
  lines: LineCounter
  overrides: readonly Override[]
}

/** One line a problem; those of the file in its order, those of --set after them. */
function report(problems: readonly RecipeProblem[], source: Source): string {
  const located = problems.map((problem) => {
    const override = source.overrides.findLast(({ path }) => concerns(path, problem))
    if (override !== undefined) return { offset: Number.MAX_SAFE_INTEGER, line: `--set ${override.text}: ${problem.message}` }
    const offset = offsetOf(source.document, problem)
    return { offset, line: `${place(source.file, source.lines, offset)}: ${problem.message}` }
  })
  located.sort((left, right) => left.offset - right.offset)
  return located.map(({ line }) => line).join('\n')
}

/** Whether an override wrote what a problem is about: the value or what holds it, the unknown key, or a key beside it that a rule ties to it. */
function concerns(override: readonly string[], { path, onKey, between }: RecipeProblem): boolean {
  const common = Math.min(override.length, path.length)
  const agree = override.slice(0, common).every((segment, index) => segment === String(path[index]))
  if (agree && (override.length <= path.length || onKey)) return true
  return between === true && path.length > 1 && override[0] === path[0]
}

/** Where in the text a problem stands: at the value, at the key for unknown keys, at the nearest thing above for what is missing. */
function offsetOf(document: Document, { path, onKey }: RecipeProblem): number {
  let node: unknown = document.contents
  let offset = isCollection(node) ? (node.range?.[0] ?? 0) : 0
  for (const [depth, segment] of path.entries()) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(segment))
      if (pair === undefined) return offset
      const keyOffset = isScalar(pair.key) ? (pair.key.range?.[0] ?? offset) : offset
      if (onKey && depth === path.length - 1) return keyOffset
      node = pair.value
      offset = rangeStart(node) ?? keyOffset
    } else {
      node = isCollection(node) ? node.get(segment, true) : undefined
      offset = rangeStart(node) ?? offset
    }
  }
  return offset
}

function rangeStart(node: unknown): number | undefined {
  return isScalar(node) || isCollection(node) ? node.range?.[0] : undefined
}

function place(file: string, lines: LineCounter, offset: number): string {
  const { line, col } = lines.linePos(offset)
  return `${file}:${String(Math.max(1, line))}:${String(Math.max(1, col))}`
}

function absolutePaths(recipe: Recipe, base: string): Recipe {
  const { model, data, initialization } = recipe
  return {
    ...recipe,
    model: {
      ...model,
      ...(model.weights === undefined ? {} : { weights: resolve(base, model.weights) }),
      ...(model.from === undefined ? {} : { from: resolve(base, model.from) }),
    },
    data: {
      ...data,
      train: resolve(base, data.train),
      validation: typeof data.validation === 'string' ? resolve(base, data.validation) : data.validation,
    },
    initialization: initialization.from === undefined ? initialization : { ...initialization, from: resolve(base, initialization.from) },
  }
}

function nameOfFile(file: string): string {
  const name = basename(file)
    .replace(/\.(ya?ml|json)$/i, '')
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
  return name === '' ? 'recipe' : name
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ').trim()
}
