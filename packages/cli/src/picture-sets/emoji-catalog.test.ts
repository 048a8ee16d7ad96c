import { describe, expect, it } from 'vitest'
import { catalogEmoji, categoryName, familyOf, type EmojiSet } from './emoji-catalog.js'

function set(name: string, parts: Partial<EmojiSet>): EmojiSet {
  return { name, width: 16, height: 16, icons: {}, aliases: {}, categories: {}, chars: {}, ...parts }
}

const modern = set('modern', {
  icons: {
    cat: { body: '<a/>' },
    'man-cook': { body: '<b/>' },
    'woman-cook': { body: '<c/>' },
    'woman-cook-dark-skin-tone': { body: '<d/>' },
    france: { body: '<e/>' },
  },
  categories: { 'Animals & Nature': ['cat'], 'People & Body': ['man-cook', 'woman-cook', 'woman-cook-dark-skin-tone'], Flags: ['france'] },
  chars: {
    '1f408': 'cat',
    '1f468-200d-1f373': 'man-cook',
    '1f469-200d-1f373': 'woman-cook',
    '1f469-1f3ff-200d-1f373': 'woman-cook-dark-skin-tone',
    '1f1eb-1f1f7': 'france',
  },
})
const old = set('old', {
  width: 64,
  height: 64,
  icons: { 'the-cat': { body: '<f/>' }, pirate: { body: '<g/>' } },
  aliases: { cat: { parent: 'the-cat' } },
  categories: { Nature: ['the-cat'], People: ['pirate'] },
})
const between = set('between', { chars: { '1f408': 'cat' }, aliases: { cat: { parent: 'the-cat' } }, categories: { Other: ['cat'] } })

describe('the catalogue of emoji', () => {
  it.each([
    ['Animals & Nature', 'animals-nature'],
    ['Animals Nature', 'animals-nature'],
    ['Flags', 'flags'],
  ])('%s is the class %s', (category, name) => {
    expect(categoryName(category)).toBe(name)
  })

  it.each([
    ['1f468-200d-1f373', '1f9d1-1f373'],
    ['1f469-1f3ff-200d-1f373', '1f9d1-1f373'],
    ['1f3c3-200d-2640-fe0f', '1f3c3'],
    ['2764-fe0f', '2764'],
  ])('%s belongs to the family %s', (codePoints, family) => {
    expect(familyOf(codePoints)).toBe(family)
  })

  it('leaves out flags, skin tones and emoji of unknown class', () => {
    expect(catalogEmoji([modern, between, old]).map(({ set: from, icon }) => `${from}/${icon}`)).toEqual([
      'modern/cat',
      'modern/man-cook',
      'modern/woman-cook',
      'old/the-cat',
    ])
  })

  it('gives an emoji one class and one side, whoever drew it', () => {
    const drawings = catalogEmoji([modern, between, old])
    const cats = drawings.filter(({ icon }) => icon.includes('cat'))
    expect(cats.map(({ className }) => className)).toEqual(['animals-nature', 'animals-nature'])
    expect(new Set(cats.map(({ part }) => part)).size).toBe(1)
    const cooks = drawings.filter(({ icon }) => icon.includes('cook'))
    expect(new Set(cooks.map(({ part }) => part)).size).toBe(1)
  })

  it('draws in the box of the set', () => {
    expect(catalogEmoji([modern, between, old]).at(-1)?.svg).toContain('viewBox="0 0 64 64"')
  })
})
