/**
 * Runs `work` on every item, at most `parallelism` at a time, and yields the results in the order of the items, so that what is
 * written from them does not depend on how many ran at once. At most 2 · parallelism results wait. When the consumer stops early
 * or one fails, what is under way is waited for, and nothing new begins.
 */
export async function* orderedPool<Item, Result>(
  items: Iterable<Item>,
  parallelism: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const iterator = items[Symbol.iterator]()
  const pending: Promise<Result>[] = []
  const waiting: (() => void)[] = []
  let running = 0
  const start = async (item: Item): Promise<Result> => {
    if (running >= parallelism) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await work(item)
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
  const refill = (): void => {
    while (pending.length < 2 * parallelism) {
      const next = iterator.next()
      if (next.done === true) return
      const promise = start(next.value)
      promise.catch(() => undefined) // reported when its turn comes
      pending.push(promise)
    }
  }
  try {
    refill()
    for (let first = pending.shift(); first !== undefined; first = pending.shift()) {
      const result = await first
      refill()
      yield result
    }
  } finally {
    await Promise.allSettled(pending)
  }
}
