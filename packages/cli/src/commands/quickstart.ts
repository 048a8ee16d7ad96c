import type { Command } from 'commander'
import { ExitRequest } from '../failure.js'
import { addExample, addJsonOption, wholeNumber } from '../options.js'
import { quickstart } from '../quickstart/quickstart.js'
import { interruptibleWork } from '../standalone-work.js'
import { writeError, writeLine } from '../terminal/output.js'

interface QuickstartCommandOptions {
  seed: number
  base: string
  json: boolean
}

const DIFFERENT =
  'the two runs of the last act ended with different digests: this is a bug in Lockstep; please report it with the logs of both'

export function configure(command: Command): void {
  command
    .description(
      'Trains on handwritten digits: VGG-A, then VGG-D from three beginnings, then the same steps twice with other workers, compared bit for bit.',
    )
    .option('--seed <number>', 'another seed, other random numbers', wholeNumber(0), 1)
    .option('--base <dir>', 'where its runs are kept', 'runs')
  addJsonOption(command, 'say nothing on the way, print the result as one JSON object')
  addExample(command, 'lockstep quickstart')
  command.action(async (options: QuickstartCommandOptions) => {
    const { seed, base, json } = options
    const result = await interruptibleWork((signal) => quickstart({ seed, base, silent: json, signal }), 'stopping')
    if (json) writeLine(JSON.stringify({ type: 'quickstart', ...result }))
    if (!result.proof.identical) {
      // where no worker was lost the story has said so; only differing digests are a bug
      if (result.proof.alone !== result.proof.disturbed) writeError(`error: ${DIFFERENT}`)
      throw new ExitRequest(1)
    }
  })
}
