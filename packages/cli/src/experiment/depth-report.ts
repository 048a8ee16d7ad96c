import type { Recipe } from '@lockstep/shared/recipe/schema.js'
import type { DataYardsticks } from './data-yardsticks.js'
import type { ExperimentSettings } from './experiment-settings.js'
import { findingsOf, type Finding } from './findings.js'
import { reportRows, type ReportRow } from './report-table.js'
import { signalFate, type MeasuredSignal, type SignalFate } from './signal-fate.js'
import { BEGINNINGS, CONFIGURATIONS } from './training-plan.js'
import type { TrainingResult } from './training-result.js'

/** Everything the report says, as data: report.json. Pure. */

export interface DepthReport {
  readonly format: 1
  readonly experiment: 'depth'
  readonly settings: ExperimentSettings
  /** Of the first training; the others differ in name, model, seed and initialization alone. */
  readonly recipe: Recipe
  readonly yardsticks: DataYardsticks
  readonly rows: readonly ReportRow[]
  readonly findings: readonly Finding[]
  /** At initialization, on the first seed. */
  readonly signals: readonly (MeasuredSignal & SignalFate)[]
  readonly trainings: readonly TrainingResult[]
}

export interface Measured {
  readonly settings: ExperimentSettings
  readonly recipe: Recipe
  readonly yardsticks: DataYardsticks
  readonly trainings: readonly TrainingResult[]
  readonly signals: readonly MeasuredSignal[]
}

export function depthReport({ settings, recipe, yardsticks, trainings, signals }: Measured): DepthReport {
  return {
    format: 1,
    experiment: 'depth',
    settings,
    recipe,
    yardsticks,
    rows: reportRows(trainings, yardsticks.chance),
    findings: findingsOf(trainings, yardsticks.chance),
    signals: signals.map((signal) => ({ ...signal, ...signalFate(signal) })).sort((one, other) => placeOf(one) - placeOf(other)),
    trainings,
  }
}

/** In the paper's order, as the rows. */
function placeOf({ configuration, beginning }: MeasuredSignal): number {
  return CONFIGURATIONS.indexOf(configuration) * BEGINNINGS.length + BEGINNINGS.indexOf(beginning)
}
