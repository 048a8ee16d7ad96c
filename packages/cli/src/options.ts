import { InvalidArgumentError, type Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'

/** Options that several commands share, checked while the command line is read. */

/** `--set path=value`, any number of times. */
export function addSetOption(command: Command, what = 'change a key of the recipe, as in --set batch.global=64 (repeatable)'): Command {
  return command.option('--set <path=value>', what, (value: string, before: string[]) => [...before, value], [] as string[])
}

export function addJsonOption(command: Command, what = 'print one JSON object instead of text'): Command {
  return command.option('--json', what, false)
}

/** Adds the `Example:` that every --help ends with. */
export function addExample(command: Command, ...lines: string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  $ ${line}`).join('\n')}`)
}

/** A whole number of at least `minimum`. @throws InvalidArgumentError, which commander reports as wrong usage */
export function wholeNumber(minimum: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < minimum) {
      throw new InvalidArgumentError(`Expected a whole number of at least ${String(minimum)}.`)
    }
    return value
  }
}

/** A number above `bound`. @throws InvalidArgumentError */
export function numberAbove(bound: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isFinite(value) || value <= bound)
      throw new InvalidArgumentError(`Expected a number above ${String(bound)}.`)
    return value
  }
}

/** Units of fully connected layers; nothing for none. @throws InvalidArgumentError */
export function unitList(text: string): number[] {
  const units = text === '' ? [] : text.split(',').map(Number)
  if (units.some((unit) => !Number.isSafeInteger(unit) || unit < 1))
    throw new InvalidArgumentError('Expected whole numbers with commas, as in 4096,4096.')
  return units
}

export interface Address {
  host: string
  port: number
}

/**
 * HOST:PORT, [IPv6]:PORT, HOST, or :PORT.
 * @throws TrainError USAGE
 */
export function parseAddress(text: string, option: string, fallback: { host: string; port: number }): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*))(?::(\d+))?$/.exec(text)
  const port = match?.[3] === undefined ? fallback.port : Number(match[3])
  if (match === null || text === '' || port > 65_535)
    throw new TrainError('USAGE', `${option} ${text}: expected HOST:PORT, as in 10.0.0.5:7070`)
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '' ? fallback.host : host, port }
}
