import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeDurably } from '@lockstep/coordinator/run-directory/durable-file.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { shownPath } from '../../terminal/paths.js'
import { markdownOf, pageOf } from './report-blocks.js'
import { FIGURES, scalingBlocks, TITLE } from './scaling-blocks.js'
import { hostsChart, speedupChart, timesChart } from './scaling-charts.js'
import type { ScalingReport } from './scaling-report.js'

/** Where a scaling experiment works and leaves its report: nothing half is left in it. */
export class ScalingFolder {
  readonly path: string
  /** Whether the folder is ours as a whole. */
  readonly #made: boolean

  private constructor(path: string, made: boolean) {
    this.path = path
    this.#made = made
  }

  /** @throws TrainError USAGE for a folder with something in it, DISK for one that cannot be made */
  static async open(path: string): Promise<ScalingFolder> {
    const found = await readdir(path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw new TrainError('USAGE', `${shownPath(path)} is not a folder: name an empty or a new one with --out`, { cause: error })
    })
    if (found !== undefined && found.length > 0)
      throw new TrainError('USAGE', `${shownPath(path)} is not empty: name an empty or a new folder with --out`)
    try {
      await mkdir(join(path, 'runs'), { recursive: true })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new TrainError('DISK', `cannot make ${path} (${reason}): name another folder with --out`, { cause: error })
    }
    return new ScalingFolder(path, found === undefined)
  }

  /** Whether a training that failed left logs, which its error may speak of. */
  async hasLogs(): Promise<boolean> {
    const names = await readdir(join(this.path, 'runs'), { recursive: true }).catch((): string[] => [])
    return names.some((name) => name.endsWith('.log'))
  }

  /** Takes away what the trainings left: all of it, since nothing was finished. */
  async forget(): Promise<void> {
    await rm(this.#made ? this.path : join(this.path, 'runs'), { recursive: true, force: true })
  }

  /** Writes figures, report.json, report.html and, last, report.md. @returns the paths of the last three @throws TrainError DISK */
  async writeReport(report: ScalingReport): Promise<string[]> {
    const blocks = scalingBlocks(report)
    const figures = new Map([
      [FIGURES.speedup, speedupChart(report)],
      [FIGURES.times, timesChart(report)],
      [FIGURES.hosts, hostsChart(report)],
    ] as [string, string][])
    const written: string[] = []
    for (const [name, text] of [
      ...figures,
      ['report.json', `${JSON.stringify(report, null, 2)}\n`] as const,
      ['report.html', pageOf(TITLE, blocks, figures)] as const,
      ['report.md', markdownOf(TITLE, blocks)] as const,
    ])
      written.push(await this.#write(name, text))
    await rm(join(this.path, 'runs'), { recursive: true, force: true })
    return written.slice(-3).reverse()
  }

  async #write(name: string, text: string): Promise<string> {
    const path = join(this.path, name)
    try {
      await writeDurably(path, text)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new TrainError('DISK', `cannot write ${path} (${reason}): free some space, and start again`, { cause: error })
    }
    return path
  }
}
