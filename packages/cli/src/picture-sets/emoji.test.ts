import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emojiLicenses, loadEmojiDrawings, makeEmoji } from './emoji.js'

describe('the emoji', () => {
  const drawings = loadEmojiDrawings()

  it('are thousands of drawings in eight classes, by five hands', () => {
    expect(drawings.length).toBeGreaterThan(7000)
    expect(new Set(drawings.map(({ set }) => set)).size).toBe(5)
    expect([...new Set(drawings.map(({ className }) => className))].sort()).toEqual([
      'activities',
      'animals-nature',
      'food-drink',
      'objects',
      'people-body',
      'smileys-emotion',
      'symbols',
      'travel-places',
    ])
  })

  it('fall on one side, whoever drew them', () => {
    const sides = new Map<string, Set<string>>()
    for (const { icon, part } of drawings) sides.set(icon, (sides.get(icon) ?? new Set()).add(part))
    expect([...sides].filter(([, parts]) => parts.size > 1)).toEqual([])
    const share = drawings.filter(({ part }) => part === 'validation').length / drawings.length
    expect(share).toBeGreaterThan(0.07)
    expect(share).toBeLessThan(0.13)
  })

  it('stop half way without leaving anything', async () => {
    const base = await mkdtemp(join(tmpdir(), 'lockstep-emoji-'))
    try {
      const stop = new AbortController()
      const making = makeEmoji(join(base, 'emoji'), {
        signal: stop.signal,
        onProgress: ({ done }) => (done > 100 ? stop.abort() : undefined),
      })
      await expect(making).rejects.toMatchObject({ code: 'INTERRUPTED' })
      expect(await readdir(base)).toEqual([])
    } finally {
      await rm(base, { recursive: true, force: true })
    }
  })

  it('name every licence', () => {
    const licenses = emojiLicenses()
    for (const license of ['Apache 2.0', 'CC BY 4.0', 'CC BY-SA 4.0', 'MIT']) expect(licenses).toContain(license)
  })
})
