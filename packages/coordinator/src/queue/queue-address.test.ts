import { describe, expect, it } from 'vitest'
import { parseQueueAddress } from './queue-address.js'

describe('parseQueueAddress', () => {
  it.each([
    ['redis://host', undefined, 'redis://host', 'redis://host'],
    ['redis://host:6380/2', undefined, 'redis://host:6380/2', 'redis://host:6380/2'],
    ['rediss://user:pass@host:6380', undefined, 'rediss://user:pass@host:6380', 'rediss://host:6380'],
    ['redis://host', 'fromEnvironment', 'redis://:fromEnvironment@host', 'redis://host'],
    ['redis://user@host', 'p@ss/word:1', 'redis://user:p%40ss%2Fword%3A1@host', 'redis://host'],
    ['redis://:own@host', 'other', 'redis://:own@host', 'redis://host'],
    ['redis://[::1]:6379', '', 'redis://[::1]:6379', 'redis://[::1]:6379'],
  ])('%s with password %s', (text, password, url, printable) => {
    expect(parseQueueAddress(text, password)).toEqual({ url, printable })
  })

  it.each(['http://host', 'localhost:6379', '', 'redis://', 'redis://host/name'])('refuses %j', (text) => {
    expect(() => parseQueueAddress(text)).toThrow(expect.objectContaining({ code: 'RECIPE_INVALID' }) as Error)
  })

  it('names no password when it refuses', () => {
    expect(() => parseQueueAddress('amqp://user:geheimnis@host')).toThrow(/amqp:\/\/user:\*\*\*@host/)
  })
})
