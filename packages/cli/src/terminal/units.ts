/** Numbers as people read them. */

// made once: a progress line has several numbers, and making the format costs more than all of them
const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** 138357544 → 138,357,544 */
export function count(value: number): string {
  return WHOLE.format(value)
}

/** Bytes in decimal units: 61 MB, 4.5 GB. */
export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  let scaled = value
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled = Math.max(1, scaled / 1000)
    unit++
  }
  return `${scaled >= 99.5 || unit === 0 ? scaled.toFixed(0) : significant(scaled)} ${units[unit] ?? ''}`
}

/** Seconds as 0:42, 12:07, 3:04:05, or 2 d 3 h. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '–'
  const whole = Math.max(0, Math.round(seconds))
  if (whole >= 86_400 * 2) return `${String(Math.floor(whole / 86_400))} d ${String(Math.floor((whole % 86_400) / 3600))} h`
  const two = (value: number): string => String(value).padStart(2, '0')
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  return hours > 0 ? `${String(hours)}:${two(minutes)}:${two(whole % 60)}` : `${String(minutes)}:${two(whole % 60)}`
}

/** A share 0–1 as 97.3 %. */
export function percent(share: number): string {
  return Number.isFinite(share) ? `${(share * 100).toFixed(1)} %` : '–'
}

/** Three significant digits: 0.0123, 1.23, 12.3, 123. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return '0'
  const magnitude = Math.abs(value)
  if (magnitude < 1e-3 || magnitude >= 1e6) return value.toExponential(2)
  return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(magnitude))))
}

/** A learning rate: 0.01, 0.001, 1e-5, without trailing zeros. */
export function rate(value: number): string {
  return String(Number(value.toPrecision(3)))
}
