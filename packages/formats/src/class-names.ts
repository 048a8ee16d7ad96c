import { TrainError } from '@lockstep/shared/errors/train-error.js'

/**
 * Names of classes from a file: a line each, a JSON list, or Keras' imagenet_class_index.json (`{"0": ["n01440764", "tench"], …}`,
 * of which the second word is taken). Pure.
 * @param path for messages; @throws TrainError DATA_CORRUPT
 */
export function parseClassNames(text: string, path: string): string[] {
  const names = /^\s*[[{]/.test(text) ? fromJson(text, path) : text.split(/\r?\n/).map((line) => line.trim())
  while (names.at(-1) === '') names.pop()
  const empty = names.indexOf('')
  if (empty >= 0) throw new TrainError('DATA_CORRUPT', `${path}: class ${String(empty + 1)} has no name; give a line for each`)
  return names
}

function fromJson(text: string, path: string): string[] {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    throw new TrainError('DATA_CORRUPT', `${path} is not whole JSON; give a line for each class, or a JSON list of names`)
  }
  const list: unknown[] = Array.isArray(json) ? json : numbered(json as Record<string, unknown>, path)
  return list.map((item, index) => {
    const name: unknown = Array.isArray(item) ? item[1] : item
    if (typeof name !== 'string' || name === '')
      throw new TrainError('DATA_CORRUPT', `${path}: class ${String(index + 1)} has no name; give a text for each`)
    return name
  })
}

/** Keys are the classes' numbers: any other set of keys is another kind of file. */
function numbered(json: Record<string, unknown>, path: string): unknown[] {
  const size = Object.keys(json).length
  return Array.from({ length: size }, (_, index) => {
    if (String(index) in json) return json[String(index)]
    throw new TrainError('DATA_CORRUPT', `${path} has no class "${String(index)}"; give a line for each class, or a JSON list of names`)
  })
}
