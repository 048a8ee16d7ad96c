import { InvalidArgumentError, Option, type Command } from 'commander'
import { packFolder } from '@lockstep/data/pack-folder.js'
import { addExample, addJsonOption, wholeNumber } from '../options.js'
import { interruptibleWork } from '../standalone-work.js'
import { LiveDisplay } from '../terminal/live-display.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { plural } from '../training/training-lines.js'
import { count } from '../terminal/units.js'

interface PackCommandOptions {
  onBroken: 'stop' | 'skip'
  shortSide?: number
  shardMegabytes?: number
  json: boolean
}

export function configure(command: Command): void {
  command.description('Pack a folder of pictures (one folder a class) into tar shards with an index, which train faster and travel better.')
  command
    .argument('<folder>', 'the pictures, one folder a class')
    .argument('<out>', 'the folder to make; must not exist or be empty')
    .addOption(new Option('--on-broken <what>', 'a picture that cannot be decoded').choices(['stop', 'skip']).default('stop'))
    .option('--short-side <pixels>', 're-encode pictures whose smaller side is longer (JPEG, quality 95)', wholeNumber(32))
    .option('--shard-megabytes <size>', 'size of a shard at most (default: 256)', shardSize)
  addJsonOption(command, 'print progress and the result as JSON lines')
  addExample(command, 'lockstep pack photos/train shards/train --short-side 256 --on-broken skip')
  command.action(pack)
}

async function pack(input: string, output: string, options: PackCommandOptions): Promise<void> {
  const display = new LiveDisplay()
  try {
    const { onBroken, shortSide, shardMegabytes } = options
    const shardBytes = shardMegabytes === undefined ? undefined : shardMegabytes * 1_000_000
    const onProgress = (progress: { what: string; done: number; total: number }): void => {
      if (options.json) writeLine(JSON.stringify({ type: 'progress', ...progress }))
      else
        display.progress(
          progress.done,
          progress.total,
          progress.what,
          `${progress.what}: ${count(progress.done)} of ${count(progress.total)} pictures`,
        )
    }
    const result = await interruptibleWork(
      (signal) => packFolder({ input, output, onBroken, shortSide, shardBytes, signal, onProgress }),
      'stopping; nothing will be left behind',
    )
    display.close()
    if (options.json) {
      writeLine(JSON.stringify({ type: 'result', output, ...result }))
      return
    }
    for (const skipped of result.skipped) writeLine(`left out: ${skipped}`)
    const left = result.skipped.length === 0 ? '' : `, ${count(result.skipped.length)} left out`
    writeLine(
      `${shownPath(output)}: ${count(result.samples)} pictures of ${count(result.classes)} classes in ${plural(result.shards, 'shard')}${left}`,
    )
    writeLine(`next: lockstep init ${shownPath(output)}`)
  } finally {
    display.close()
  }
}

function shardSize(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('Expected megabytes, as in 256.')
  return value
}
