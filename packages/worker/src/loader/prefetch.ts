/**
 * Decodes batches ahead of need. Batches are keyed by where they are in the stream, never by when they were asked for, so
 * a wrong guess about the future only wastes work.
 */
export interface PrefetchOptions<Batch> {
  /** Produces the batch with a key; must give the same batch for the same key. */
  readonly load: (key: number) => Promise<Batch>
  /** Batches in memory at most, those being decoded included. */
  readonly capacity: number
  /** Batches decoded at once; each already decodes its pictures in parallel. */
  readonly concurrency: number
}

export class Prefetch<Batch> {
  private wanted: readonly number[] = []
  private readonly present = new Map<number, Promise<Batch>>()
  private loading = 0

  constructor(private readonly options: PrefetchOptions<Batch>) {}

  /**
   * Says what will be needed, in order: the rest of the work in hand, then the likely next. What is in memory and not
   * listed is forgotten.
   */
  plan(keys: readonly number[]): void {
    this.wanted = keys
    const needed = new Set(keys)
    for (const key of this.present.keys()) if (!needed.has(key)) this.present.delete(key)
    this.pump()
  }

  /** Says what will be needed after what was planned and is not taken yet. */
  planMore(keys: readonly number[]): void {
    this.wanted = [...this.wanted, ...keys.filter((key) => !this.wanted.includes(key))]
    this.pump()
  }

  /** The batch with this key: already here, under way, or loaded now. It is handed over, not kept. */
  async take(key: number): Promise<Batch> {
    const batch = this.present.get(key) ?? this.start(key)
    try {
      return await batch
    } finally {
      this.present.delete(key)
      this.wanted = this.wanted.filter((other) => other !== key)
      this.pump()
    }
  }

  /** Batches in memory or being decoded. */
  get size(): number {
    return this.present.size
  }

  private pump(): void {
    for (const key of this.wanted) {
      if (this.loading >= this.options.concurrency || this.present.size >= this.options.capacity) return
      if (!this.present.has(key)) void this.start(key)
    }
  }

  private start(key: number): Promise<Batch> {
    this.loading++
    const batch = this.options.load(key).finally(() => {
      this.loading--
      this.pump()
    })
    batch.catch(() => undefined) // whoever takes it gets the error
    this.present.set(key, batch)
    return batch
  }
}
