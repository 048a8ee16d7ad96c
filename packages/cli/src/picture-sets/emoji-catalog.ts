import { createHash } from 'node:crypto'

/**
 * Which emoji drawings belong to the data set, what their class is, and on which side of the split they fall. Pure.
 * The same emoji is drawn by several hands; all drawings of one emoji, of every gender, stand on one side, so that a
 * network has to know what a thing is and not which picture it has seen.
 */

/** What is read of one set: an npm package @iconify-json/NAME. */
export interface EmojiSet {
  readonly name: string
  readonly width: number
  readonly height: number
  readonly icons: Readonly<Record<string, EmojiIcon>>
  readonly aliases: Readonly<Record<string, { readonly parent: string }>>
  /** category → icon names */
  readonly categories: Readonly<Record<string, readonly string[]>>
  /** code points ("1f468-200d-1f4bb") → icon or alias name; a set may lack it */
  readonly chars: Readonly<Record<string, string>>
}

export interface EmojiIcon {
  readonly body: string
  readonly width?: number
  readonly height?: number
  readonly left?: number
  readonly top?: number
  readonly hidden?: boolean
}

/** One drawing of one emoji. */
export interface EmojiDrawing {
  readonly set: string
  readonly icon: string
  readonly className: string
  readonly part: 'train' | 'validation'
  readonly svg: string
}

/** Two sets lack flags, and a flag's class is told by its outline alone; the others are no categories of Unicode. */
const LEFT_OUT = new Set(['flags', 'modifiers', 'component', 'extras-openmoji', 'extras-unicode'])
const SKIN_TONE = /^1f3f[b-f]$/
const SKIN_TONE_NAME = /skin-tone|-tone[1-5]/
const VARIATION_SELECTOR = 'fe0f'
const JOINER = '200d'
const GENDER_SIGNS = new Set(['2640', '2642'])
/** man, woman → person; boy, girl → child; old man, old woman → older person */
const NEUTRAL: Readonly<Record<string, string>> = {
  '1f468': '1f9d1',
  '1f469': '1f9d1',
  '1f466': '1f9d2',
  '1f467': '1f9d2',
  '1f474': '1f9d3',
  '1f475': '1f9d3',
}
const VALIDATION_EVERY = 10

/** Class name of a category: "Animals & Nature" and "Animals Nature" → animals-nature. */
export function categoryName(category: string): string {
  return category
    .toLowerCase()
    .replace(/[^a-z]+/g, '-')
    .replace(/^-|-$/g, '')
}

/** What an emoji shares with its other genders: its code points without signs and selectors, people made neutral. */
export function familyOf(codePoints: string): string {
  return codePoints
    .split('-')
    .filter((point) => point !== VARIATION_SELECTOR && point !== JOINER && !GENDER_SIGNS.has(point) && !SKIN_TONE.test(point))
    .map((point) => NEUTRAL[point] ?? point)
    .join('-')
}

/** On which side a family falls: a tenth for validation, by its name alone. */
export function partOf(family: string): 'train' | 'validation' {
  const word = createHash('sha256').update(family).digest().readUInt32BE(0)
  return word % VALIDATION_EVERY === 0 ? 'validation' : 'train'
}

/**
 * Every usable drawing of the sets.
 * @param sets in order of precedence: an emoji's class is what the first set that knows it says
 */
export function catalogEmoji(sets: readonly EmojiSet[]): EmojiDrawing[] {
  const points = codePointsByName(sets)
  const classes = classesByCodePoints(sets, points)
  return sets.flatMap((set) =>
    Object.entries(set.icons).flatMap(([icon, drawing]): EmojiDrawing[] => {
      const codePoints = points.get(icon)
      const className = codePoints === undefined ? undefined : classes.get(codePoints)
      if (drawing.hidden === true || codePoints === undefined || className === undefined || hasSkinTone(icon, codePoints)) return []
      return [{ set: set.name, icon, className, part: partOf(familyOf(codePoints)), svg: svgOf(set, drawing) }]
    }),
  )
}

function hasSkinTone(icon: string, codePoints: string): boolean {
  return SKIN_TONE_NAME.test(icon) || codePoints.split('-').some((point) => SKIN_TONE.test(point))
}

/** Name → code points, over all sets: names agree between them, and one set lists names alone. */
function codePointsByName(sets: readonly EmojiSet[]): Map<string, string> {
  const found = new Map<string, string>()
  const note = (name: string, codePoints: string): void => {
    if (!found.has(name)) found.set(name, codePoints)
  }
  for (const set of sets) {
    for (const [codePoints, name] of Object.entries(set.chars)) {
      note(name, codePoints)
      const parent = set.aliases[name]?.parent
      if (parent !== undefined) note(parent, codePoints)
    }
    for (const [alias, { parent }] of Object.entries(set.aliases)) {
      const codePoints = found.get(parent)
      if (codePoints !== undefined) note(alias, codePoints)
    }
  }
  return found
}

function classesByCodePoints(sets: readonly EmojiSet[], points: ReadonlyMap<string, string>): Map<string, string> {
  const classes = new Map<string, string>()
  const leftOut = new Set<string>()
  // the first set with characters of its own speaks in today's Unicode categories; an older one has other words
  for (const set of sets.filter(({ chars }) => Object.keys(chars).length > 0)) {
    for (const [category, names] of Object.entries(set.categories)) {
      const className = categoryName(category)
      for (const name of names) {
        const codePoints = points.get(name)
        if (codePoints === undefined) continue
        if (LEFT_OUT.has(className)) leftOut.add(codePoints)
        else if (!classes.has(codePoints)) classes.set(codePoints, className)
      }
    }
  }
  for (const codePoints of leftOut) classes.delete(codePoints)
  return classes
}

/** A drawing as a document of its own, square, 64 units a side. */
function svgOf(set: EmojiSet, icon: EmojiIcon): string {
  const box = [icon.left ?? 0, icon.top ?? 0, icon.width ?? set.width, icon.height ?? set.height].map(String).join(' ')
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="64" height="64" viewBox="${box}">${icon.body}</svg>`
}
