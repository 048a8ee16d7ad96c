import { describe, expect, it } from 'vitest'
import { parseClassNames } from './class-names.js'

describe('parseClassNames', () => {
  it.each([
    ['lines', 'cat\ndog \r\nred panda\n\n', ['cat', 'dog', 'red panda']],
    ['a list', '["cat", "dog"]', ['cat', 'dog']],
    ['a list of identifiers and names', '[["n1", "cat"], ["n2", "dog"]]', ['cat', 'dog']],
    ["Keras' index", '{"1": ["n2", "dog"], "0": ["n1", "cat"]}', ['cat', 'dog']],
  ])('reads %s', (_, text, names) => {
    expect(parseClassNames(text, 'names')).toEqual(names)
  })

  it.each([
    ['a gap', 'cat\n\ndog', /^names: class 2 has no name/],
    ['cut JSON', '["cat", ', /^names is not whole JSON/],
    ['a number', '["cat", 7]', /^names: class 2 has no name/],
    ['other keys', '{"0": "cat", "dog": "x"}', /^names has no class "1"/],
  ])('refuses %s in one line', (_, text, message) => {
    expect(() => parseClassNames(text, 'names')).toThrow(
      expect.objectContaining({ code: 'DATA_CORRUPT', message: expect.stringMatching(message) as string }),
    )
  })
})
