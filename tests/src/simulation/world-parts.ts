import type { Contribution__Output } from '@lockstep/shared/protocol/generated/lockstep/v1/Contribution.js'
import type { ScheduleState } from '@lockstep/shared/optimizer/learning-rate.js'
import type { Chance } from './chance.js'
import type { Delays } from './channel.js'
import type { Mutation } from './mutation.js'
import type { Scenario } from './scenario.js'
import type { ChunkState } from './undisturbed.js'
import type { VirtualTime } from './virtual-time.js'
import type { Watch } from './watch.js'

/** The id of every simulated run. */
export const RUN = 'simulated'

/** A whole checkpoint. */
export interface SavedState {
  readonly version: number
  readonly schedule: ScheduleState
  readonly chunks: readonly ChunkState[]
}

/** An answer that may arrive once more, much later. */
export type OldAnswer =
  | { readonly type: 'contribution'; readonly slice: number; readonly contribution: Contribution__Output }
  | { readonly type: 'evaluation'; readonly term: number; readonly version: number; readonly batch: number }

/** What all parts of a simulated world see of it. */
export interface World {
  readonly scenario: Scenario
  readonly time: VirtualTime
  readonly watch: Watch
  readonly mutation: Mutation | undefined
  readonly networkDelays: Delays
  readonly threadDelays: Delays
  /** How long a checkpoint is being written, now. */
  readonly checkpointMs: number
  /** What is on disk: it outlives coordinators. */
  readonly saved: SavedState[]
  readonly oldAnswers: OldAnswer[]
  chance(stream: string): Chance
  /** Counts something that happens. */
  count(what: string): void
  /** Notes what happens, when the history is to be printed. */
  note(line: () => string): void
}
