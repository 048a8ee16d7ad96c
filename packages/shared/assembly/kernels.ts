// The exact arithmetic of Lockstep, in AssemblyScript: WebAssembly SIMD over a shared memory that the caller provides.
// WebAssembly rounds every float32 operation to nearest-even, keeps denormals and -0, and has no fused multiply-add
// outside its relaxed proposal: the same bits on every processor. No allocation, no garbage collector.
// Built by: npx asc --config packages/shared/assembly/asconfig.json --target release

const LANE_BYTES: usize = 16
const FLOAT_BYTES: usize = 4

/** destination[i] = left[i] + right[i]. The destination may be `left` or `right`, but not overlap them partly. */
export function add(destination: usize, left: usize, right: usize, floats: usize): void {
  const end = left + floats * FLOAT_BYTES
  const wideEnd = left + (floats & ~15) * FLOAT_BYTES
  while (left < wideEnd) {
    const sum0 = f32x4.add(v128.load(left), v128.load(right))
    const sum1 = f32x4.add(v128.load(left, 16), v128.load(right, 16))
    const sum2 = f32x4.add(v128.load(left, 32), v128.load(right, 32))
    const sum3 = f32x4.add(v128.load(left, 48), v128.load(right, 48))
    v128.store(destination, sum0)
    v128.store(destination, sum1, 16)
    v128.store(destination, sum2, 32)
    v128.store(destination, sum3, 48)
    left += 4 * LANE_BYTES
    right += 4 * LANE_BYTES
    destination += 4 * LANE_BYTES
  }
  while (left < end) {
    store<f32>(destination, load<f32>(left) + load<f32>(right))
    left += FLOAT_BYTES
    right += FLOAT_BYTES
    destination += FLOAT_BYTES
  }
}

/**
 * SGD with momentum and L2 weight decay, each operation rounded to float32 in this order:
 * velocity' = momentum * velocity - rate * (gradient + decay * weight); weight' = weight + velocity'
 * The gradient may lie where velocity' goes: each element is read before it is written.
 * @returns 1 if every weight' is finite, which makes every velocity' finite too; else 0
 */
export function update(
  weights: usize,
  velocity: usize,
  gradient: usize,
  nextWeights: usize,
  nextVelocity: usize,
  floats: usize,
  momentum: f32,
  rate: f32,
  decay: f32,
): i32 {
  const bytes = floats * FLOAT_BYTES
  const wideBytes = (floats & ~3) * FLOAT_BYTES
  const momentum4 = f32x4.splat(momentum)
  const rate4 = f32x4.splat(rate)
  const decay4 = f32x4.splat(decay)
  // x - x is +0 for every finite x and NaN for the rest
  let doubts = f32x4.splat(0)
  let at: usize = 0
  while (at < wideBytes) {
    const w = v128.load(weights + at)
    const decayed = f32x4.add(v128.load(gradient + at), f32x4.mul(decay4, w))
    const v = f32x4.sub(f32x4.mul(momentum4, v128.load(velocity + at)), f32x4.mul(rate4, decayed))
    const next = f32x4.add(w, v)
    v128.store(nextVelocity + at, v)
    v128.store(nextWeights + at, next)
    doubts = v128.or(doubts, f32x4.sub(next, next))
    at += LANE_BYTES
  }
  let doubt: u32 = 0
  while (at < bytes) {
    const w = load<f32>(weights + at)
    const v = momentum * load<f32>(velocity + at) - rate * (load<f32>(gradient + at) + decay * w)
    const next = w + v
    store<f32>(nextVelocity + at, v)
    store<f32>(nextWeights + at, next)
    doubt |= reinterpret<u32>(next - next)
    at += FLOAT_BYTES
  }
  return !v128.any_true(doubts) && doubt == 0 ? 1 : 0
}

/**
 * SGD with Nesterov's momentum and L2 weight decay, each operation rounded to float32 in this order:
 * change = rate * (gradient + decay * weight); velocity' = momentum * velocity - change;
 * weight' = weight + (momentum * velocity' - change)
 * The gradient may lie where velocity' goes.
 * @returns 1 if every weight' is finite, which makes every velocity' finite too; else 0
 */
export function updateNesterov(
  weights: usize,
  velocity: usize,
  gradient: usize,
  nextWeights: usize,
  nextVelocity: usize,
  floats: usize,
  momentum: f32,
  rate: f32,
  decay: f32,
): i32 {
  const bytes = floats * FLOAT_BYTES
  const wideBytes = (floats & ~3) * FLOAT_BYTES
  const momentum4 = f32x4.splat(momentum)
  const rate4 = f32x4.splat(rate)
  const decay4 = f32x4.splat(decay)
  let doubts = f32x4.splat(0)
  let at: usize = 0
  while (at < wideBytes) {
    const w = v128.load(weights + at)
    const change = f32x4.mul(rate4, f32x4.add(v128.load(gradient + at), f32x4.mul(decay4, w)))
    const v = f32x4.sub(f32x4.mul(momentum4, v128.load(velocity + at)), change)
    const next = f32x4.add(w, f32x4.sub(f32x4.mul(momentum4, v), change))
    v128.store(nextVelocity + at, v)
    v128.store(nextWeights + at, next)
    doubts = v128.or(doubts, f32x4.sub(next, next))
    at += LANE_BYTES
  }
  let doubt: u32 = 0
  while (at < bytes) {
    const w = load<f32>(weights + at)
    const change = rate * (load<f32>(gradient + at) + decay * w)
    const v = momentum * load<f32>(velocity + at) - change
    const next = w + (momentum * v - change)
    store<f32>(nextVelocity + at, v)
    store<f32>(nextWeights + at, next)
    doubt |= reinterpret<u32>(next - next)
    at += FLOAT_BYTES
  }
  return !v128.any_true(doubts) && doubt == 0 ? 1 : 0
}

/**
 * The sum of squares in float64, in which the square of a float32 is exact. Four sums, element i in sum i mod 4, each in rising
 * order; at the end (0 + 1) + (2 + 3).
 */
export function squares(values: usize, floats: usize): f64 {
  const end = values + floats * FLOAT_BYTES
  const wideEnd = values + (floats & ~3) * FLOAT_BYTES
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  while (values < wideEnd) {
    const four = v128.load(values)
    const first = f64x2.promote_low_f32x4(four)
    const second = f64x2.promote_low_f32x4(v128.shuffle<f32>(four, four, 2, 3, 2, 3))
    low = f64x2.add(low, f64x2.mul(first, first))
    high = f64x2.add(high, f64x2.mul(second, second))
    values += LANE_BYTES
  }
  let sum0 = f64x2.extract_lane(low, 0)
  let sum1 = f64x2.extract_lane(low, 1)
  let sum2 = f64x2.extract_lane(high, 0)
  const sum3 = f64x2.extract_lane(high, 1)
  if (values < end) {
    const value = <f64>load<f32>(values)
    sum0 += value * value
  }
  if (values + FLOAT_BYTES < end) {
    const value = <f64>load<f32>(values, 4)
    sum1 += value * value
  }
  if (values + 2 * FLOAT_BYTES < end) {
    const value = <f64>load<f32>(values, 8)
    sum2 += value * value
  }
  return sum0 + sum1 + (sum2 + sum3)
}

/** values[i] = factor * values[i], in place. */
export function scale(values: usize, floats: usize, factor: f32): void {
  const end = values + floats * FLOAT_BYTES
  const wideEnd = values + (floats & ~3) * FLOAT_BYTES
  const factor4 = f32x4.splat(factor)
  while (values < wideEnd) {
    v128.store(values, f32x4.mul(factor4, v128.load(values)))
    values += LANE_BYTES
  }
  while (values < end) {
    store<f32>(values, factor * load<f32>(values))
    values += FLOAT_BYTES
  }
}

/**
 * The mean of what was added up: statistics' = sum / count, rounded to float32 once. For batch statistics, which have neither
 * velocity nor decay. The sum may lie where they go.
 * @returns 1 if every statistics' is finite; else 0
 */
export function average(sum: usize, nextStatistics: usize, floats: usize, count: f32): i32 {
  const bytes = floats * FLOAT_BYTES
  const wideBytes = (floats & ~3) * FLOAT_BYTES
  const count4 = f32x4.splat(count)
  let doubts = f32x4.splat(0)
  let at: usize = 0
  while (at < wideBytes) {
    const next = f32x4.div(v128.load(sum + at), count4)
    v128.store(nextStatistics + at, next)
    doubts = v128.or(doubts, f32x4.sub(next, next))
    at += LANE_BYTES
  }
  let doubt: u32 = 0
  while (at < bytes) {
    const next = load<f32>(sum + at) / count
    store<f32>(nextStatistics + at, next)
    doubt |= reinterpret<u32>(next - next)
    at += FLOAT_BYTES
  }
  return !v128.any_true(doubts) && doubt == 0 ? 1 : 0
}

/** bfloat16 in the low half of each lane: float32 rounded to nearest-even; a NaN stays one and becomes quiet. */
function rounded4(values: v128): v128 {
  const high = i32x4.shr_u(values, 16)
  const odd = v128.and(high, i32x4.splat(1))
  const nearest = i32x4.shr_u(i32x4.add(i32x4.add(values, i32x4.splat(0x7fff)), odd), 16)
  return v128.bitselect(v128.or(high, i32x4.splat(0x40)), nearest, f32x4.ne(values, values))
}

function rounded(value: f32): u32 {
  const bits = reinterpret<u32>(value)
  const high = bits >> 16
  return value != value ? high | 0x40 : (bits + 0x7fff + (high & 1)) >> 16
}

/**
 * destination[i] = values[i] as bfloat16, 2 bytes an element. The destination may be where the values are: each element is read before
 * anything is written behind it.
 */
export function narrow(destination: usize, values: usize, floats: usize): void {
  const end = values + floats * FLOAT_BYTES
  const wideEnd = values + (floats & ~7) * FLOAT_BYTES
  while (values < wideEnd) {
    const low = rounded4(v128.load(values))
    const high = rounded4(v128.load(values, 16))
    v128.store(destination, i16x8.narrow_i32x4_u(low, high))
    values += 2 * LANE_BYTES
    destination += LANE_BYTES
  }
  while (values < end) {
    store<u16>(destination, <u16>rounded(load<f32>(values)))
    values += FLOAT_BYTES
    destination += 2
  }
}

/** What rounding took away, exactly; +0 where the result is not finite, so that nothing is carried on from there. */
function lost4(values: v128, halves: v128): v128 {
  const lost = f32x4.sub(values, i32x4.shl(halves, 16))
  return v128.and(lost, f32x4.eq(f32x4.sub(lost, lost), f32x4.splat(0)))
}

/**
 * Rounding to bfloat16 with error feedback: x = values[i] + residual[i] in float32; destination[i] = x as bfloat16;
 * nextResidual[i] = x - destination[i]. The destination may be where the values are, nextResidual where residual is.
 */
export function narrowWithFeedback(destination: usize, values: usize, residual: usize, nextResidual: usize, floats: usize): void {
  const end = values + floats * FLOAT_BYTES
  const wideEnd = values + (floats & ~7) * FLOAT_BYTES
  while (values < wideEnd) {
    const first = f32x4.add(v128.load(values), v128.load(residual))
    const second = f32x4.add(v128.load(values, 16), v128.load(residual, 16))
    const low = rounded4(first)
    const high = rounded4(second)
    v128.store(nextResidual, lost4(first, low))
    v128.store(nextResidual, lost4(second, high), 16)
    v128.store(destination, i16x8.narrow_i32x4_u(low, high))
    values += 2 * LANE_BYTES
    residual += 2 * LANE_BYTES
    nextResidual += 2 * LANE_BYTES
    destination += LANE_BYTES
  }
  while (values < end) {
    const x = load<f32>(values) + load<f32>(residual)
    const half = rounded(x)
    const lost = x - reinterpret<f32>(half << 16)
    store<f32>(nextResidual, lost - lost == 0 ? lost : 0)
    store<u16>(destination, <u16>half)
    values += FLOAT_BYTES
    residual += FLOAT_BYTES
    nextResidual += FLOAT_BYTES
    destination += 2
  }
}

/** destination[i] = the bfloat16 at source[i] as float32, exactly. The source may be the last half of the destination. */
export function widen(destination: usize, source: usize, floats: usize): void {
  const end = destination + floats * FLOAT_BYTES
  const wideEnd = destination + (floats & ~7) * FLOAT_BYTES
  while (destination < wideEnd) {
    const halves = v128.load(source)
    v128.store(destination, i32x4.shl(i32x4.extend_low_i16x8_u(halves), 16))
    v128.store(destination, i32x4.shl(i32x4.extend_high_i16x8_u(halves), 16), 16)
    source += LANE_BYTES
    destination += 2 * LANE_BYTES
  }
  while (destination < end) {
    const half = <u32>load<u16>(source)
    store<u32>(destination, half << 16)
    source += 2
    destination += FLOAT_BYTES
  }
}
