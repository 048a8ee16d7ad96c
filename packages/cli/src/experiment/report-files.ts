import type { DepthReport } from './depth-report.js'
import type { ExperimentFolder } from './experiment-folder.js'
import { lossChart, signalChart, top1Chart } from './report-charts.js'
import { FIGURES, reportText } from './report-text.js'

/** Writes report.md, report.json and the figures. @returns the first two @throws TrainError DISK */
export async function writeReport(folder: ExperimentFolder, report: DepthReport): Promise<string[]> {
  await folder.writeText(FIGURES.loss, lossChart(report))
  await folder.writeText(FIGURES.top1, top1Chart(report))
  await folder.writeText(FIGURES.signal, signalChart(report))
  const data = await folder.writeText('report.json', `${JSON.stringify(report, null, 2)}\n`)
  return [await folder.writeText('report.md', reportText(report)), data]
}
