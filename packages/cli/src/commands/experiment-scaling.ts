import { join, resolve } from 'node:path'
import { InvalidArgumentError, type Command } from 'commander'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { loadRecipe } from '@lockstep/shared/recipe/load.js'
import { ScalingFolder } from '../experiment/scaling/scaling-folder.js'
import { requireEnoughLeaves, requireMeasurableKeys, type ScalingSettings } from '../experiment/scaling/scaling-plan.js'
import type { ScalingReport } from '../experiment/scaling/scaling-report.js'
import { ExitRequest } from '../failure.js'
import { addExample, addJsonOption, addSetOption, wholeNumber } from '../options.js'
import { recipeFile } from '../project-folders.js'
import { interruptibleWork } from '../standalone-work.js'
import { Narrator } from '../terminal/narrator.js'
import { writeError, writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { percent } from '../terminal/units.js'

interface ScalingOptions {
  workers: number[]
  repetitions: number
  steps: number
  warmUp: number
  out?: string
  set: string[]
  json: boolean
}

export function configureScaling(experiment: Command): void {
  const scaling = experiment
    .command('scaling')
    .description('How much faster several workers are than one: a recipe at each count, several times in turn, with a report.')
    .argument('[recipe]', 'a recipe (default: recipes/scaling.yaml, VGG-A on digits at 112 px)')
    .option('--workers <list>', 'counts of workers, as in 1,2,4', countList, [1, 2, 4])
    .option('--repetitions <count>', 'rounds; in each of them every count has its turn', wholeNumber(1), 5)
    .option('--steps <count>', 'steps of a training that are measured', wholeNumber(1), 3)
    .option('--warm-up <count>', 'steps before them', wholeNumber(1), 2)
    .option('--out <dir>', 'folder of the report (default: runs/scaling-NAME)')
  addSetOption(scaling)
  addJsonOption(scaling, 'say nothing on the way, print the report as one JSON object')
  addExample(scaling, 'lockstep experiment scaling', 'lockstep experiment scaling recipe.yaml --workers 1,2 --repetitions 5 --out scaling')
  scaling.action(runScaling)
}

async function runScaling(file: string | undefined, options: ScalingOptions): Promise<void> {
  const { workers, repetitions, steps, warmUp: warmUpSteps, set } = options
  requireMeasurableKeys(set)
  const path = file ?? recipeFile('scaling')
  const { recipe } = await loadRecipe(path, { set })
  requireEnoughLeaves(recipe, workers)
  const settings: ScalingSettings = { recipe: shownPath(path), workers, repetitions, steps, warmUpSteps, set }
  const folder = await ScalingFolder.open(resolve(options.out ?? join('runs', `scaling-${recipe.name}`)))
  // loaded late, so that help and wrong options are quick
  const { runScalingExperiment } = await import('../experiment/scaling/scaling-experiment.js')
  const narrator = new Narrator({ silent: options.json })
  const work = async (signal: AbortSignal): Promise<ScalingReport> => {
    try {
      return await runScalingExperiment({ settings, recipe, folder: folder.path, signal }, narrator)
    } catch (error) {
      const stopped = signal.aborted || (error instanceof TrainError && error.code === 'INTERRUPTED')
      if (stopped || !(await folder.hasLogs())) await folder.forget()
      throw error
    }
  }
  const report = await interruptibleWork(work, 'stopping; nothing is kept')
  const files = await folder.writeReport(report)
  if (options.json) writeLine(JSON.stringify(report))
  else for (const line of closingLines(report, files)) writeLine(line)
  if (report.state.same) return
  writeError(
    `error: the states after step ${String(report.state.step)} differ: this is a bug in Lockstep; please report it, with report.json`,
  )
  throw new ExitRequest(1)
}

function closingLines({ rows, state }: ScalingReport, files: readonly string[]): string[] {
  const [first] = state.digests
  return [
    '',
    ...rows.map(
      ({ workers, speedup, efficiency, cpuEfficiency, judgedBy }) =>
        `   ${String(workers).padStart(3)} ${workers === 1 ? 'worker ' : 'workers'}  ${speedup.mean.toFixed(2)} ×  efficiency ${percent(efficiency.mean)} by time, ${percent(cpuEfficiency.mean)} by processor time (judged by ${judgedBy})`,
    ),
    ...(state.same && first !== undefined ? [`   one state at all counts: stateDigest ${first.stateDigest}`] : []),
    '',
    `   ${files.map((file) => shownPath(file)).join(', ')}`,
  ]
}

function countList(text: string): number[] {
  const counts = text.split(',').map(Number)
  if (!/^\d+(,\d+)*$/.test(text) || counts.some((count) => count < 1))
    throw new InvalidArgumentError('Expected counts of at least 1, as in 1,2,4.')
  return [...new Set(counts)].sort((one, other) => one - other)
}
