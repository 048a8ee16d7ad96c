import type { ScheduleState } from '../optimizer/learning-rate.js'
import { canonicalJson } from '../recipe/recipe-digest.js'

/** The bytes that a state digest ends with, after weights and velocity: schedule state and the number of the next step. */
export function stateSuffix(schedule: ScheduleState, nextStep: number): Buffer {
  return Buffer.from(canonicalJson({ schedule, nextStep }))
}
