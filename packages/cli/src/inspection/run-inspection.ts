import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { RunDirectory } from '@lockstep/coordinator/run-directory/run-directory.js'
import type { RunSummary } from '@lockstep/coordinator/run-directory/run-summary.js'
import { parseRecipe } from '@lockstep/shared/recipe/load.js'
import { writeLine } from '../terminal/output.js'
import { shownPath } from '../terminal/paths.js'
import { sparkline } from '../terminal/sparkline.js'
import { fields } from '../terminal/table.js'
import { count, duration, percent, significant } from '../terminal/units.js'

interface RunState {
  directory: string
  /** going on: its coordinator's process lives on this machine */
  state: 'going on' | 'ended' | 'stopped'
  pid: number | null
  lastStep: number
  checkpoints: number[]
  losses: number[]
  summary: RunSummary | null
}

/** Shows a run's state and summary. @param path the newest run when undefined. @throws TrainError RUN_MISSING */
export async function inspectRun(path: string | undefined, { json }: { json: boolean }): Promise<void> {
  const run = await RunDirectory.open(path)
  const recipe = parseRecipe(await readFile(run.recipePath, 'utf8'), { file: run.recipePath })
  const state = await readState(run)
  if (json) {
    const { losses, ...rest } = state
    writeLine(JSON.stringify({ type: 'run', ...rest, loss: losses.at(-1) ?? null, recipe }))
    return
  }
  for (const line of runLines(recipe.name, recipe.model.name, state)) writeLine(line)
}

async function readState(run: RunDirectory): Promise<RunState> {
  const metrics = await readFile(join(run.path, 'metrics.jsonl'), 'utf8').catch(() => '')
  const steps = metrics.split('\n').flatMap(stepOfLine)
  const summary = await readJson<RunSummary>(run.summaryPath)
  const holder = await readJson<{ pid: number; host: string }>(join(run.path, 'lock'))
  const pid = holder !== null && holder.host === hostname() && isAlive(holder.pid) ? holder.pid : null
  const checkpoints = await run.checkpoints()
  return {
    directory: run.path,
    state: pid !== null ? 'going on' : summary === null ? 'stopped' : 'ended',
    pid,
    lastStep: steps.at(-1)?.step ?? 0,
    checkpoints: checkpoints.map(({ step }) => step),
    losses: steps.map(({ loss }) => loss),
    summary,
  }
}

function runLines(name: string, model: string, { directory, state, pid, lastStep, checkpoints, losses, summary }: RunState): string[] {
  const share = (value: number | null): string => (value === null ? '–' : percent(value))
  const shown = shownPath(directory)
  const entries: [string, string][] = [
    ['recipe', `${name} (${model})`],
    ['state', pid === null ? state : `going on (process ${String(pid)})`],
    ['steps done', count(lastStep)],
    ['loss', losses.length === 0 ? '–' : `${significant(losses.at(-1) ?? Number.NaN)}  ${sparkline(losses, 24)}`],
    ['checkpoints', checkpoints.length === 0 ? 'none' : `after step ${checkpoints.map(count).join(', ')}`],
    ...(summary === null ? [] : summaryEntries(summary, share)),
  ]
  const next = state === 'going on' ? [] : ['', `  go on with: lockstep resume ${shown}`]
  return [shown, ...fields(entries).map((line) => `  ${line}`), ...next]
}

function summaryEntries(summary: RunSummary, share: (value: number | null) => string): [string, string][] {
  const faults = Object.entries(summary.faults).map(([kind, times]) => `${kind} ${String(times)}`)
  return [
    ['top-1 / top-5', `${share(summary.top1)} / ${share(summary.top5)}`],
    ['images/s', significant(summary.samplesPerSecond)],
    ['time', duration(summary.wallSeconds)],
    ['workers', String(summary.workers)],
    ['faults', faults.length === 0 ? 'none' : faults.join(', ')],
    ...(summary.audits === 0 ? [] : [['audits', `${count(summary.audits)} leaves computed twice and compared`] satisfies [string, string]]),
    ['exact', summary.exact ? 'yes: one bit pattern' : `no${summary.inexact === undefined ? '' : `: ${summary.inexact}`}`],
    ['weights digest', summary.weightsDigest],
    ['state digest', summary.stateDigest],
    ['engine', summary.fingerprint],
  ]
}

/** A step of metrics.jsonl; a torn last line is passed over. */
function stepOfLine(line: string): { step: number; loss: number }[] {
  if (!line.startsWith('{"type":"step"')) return []
  try {
    const { step, loss } = JSON.parse(line) as { step: number; loss: number | null }
    return [{ step, loss: loss ?? Number.NaN }]
  } catch {
    return []
  }
}

async function readJson<T>(path: string): Promise<T | null> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T
  } catch {
    return null
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
