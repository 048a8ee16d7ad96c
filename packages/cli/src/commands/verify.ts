import type { Command } from 'commander'
import type { VerifyEvent } from '@lockstep/coordinator/verification/verify.js'
import { ExitRequest } from '../failure.js'
import { addExample, addJsonOption, wholeNumber } from '../options.js'
import { interruptibleWork } from '../standalone-work.js'
import { VerificationDisplay } from '../training/verification-display.js'
import { writeLine } from '../terminal/output.js'

interface VerifyCommandOptions {
  from?: number
  steps?: number
  workers?: number
  json: boolean
}

export function configure(command: Command): void {
  command
    .description(
      'Compute a part of a run again on this machine, from a checkpoint it kept, and compare the state digest of every step with the one the run wrote down. The run is only read.',
    )
    .argument('[run]', 'the folder of the run (default: the newest)')
    .option('--from <step>', 'begin at the checkpoint of this step; 0: at the very beginning (default: the oldest kept)', wholeNumber(0))
    .option('--steps <count>', 'how many steps to compute again (default: all that the run did since)', wholeNumber(1))
    .option('--workers <count>', 'local workers to start (default: as many as the run)', wholeNumber(1))
  addJsonOption(command, 'print events as JSON lines instead of text')
  addExample(command, 'lockstep verify runs/digits', 'lockstep verify runs/digits --from 0 --steps 100 --workers 1')
  command.action(async (run: string | undefined, options: VerifyCommandOptions) => {
    const { verify } = await import('@lockstep/coordinator/verification/verify.js')
    const { json, ...chosen } = options
    const display = json ? undefined : new VerificationDisplay()
    let outcome: string | undefined
    const follow = async (signal: AbortSignal): Promise<void> => {
      for await (const event of verify(run, { ...chosen, signal })) {
        if (event.type === 'verdict') outcome = event.verdict.outcome
        tell(event, display)
      }
    }
    try {
      await interruptibleWork(follow)
    } finally {
      display?.close()
    }
    if (outcome !== 'agree') throw new ExitRequest(1)
  })
}

function tell(event: VerifyEvent, display: VerificationDisplay | undefined): void {
  if (display === undefined) writeLine(JSON.stringify(event))
  else display.show(event)
}
