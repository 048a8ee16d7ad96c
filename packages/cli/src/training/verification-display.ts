import type { VerifyEvent } from '@lockstep/coordinator/verification/verify.js'
import { LiveDisplay } from '../terminal/live-display.js'
import { styled, writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { count, significant } from '../terminal/units.js'
import { lineOf, plural } from './training-lines.js'

type VerdictEvent = Extract<VerifyEvent, { type: 'verdict' }>

/** Shows a person how a replay goes, and what it came to. */
export class VerificationDisplay {
  private readonly live = new LiveDisplay()
  private from = 0
  private until = 0
  private equal = 0
  private preparing = ''

  show(event: VerifyEvent): void {
    switch (event.type) {
      case 'verifying':
        this.from = event.from
        this.until = event.until
        this.live.line(
          `${shownPath(event.directory)}: computing steps ${count(event.from)} to ${count(event.until)} again; ${plural(event.digests, 'digest')} to compare`,
        )
        break
      case 'preparing':
        if (event.what !== this.preparing) this.live.line(styled('dim', `${event.what} …`))
        this.preparing = event.what
        break
      case 'compared':
        if (event.agrees) this.equal += 1
        break
      case 'step': {
        const figures = `${plural(this.equal, 'digest')} equal · ${significant(event.samplesPerSecond)} images/s`
        const done = event.step - this.from
        this.live.progress(done, this.until - this.from, figures, `step ${count(event.step)} of ${count(this.until)}: ${figures}`)
        break
      }
      case 'evaluating':
        this.live.status(`evaluating ${String(event.done)}/${String(event.total)}`)
        break
      case 'verdict':
        this.live.close()
        for (const line of verdictLines(event)) writeLine(line)
        break
      default: {
        const line = lineOf(event)
        if (line !== undefined) this.live.line(event.type === 'warning' ? styled('yellow', line) : line)
      }
    }
  }

  close(): void {
    this.live.close()
  }
}

/** The verdict in words; its last line is what to do about it, if there is anything. */
export function verdictLines({ verdict, directory, from, until, hint }: VerdictEvent): string[] {
  const run = shownPath(directory)
  if (verdict.outcome === 'nothing') {
    return [
      styled(
        'yellow',
        `${run}: nothing to compare after step ${count(from)}: it wrote no digest and kept no checkpoint up to step ${count(until)}`,
      ),
      from === 0
        ? 'train with run.checkpoint.digestEverySteps=1, and every step can be verified'
        : 'verify from an earlier step, such as --from 0; with run.checkpoint.digestEverySteps=1 every step can be verified',
    ]
  }
  if (verdict.outcome === 'agree') {
    const { steps, checkpoints, lastStep } = verdict
    const parts = [...(steps > 0 ? [plural(steps, 'step')] : []), ...(checkpoints > 0 ? [plural(checkpoints, 'checkpoint')] : [])]
    return [styled('green', `${run}: ${parts.join(' and ')} agree, bit for bit, from step ${count(from)} to step ${count(lastStep)}`)]
  }
  const { step, of, digest, replayed, agreed } = verdict
  const where = of === 'step' ? 'metrics.jsonl' : 'the checkpoint'
  const before =
    agreed === null ? `nothing before it since step ${count(from)} could be compared` : `up to step ${count(agreed)} they agree`
  return [
    styled('red', `${run}: the digests part at step ${count(step)}; ${before}`),
    `  ${where} says ${digest}`,
    `  computed again ${replayed ?? 'nothing: the replay ended before'}`,
    ...(hint === null ? [] : [hint]),
  ]
}
