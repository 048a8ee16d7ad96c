import { invariant } from '@lockstep/shared/errors/train-error.js'
import type { SampleSource } from './sample-folder.js'

/** Some samples of another source, in their order there. Their classes may have other numbers here. */
export class SampleSubset implements SampleSource {
  readonly size: number
  readonly blocks: readonly number[] | undefined

  /** @param samples ascending sample numbers of `source`; @param labels by class of `source`, its number here; default: the same */
  constructor(
    private readonly source: SampleSource,
    private readonly samples: Uint32Array,
    private readonly labels?: readonly number[],
  ) {
    this.size = samples.length
    this.blocks = source.blocks === undefined ? undefined : blocksOf(source.blocks, samples)
  }

  label(i: number): number {
    const label = this.source.label(this.sample(i))
    if (this.labels === undefined) return label
    const renumbered = this.labels[label]
    invariant(renumbered !== undefined && renumbered >= 0, 'every sample of a subset has a class that it keeps')
    return renumbered
  }

  read(i: number): Promise<Buffer> {
    return this.source.read(this.sample(i))
  }

  name(i: number): string {
    return this.source.name(this.sample(i))
  }

  place(i: number): string {
    return this.source.place(this.sample(i))
  }

  private sample(i: number): number {
    const sample = this.samples[i]
    invariant(sample !== undefined, 'a sample is asked for by a number within its subset')
    return sample
  }
}

/** How many of the samples lie in each block. */
function blocksOf(blocks: readonly number[], samples: Uint32Array): number[] {
  let [end, at] = [0, 0]
  return blocks.map((count) => {
    end += count
    const first = at
    while (at < samples.length && (samples[at] ?? end) < end) at++
    return at - first
  })
}
