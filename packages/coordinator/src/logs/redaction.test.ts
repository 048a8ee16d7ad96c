import { describe, expect, it } from 'vitest'
import { Redaction, redactAddresses, withoutPasswords } from './redaction.js'

describe('redaction', () => {
  it.each([
    ['redis://:geheim@host:1', 'redis://:***@host:1', 'redis://host:1'],
    ['queue: rediss://user:geheim@host/0 # mine', 'queue: rediss://user:***@host/0 # mine', 'queue: rediss://user@host/0 # mine'],
    [
      '{"url":"redis://u:p%40x@h","b":"http://a:b@c"}',
      '{"url":"redis://u:***@h","b":"http://a:***@c"}',
      '{"url":"redis://u@h","b":"http://a@c"}',
    ],
    ['redis://host:6379 and mail a@b.c', 'redis://host:6379 and mail a@b.c', 'redis://host:6379 and mail a@b.c'],
    ['two redis://:a@x redis://:b@y', 'two redis://:***@x redis://:***@y', 'two redis://x redis://y'],
    ['with a colon redis://u:a:b@x', 'with a colon redis://u:***@x', 'with a colon redis://u@x'],
  ])('%s', (text, redacted, without) => {
    expect(redactAddresses(text)).toBe(redacted)
    expect(withoutPasswords(text)).toBe(without)
  })

  it('blanks out announced secrets, plain, in JSON and in addresses, but none that is too short to be one', () => {
    const redaction = new Redaction()
    redaction.add('pass"word\\1')
    redaction.add('e')
    redaction.add(undefined)
    const text = `x pass"word\\1 ${JSON.stringify({ key: 'pass"word\\1' })} ${encodeURIComponent('pass"word\\1')} eee`
    expect(redaction.redact(text)).toBe('x *** {"key":"***"} *** eee')
  })
})
