import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { EffectQueue } from './effect-queue.js'
import type { RunEffect } from './run-loop/run-effect.js'

const job = (worker: string, first: number): RunEffect => ({ type: 'assignSpan', worker, step: 0, span: { first, count: 1 }, hint: null })
const warning = (message: string): RunEffect => ({ type: 'warn', message })
const nameOf = (effect: RunEffect): string =>
  effect.type === 'assignSpan' ? `${effect.worker}${String(effect.span.first)}` : effect.type === 'warn' ? effect.message : effect.type

/** A queue whose effects begin when it lets them and end when we say so. */
function controlled(): { queue: EffectQueue; begun: string[]; errors: unknown[]; end: (name: string, error?: Error) => Promise<void> } {
  const begun: string[] = []
  const errors: unknown[] = []
  const ends = new Map<string, (error?: Error) => void>()
  const perform = async (effect: RunEffect): Promise<void> => {
    begun.push(nameOf(effect))
    await new Promise<void>((resolve, reject) => {
      ends.set(nameOf(effect), (error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
  }
  const queue = new EffectQueue(perform, (error) => errors.push(error))
  const end = async (name: string, error?: Error): Promise<void> => {
    ends.get(name)?.(error)
    await setImmediate()
  }
  return { queue, begun, errors, end }
}

describe('effects', () => {
  it('come one after the other, but jobs of different workers at once', async () => {
    const { queue, begun, end } = controlled()
    for (const effect of [warning('before'), job('a', 0), job('b', 1), job('a', 2), warning('after'), job('b', 3)]) queue.add(effect)
    await setImmediate()
    expect(begun).toEqual(['before'])
    await end('before')
    expect(begun).toEqual(['before', 'a0', 'b1'])
    await end('a0')
    expect(begun.slice(3)).toEqual(['a2'])
    await end('a2')
    expect(begun.slice(4)).toEqual([])
    await end('b1')
    expect(begun.slice(4)).toEqual(['after'])
    await end('after')
    expect(begun.slice(5)).toEqual(['b3'])
    expect(queue.waiting).toBe(1)
    await end('b3')
    expect(queue.waiting).toBe(0)
  })

  it('go on behind one that failed, and the failure is told', async () => {
    const { queue, begun, errors, end } = controlled()
    for (const effect of [job('a', 0), job('b', 1), warning('after')]) queue.add(effect)
    await setImmediate()
    await end('a0', new Error('no queue'))
    await end('b1')
    expect(errors).toEqual([new Error('no queue')])
    expect(begun).toEqual(['a0', 'b1', 'after'])
    await end('after')
    expect(queue.waiting).toBe(0)
  })
})
