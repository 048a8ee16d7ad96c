import type { TrainEvent } from '@lockstep/coordinator/train-event.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { ExitRequest } from '../failure.js'
import { Interruption } from '../interruption.js'
import { writeError, writeLine } from '../terminal/output.js'
import { TrainingDisplay } from './training-display.js'

/**
 * Follows a training to its end: events to the terminal, or as JSON lines; Ctrl-C once asks it to write a checkpoint and stop.
 * @param start begins the training; the signal asks it to stop
 * @throws what the training throws; ExitRequest 130 or 143 after a signal
 */
export async function followTraining(
  start: (signal: AbortSignal) => AsyncIterable<TrainEvent>,
  { json }: { json: boolean },
): Promise<void> {
  const display = json ? undefined : new TrainingDisplay()
  const interruption = new Interruption((line) => (display === undefined ? writeError(line) : display.note(line)))
  let finished = false
  try {
    for await (const event of start(interruption.signal)) {
      if (event.type === 'summary') finished = event.finished
      if (display === undefined) writeLine(JSON.stringify(event))
      else display.show(event)
    }
  } catch (error) {
    const stopped = interruption.exitCode
    if (!(stopped !== undefined && error instanceof TrainError && error.code === 'INTERRUPTED')) throw error
  } finally {
    display?.close()
    interruption.end()
  }
  // a signal that came when all was done changes nothing
  if (interruption.exitCode !== undefined && !finished) throw new ExitRequest(interruption.exitCode)
}
