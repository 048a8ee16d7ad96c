import type { RunEffect } from '@lockstep/coordinator/run-loop/run-effect.js'
import type { ScheduleState } from '@lockstep/shared/optimizer/learning-rate.js'
import { canonicalJson } from '@lockstep/shared/recipe/recipe-digest.js'
import { describeTree, type GradientTree } from './gradient-tree.js'
import { isExcused, type Scenario } from './scenario.js'
import type { SimulatedSlice } from './simulated-averager.js'
import { treeFault, undisturbedHistory, type ChunkState, type VersionRecord } from './undisturbed.js'
import { Violation } from './violation.js'
import type { SavedState } from './world-parts.js'

type Effect<Type extends RunEffect['type']> = RunEffect & { type: Type }

/** Compares everything that happens with the undisturbed history, and throws a {@link Violation} at the first difference. */
export class Watch {
  readonly history: readonly VersionRecord[]
  /** When something was last achieved. */
  progressMs = 0
  readonly #scenario: Scenario
  #recorded = -1

  constructor(scenario: Scenario) {
    this.#scenario = scenario
    const chunks = scenario.slices.reduce((sum, count) => sum + count, 0)
    this.history = undisturbedHistory(scenario.plan, chunks, scenario.nonFiniteSteps)
  }

  get finalVersion(): number {
    return this.history.length - 1
  }

  #at(version: number): VersionRecord {
    const record = this.history[version]
    if (record === undefined) throw new Violation('versions', `version ${String(version)} is none of the undisturbed run`)
    return record
  }

  /**
   * A sum is about to become an update: it must be that of all leaves, in the tree's order, of this step and term alone.
   * @returns whether the update is finite: where it is not, that shows in one chunk alone
   */
  aboutToUpdate(slice: SimulatedSlice, term: number, chunk: number, tree: GradientTree, rate: number): boolean {
    const step = slice.state.committed
    const { digest } = this.#at(step)
    const fault = treeFault(tree, 0, this.#scenario.plan.leaves, (leaf) => {
      if (!('leaf' in leaf)) return 'not a leaf'
      if (leaf.term !== term) return `leaf ${String(leaf.leaf)} is an answer from term ${String(leaf.term)} in term ${String(term)}`
      if (leaf.step !== step) return `leaf ${String(leaf.leaf)} is of step ${String(leaf.step)} in step ${String(step)}`
      if (leaf.weights !== digest) return `leaf ${String(leaf.leaf)} was computed from other weights than version ${String(step)}`
      return undefined
    })
    if (fault !== undefined) throw new Violation('sum', `step ${String(step)}, chunk ${String(chunk)}: ${fault}, in ${describeTree(tree)}`)
    if (rate !== this.#at(step + 1).rate) {
      throw new Violation('schedule', `step ${String(step)} uses rate ${String(rate)} instead of ${String(this.#at(step + 1).rate)}`)
    }
    return !this.#isLeftOut(step) || chunk !== step % this.#at(step).chunks.length
  }

  #isLeftOut(step: number): boolean {
    return this.#scenario.nonFiniteSteps.includes(step)
  }

  /** The committed version is to be read by whoever still needs it. */
  committedIsWhole(slice: SimulatedSlice): void {
    const version = slice.state.committed
    if (version >= 0) this.#isWhole(slice, version, 'readable')
  }

  #isWhole(slice: SimulatedSlice, version: number, invariant: string): void {
    const { chunks } = this.#at(version)
    for (let chunk = 0; chunk < slice.state.chunks; chunk++) {
      const { weights, velocity } = slice.state.stateOf(version, chunk)
      const right = chunks[slice.firstChunk + chunk]
      if (weights === right?.weights && velocity === right.velocity) continue
      throw new Violation(invariant, `version ${String(version)} is not there in chunk ${String(chunk)} of slice ${String(slice.index)}`)
    }
  }

  aboutToCommit(slice: SimulatedSlice, version: number): void {
    if (version !== slice.state.committed + 1) {
      throw new Violation('versions', `version ${String(version)} is committed after ${String(slice.state.committed)}`)
    }
    for (let chunk = 0; chunk < slice.state.chunks; chunk++) {
      if (slice.state.has(version, chunk)) continue
      throw new Violation(
        'barrier',
        `version ${String(version)} is committed before chunk ${String(chunk)} of slice ${String(slice.index)}`,
      )
    }
    this.#isWhole(slice, version, 'digest')
  }

  /** A worker is held to be lost: something must have befallen it, and not only the coordinator's own clock. */
  expelled({ worker, reason }: Effect<'expelWorker'>, index: number, nowMs: number): void {
    if (!isExcused(this.#scenario.faults, index, nowMs)) {
      throw new Violation('blame', `${worker} is expelled (${reason}), and nothing was wrong with it`)
    }
  }

  /** A coordinator begins from a version. */
  resumed(version: number): void {
    this.#recorded = version
  }

  /** The run loop hears that a step is whole: of every leaf it must have heard before. */
  reduced(covered: readonly boolean[], step: number): void {
    const leaf = covered.indexOf(false)
    if (leaf >= 0) throw new Violation('cover', `step ${String(step)} is whole, and leaf ${String(leaf)} was not told as covered`)
  }

  stepRecorded({ version, loss, top1, rate, schedule, skipped }: Effect<'recordStep'>): void {
    if (version !== this.#recorded + 1)
      throw new Violation('versions', `step ${String(version)} is recorded after ${String(this.#recorded)}`)
    this.#recorded = version
    const record = this.#at(version)
    const { lossSum, correctTop1, samples } = record.statistics ?? { lossSum: 0, correctTop1: 0, samples: 1 }
    const right = {
      loss: lossSum / this.#scenario.plan.globalBatch,
      top1: correctTop1 / samples,
      rate: record.rate,
      schedule: record.schedule,
      isLeftOut: this.#isLeftOut(version - 1),
    }
    same('step', `step ${String(version)}`, { loss, top1, rate, schedule, isLeftOut: skipped !== undefined }, right)
  }

  evaluationRecorded({ version, metrics }: Effect<'recordEvaluation'>): void {
    same('evaluation', `evaluation of version ${String(version)}`, metrics, this.#at(version).evaluation?.metrics)
  }

  /** What a checkpoint or a digest was made from. */
  stateRead(version: number, chunks: readonly ChunkState[]): void {
    same('readable', `what was read of version ${String(version)}`, chunks, this.#at(version).chunks)
  }

  scheduleSaved(version: number, schedule: ScheduleState): void {
    const { evaluation, schedule: before } = this.#at(version)
    const right = evaluation !== undefined && schedule.evaluatedVersion === version ? evaluation.schedule : before
    same('schedule', `the schedule saved with version ${String(version)}`, schedule, right)
  }

  /** The run says that it is over. @param saved what lies on disk */
  finished(reason: string, version: number, schedule: ScheduleState, saved: SavedState | undefined): void {
    if (saved?.version !== version)
      throw new Violation('finish', `the run ends at version ${String(version)} with ${String(saved?.version)} on disk`)
    same('finish', 'the schedule on disk', saved.schedule, schedule)
    if (reason === 'stopped') return
    const last = this.#at(this.finalVersion)
    if (version !== this.finalVersion) {
      throw new Violation('finish', `the run ends at version ${String(version)} instead of ${String(this.finalVersion)} (${reason})`)
    }
    same('finish', 'the schedule at the end', schedule, last.evaluation?.schedule ?? last.schedule)
    const right = version === this.#scenario.plan.steps ? 'steps' : 'plateau'
    if (reason !== right) throw new Violation('finish', `the run ends because of ${reason} instead of ${right}`)
  }
}

function same(invariant: string, what: string, found: unknown, right: unknown): void {
  const [a, b] = [canonicalJson(found), right === undefined ? 'nothing' : canonicalJson(right)]
  if (a !== b) throw new Violation(invariant, `${what} is ${a} instead of ${b}`)
}
