import leven from 'leven'
import type { z } from 'zod'
import { alternativesAt, keysAt, pathsOfKey } from './json-schema.js'

/** One thing wrong with a recipe: where (a path of keys) and what, in words. `onKey`: the key is wrong, not its value. */
export interface RecipeProblem {
  path: readonly PropertyKey[]
  message: string
  onKey: boolean
  /** a rule between keys: any key beside it may be the one to change */
  between?: boolean
  /** of an unknown key: the key that was probably meant, dotted */
  meant?: string
}

type Issue = z.core.$ZodIssue

/** `optimizer.weightDecay`, `learningRate.schedule.at[0]`. */
export function dotted(path: readonly PropertyKey[]): string {
  let text = ''
  for (const segment of path) text += typeof segment === 'number' ? `[${String(segment)}]` : `${text === '' ? '' : '.'}${String(segment)}`
  return text
}

/** The candidate nearest to what was typed, if it is near enough to have been meant. */
export function nearest(typed: string, candidates: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  const ranked = candidates
    .map((candidate) => ({ candidate, distance: leven(plain(typed), plain(candidate)) }))
    .sort((left, right) => left.distance - right.distance)
  const best = ranked[0]
  return best !== undefined && best.distance <= Math.max(1, Math.floor(typed.length * 0.4)) ? best.candidate : undefined
}

/** Zod's issues about `value` in the words of a recipe: key path, what was expected, what stands there, what was meant. */
export function problemsOf(issues: readonly Issue[], value: unknown): RecipeProblem[] {
  const problems = issues.flatMap((issue) => problemsOfIssue(issue, value))
  // a misspelt key is one mistake, not an unknown key and a missing one
  const meant = new Set(problems.map((problem) => problem.meant))
  return problems.filter(({ path }) => valueAt(value, path) !== undefined || !meant.has(dotted(path)))
}

function problemsOfIssue(issue: Issue, root: unknown): RecipeProblem[] {
  const { path } = issue
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, root))
  if (issue.code === 'invalid_union' && issue.errors.length > 0) return problemsOfUnion(issue.path, issue.errors, root)
  return [{ path, message: `${subject(path)} ${complaint(issue, valueAt(root, path))}${meaning(issue)}`, onKey: false }]
}

function unknownKey(path: readonly PropertyKey[], key: string, root: unknown): RecipeProblem {
  const keys = keysAt(path, root)
  const near = nearest(key, keys)
  const elsewhere = pathsOfKey(key)
  const meant =
    near !== undefined
      ? `did you mean "${near}"?`
      : elsewhere.length > 0
        ? `did you mean ${elsewhere.slice(0, 3).join(' or ')}?`
        : `known keys: ${keys.join(', ')}`
  const where = path.length === 0 ? 'the recipe' : dotted(path)
  return {
    path: [...path, key],
    message: `unknown key "${key}" in ${where}; ${meant}`,
    onKey: true,
    ...(near === undefined ? {} : { meant: dotted([...path, near]) }),
  }
}

/** A union without a `type` to tell its members apart: speak of the member that the value looks like. */
function problemsOfUnion(path: readonly PropertyKey[], members: readonly (readonly Issue[])[], root: unknown): RecipeProblem[] {
  const meant =
    members.find((issues) => issues.every((issue) => issue.path.length > 0)) ??
    members.find((issues) => !issues.some((issue) => issue.path.length === 0 && issue.code === 'invalid_type'))
  if (meant !== undefined) {
    return problemsOf(
      meant.map((issue) => ({ ...issue, path: [...path, ...issue.path] })),
      root,
    )
  }
  const expected = members.flatMap((issues) =>
    issues.flatMap((issue) => (issue.code === 'invalid_type' ? [typeInWords(issue.expected)] : [])),
  )
  return [
    {
      path,
      message: `${subject(path)} must be ${[...new Set(expected)].join(' or ')}, not ${valueInWords(valueAt(root, path))}`,
      onKey: false,
    },
  ]
}

function complaint(issue: Issue, value: unknown): string {
  if (value === undefined && (issue.code === 'invalid_type' || issue.code === 'invalid_value' || issue.code === 'invalid_union')) {
    return `is missing${issue.code === 'invalid_value' ? `: one of ${issue.values.map(String).join(', ')}` : ''}`
  }
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeInWords(issue.expected)}, not ${valueInWords(value)}`
    case 'too_small':
      return `must ${bound(issue.origin, issue.inclusive === true ? 'at least' : 'more than', String(issue.minimum))}, not ${amount(issue.origin, value)}`
    case 'too_big':
      return `must ${bound(issue.origin, issue.inclusive === true ? 'at most' : 'less than', String(issue.maximum))}, not ${amount(issue.origin, value)}`
    case 'invalid_value':
      return choice(issue.values.map(String), value)
    case 'invalid_union':
      // a union told apart by a key lists that key's values as `options`
      return choice('options' in issue && Array.isArray(issue.options) ? issue.options.map(String) : [], value)
    case 'invalid_format':
      return `cannot be ${valueInWords(value)}: ${issue.message}`
    default:
      return `is wrong: ${issue.message}`
  }
}

function choice(values: readonly string[], value: unknown): string {
  if (values.length === 1) return `can only be ${values[0] ?? ''} so far, not ${valueInWords(value)}`
  const near = typeof value === 'string' ? nearest(value, values) : undefined
  const suggestion = near === undefined ? '' : `; did you mean "${near}"?`
  return `cannot be ${valueInWords(value)}${suggestion === '' ? ';' : `${suggestion} It is`} one of ${values.join(', ')}`
}

/** What a missing key means, from the schema's own description. */
function meaning(issue: Issue): string {
  if (issue.code !== 'invalid_type' || !issue.message.endsWith('received undefined')) return ''
  const description = alternativesAt(issue.path, undefined)[0]?.description
  return description === undefined ? '' : `: ${description.charAt(0).toLowerCase()}${description.slice(1).replace(/\.$/, '')}`
}

function bound(origin: string, how: string, limit: string): string {
  if (origin === 'string') return `have ${how} ${limit} characters`
  if (origin === 'array') return `have ${how} ${limit} entries`
  return `be ${how} ${limit}`
}

function amount(origin: string, value: unknown): string {
  if (origin === 'array' && Array.isArray(value)) return String(value.length)
  return valueInWords(value)
}

function typeInWords(expected: string): string {
  const words: Record<string, string> = {
    int: 'a whole number',
    number: 'a number',
    string: 'text',
    boolean: 'true or false',
    array: 'a list',
    tuple: 'a list',
    object: 'a mapping of keys to values',
  }
  return words[expected] ?? expected
}

function valueInWords(value: unknown): string {
  if (value === null) return 'empty'
  if (value === undefined) return 'missing'
  if (typeof value === 'string') return `"${value.length > 60 ? `${value.slice(0, 57)}…` : value}"`.replaceAll(/\s+/g, ' ')
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a mapping'
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint' ? String(value) : typeof value
}

function subject(path: readonly PropertyKey[]): string {
  return path.length === 0 ? 'the recipe' : dotted(path)
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  let here = root
  for (const segment of path) {
    if (typeof here !== 'object' || here === null || !Object.hasOwn(here, segment)) return undefined
    here = (here as Record<PropertyKey, unknown>)[segment]
  }
  return here
}
