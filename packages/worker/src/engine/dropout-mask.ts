import { philox } from '@lockstep/shared/random/philox.js'
import { PURPOSE } from '@lockstep/shared/random/purposes.js'

/**
 * The mask of inverted dropout for a micro-batch: 0 with probability `rate`, else 1 / (1 − rate). A pure function of (seed,
 * stream position, layer, unit), so a sample meets the same mask whoever computes it, in whatever batch.
 * @param layer index of the dropout layer in Network.layers
 * @param mask [count, units], filled
 */
export function fillDropoutMask(mask: Float32Array, units: number, rate: number, seed: number, firstPosition: number, layer: number): void {
  const words = new Uint32Array(4)
  const threshold = rate * 0x1_0000_0000
  const kept = 1 / (1 - rate)
  const count = mask.length / units
  for (let sample = 0; sample < count; sample++) {
    const position = firstPosition + sample
    const [low, high] = [position >>> 0, Math.floor(position / 0x1_0000_0000)]
    const start = sample * units
    for (let unit = 0; unit < units; unit++) {
      if (unit % 4 === 0) philox(unit / 4, low, high, layer, seed, PURPOSE.dropout, words)
      mask[start + unit] = (words[unit % 4] ?? 0) < threshold ? 0 : kept
    }
  }
}
