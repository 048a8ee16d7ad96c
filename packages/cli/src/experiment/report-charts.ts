import { init, type EChartsOption, type LineSeriesOption } from 'echarts'
import { mean } from './comparison.js'
import type { DepthReport } from './depth-report.js'
import { BEGINNINGS, CONFIGURATIONS, configurationTitle, type Beginning, type Configuration } from './training-plan.js'
import type { TrainingResult } from './training-result.js'

/** The report's figures: a panel a configuration, a colour a beginning, as SVG drawn without a browser. Pure. */

/** Colours that people with any sight tell apart (Okabe and Ito, 2008). */
const COLORS: Record<Beginning, string> = {
  'normal-0.01': '#D55E00',
  'normal-0.1': '#E69F00',
  he: '#0072B2',
  glorot: '#009E73',
  'from-a': '#000000',
}

const NAMES: Record<Beginning, string> = {
  'normal-0.01': 'N(0, 0.01²)',
  'normal-0.1': 'N(0, 0.1²)',
  he: 'He',
  glorot: 'Glorot',
  'from-a': 'from A',
}

const COLUMNS = 3
/** As many as the legend needs. */
const LEGEND_COLUMNS = 2
const PANEL = { width: 300, height: 200, left: 56, right: 16, top: 34, bottom: 40 } as const
const LEGEND_HEIGHT = 64

type Point = readonly [x: number | string, y: number | null]

interface Curve {
  readonly configuration: Configuration
  readonly beginning: Beginning
  readonly points: readonly Point[]
}

interface ChartStyle {
  readonly title: string
  readonly x: { readonly name: string; readonly type: 'value' | 'category' }
  readonly y: { readonly type: 'value' | 'log'; readonly min?: number; readonly max?: number }
}

/** Mean training loss over the seeds; a training that diverges leaves its panel at the top. */
export function lossChart({ trainings }: DepthReport): string {
  const curves = curvesOf(trainings, ({ losses }) => losses.map(({ step, loss }) => [step, loss]))
  return draw(curves, { title: 'Training loss', x: { name: 'step', type: 'value' }, y: { type: 'log', min: 0.01, max: 100 } })
}

/** Mean top-1 accuracy on the validation pictures, in per cent. */
export function top1Chart({ trainings }: DepthReport): string {
  const curves = curvesOf(trainings, ({ evaluations }) => evaluations.map(({ step, top1 }) => [step, top1 * 100]))
  return draw(curves, { title: 'Top-1 accuracy, %', x: { name: 'step', type: 'value' }, y: { type: 'value', min: 0, max: 100 } })
}

/** Scale of each layer's output at initialization, the input's being 1. */
export function signalChart({ signals }: DepthReport): string {
  const curves = signals.map(({ configuration, beginning, input, layers }): Curve => {
    const scale = (activation: number | null): number | null =>
      activation === null || input === null || activation === 0 ? null : activation / input
    return { configuration, beginning, points: [['input', 1], ...layers.map(({ layer, activation }): Point => [layer, scale(activation)])] }
  })
  return draw(curves, {
    title: 'Activations at initialization (root mean square, input = 1)',
    x: { name: 'layer, from the input on', type: 'category' },
    y: { type: 'log' },
  })
}

function curvesOf(trainings: readonly TrainingResult[], pointsOf: (training: TrainingResult) => readonly Point[]): Curve[] {
  return CONFIGURATIONS.flatMap((configuration) =>
    BEGINNINGS.flatMap((beginning): Curve[] => {
      const group = trainings.filter((training) => training.configuration === configuration && training.beginning === beginning)
      return group.length === 0 ? [] : [{ configuration, beginning, points: meanPoints(group.map(pointsOf)) }]
    }),
  )
}

/** The mean where all have a point; a step that one of them did not reach, or where it was not finite, is left out. */
function meanPoints(all: readonly (readonly Point[])[]): Point[] {
  const byStep = new Map<number | string, (number | null)[]>()
  for (const [step, value] of all.flat()) byStep.set(step, [...(byStep.get(step) ?? []), value])
  return [...byStep].flatMap(([step, values]): Point[] => {
    const known = values.filter((value) => value !== null)
    return known.length < all.length ? [] : [[step, mean(known)]]
  })
}

function draw(curves: readonly Curve[], style: ChartStyle): string {
  const shown = CONFIGURATIONS.filter((configuration) => curves.some((curve) => curve.configuration === configuration))
  const rows = Math.max(1, Math.ceil(shown.length / COLUMNS))
  const columns = Math.max(LEGEND_COLUMNS, Math.min(COLUMNS, shown.length))
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: columns * PANEL.width, height: rows * PANEL.height + LEGEND_HEIGHT })
  try {
    chart.setOption(optionOf(curves, shown, style))
    return chart.renderToSVGString()
  } finally {
    // its timers would keep the process
    chart.dispose()
  }
}

function optionOf(curves: readonly Curve[], shown: readonly Configuration[], { title, x, y }: ChartStyle): EChartsOption {
  const place = (index: number): { left: number; top: number; width: number; height: number } => ({
    left: (index % COLUMNS) * PANEL.width + PANEL.left,
    top: Math.floor(index / COLUMNS) * PANEL.height + LEGEND_HEIGHT + PANEL.top,
    width: PANEL.width - PANEL.left - PANEL.right,
    height: PANEL.height - PANEL.top - PANEL.bottom,
  })
  const present = BEGINNINGS.filter((beginning) => curves.some((curve) => curve.beginning === beginning))
  return {
    animation: false,
    backgroundColor: '#ffffff',
    color: present.map((beginning) => COLORS[beginning]),
    title: [
      { text: title, left: 12, top: 6, textStyle: { fontSize: 15 } },
      ...shown.map((configuration, index) => ({
        text: configurationTitle(configuration),
        left: place(index).left,
        top: place(index).top - 24,
        textStyle: { fontSize: 12 },
      })),
    ],
    legend: { data: present.map((beginning) => NAMES[beginning]), left: 12, top: 32, icon: 'roundRect', itemHeight: 4 },
    grid: shown.map((_, index) => place(index)),
    xAxis: shown.map((_, gridIndex) => ({
      gridIndex,
      ...x,
      nameLocation: 'middle' as const,
      nameGap: 22,
      splitNumber: 4,
      axisLabel: { fontSize: 10, show: x.type === 'value' },
      splitLine: { show: false },
    })),
    yAxis: shown.map((_, gridIndex) => ({ gridIndex, ...y, axisLabel: { fontSize: 10, formatter: shortNumber } })),
    series: curves.map(({ configuration, beginning, points }): LineSeriesOption => {
      const index = shown.indexOf(configuration)
      return {
        type: 'line',
        name: NAMES[beginning],
        xAxisIndex: index,
        yAxisIndex: index,
        data: points.map((point) => [...point]),
        showSymbol: points.length < 2,
        lineStyle: { width: 1.5, color: COLORS[beginning] },
        itemStyle: { color: COLORS[beginning] },
      }
    }),
  }
}

/** 0.001 as 1e-3, 250 as 250. */
function shortNumber(value: number): string {
  return value !== 0 && (Math.abs(value) < 0.01 || Math.abs(value) >= 10_000)
    ? value.toExponential(0)
    : String(Number(value.toPrecision(3)))
}
