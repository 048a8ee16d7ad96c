/** A network that says a value: what its classes are for, each of which stands for one. Pure. */

/**
 * How near values are to that of every class: the nearest ranks first, so that to be right is to be nearer to the true value than to another.
 * @param values [samples] @param targets the value of every class @returns [samples, classes], the distance with a minus
 */
export function nearness(values: Float32Array | Float64Array, targets: readonly number[]): Float64Array {
  const near = new Float64Array(values.length * targets.length)
  values.forEach((value, sample) => {
    for (const [index, target] of targets.entries()) near[sample * targets.length + index] = -Math.abs(value - target)
  })
  return near
}

/** The values that class numbers stand for. Padding has a class as well. */
export function valuesOf(labels: Int32Array, targets: readonly number[]): Float32Array {
  return Float32Array.from(labels, (label) => targets[label] ?? Number.NaN)
}
