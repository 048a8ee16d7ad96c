import { init, type EChartsOption } from 'echarts'
import { NETWORKS, type ScalingReport } from './scaling-report.js'

/** The figures of the scaling report, as SVG drawn without a browser. Pure. */

const SIZE = { width: 640, height: 380 } as const
const GRID = { left: 64, right: 24, top: 84, bottom: 52 } as const
const AXIS_NAME = { nameLocation: 'middle', nameGap: 34 } as const

/** Colours that people with any sight tell apart (Okabe and Ito, 2008). */
const COLORS = { ours: '#0072B2', cpu: '#56B4E9', paper: '#D55E00', ideal: '#999999' } as const
const TIME_COLORS = {
  input: '#E69F00',
  compute: '#0072B2',
  send: '#D55E00',
  receive: '#CC79A7',
  wait: '#BBBBBB',
} as const
const NETWORK_COLORS = ['#D55E00', '#E69F00', '#009E73', '#0072B2'] as const

/** Speed-up by workers, by time and by processor time, beside the ideal and the paper's line. */
export function speedupChart({ rows, paper, settings }: ScalingReport): string {
  const base = settings.workers[0] ?? 1
  const most = Math.max(paper.workers, ...settings.workers)
  const slope = (paper.speedup - 1) / (paper.workers - 1)
  const line = (name: string, color: string, data: number[][], dashed = false): object => ({
    ...{ type: 'line', name, data, symbolSize: 7, showSymbol: !dashed },
    itemStyle: { color },
    lineStyle: { color, width: dashed ? 1.5 : 2.5, type: dashed ? 'dashed' : 'solid' },
  })
  return draw({
    ...frame('Speed-up'),
    xAxis: { type: 'value', name: 'workers', min: 1, max: most, minInterval: 1, ...AXIS_NAME },
    yAxis: { type: 'value', name: 'times as fast', min: 0, ...AXIS_NAME },
    series: [
      line(
        'ideal',
        COLORS.ideal,
        [
          [1, 1],
          [most, most],
        ],
        true,
      ),
      line(
        `VGG paper, ${String(paper.speedup)} × on ${String(paper.workers)} GPUs`,
        COLORS.paper,
        [
          [1, 1],
          [most, 1 + slope * (most - 1)],
        ],
        true,
      ),
      line(
        'by processor time',
        COLORS.cpu,
        rows.map(({ workers, cpuEfficiency }) => [workers, cpuEfficiency.mean * workers]),
      ),
      line(
        'by time',
        COLORS.ours,
        rows.filter(({ oversubscribed }) => !oversubscribed).map(({ workers, speedup }) => [workers, speedup.mean * base]),
      ),
    ],
  })
}

/** A bar a count of workers, stacked by what its seconds were spent on. */
export function timesChart({ rows }: ScalingReport): string {
  return draw({
    ...frame('Where a step’s time went'),
    xAxis: { type: 'category', name: 'workers', data: rows.map(({ workers }) => String(workers)), ...AXIS_NAME },
    yAxis: { type: 'value', name: 'seconds a step', ...AXIS_NAME },
    series: (Object.keys(TIME_COLORS) as (keyof typeof TIME_COLORS)[]).map((key) => ({
      ...{ type: 'bar' as const, name: key, stack: 'step', barWidth: '45%' },
      itemStyle: { color: TIME_COLORS[key] },
      data: rows.map(({ times }) => times[key]),
    })),
  })
}

/** Predicted speed-up by hosts: a band a network would hide the others, so lines: dashed apart, solid overlapped. */
export function hostsChart({ hosts }: ScalingReport): string {
  const lines = NETWORKS.flatMap(({ gigabits }, index) => {
    const own = hosts.filter(({ network }) => network.gigabits === gigabits)
    const line = (key: 'apartEfficiency' | 'overlappedEfficiency'): object => ({
      ...{ type: 'line', name: `${String(gigabits)} Gbit/s`, showSymbol: false, data: own.map((one) => [one.hosts, one.hosts * one[key]]) },
      itemStyle: { color: NETWORK_COLORS[index] },
      lineStyle: { color: NETWORK_COLORS[index], width: 2, type: key === 'apartEfficiency' ? 'dashed' : 'solid' },
    })
    return [line('apartEfficiency'), line('overlappedEfficiency')]
  })
  return draw({
    ...frame('Predicted speed-up (dashed: nothing overlaps; solid: all that can)'),
    xAxis: { type: 'value', name: 'hosts', min: 1, ...AXIS_NAME },
    yAxis: { type: 'value', name: 'times as fast', min: 0, ...AXIS_NAME },
    series: lines,
  })
}

function frame(title: string): EChartsOption {
  return {
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: title, left: 12, top: 8, textStyle: { fontSize: 15 } },
    legend: { left: 12, top: 36, icon: 'roundRect', itemHeight: 6 },
    grid: GRID,
  }
}

function draw(option: EChartsOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, ...SIZE })
  try {
    chart.setOption(option)
    return chart.renderToSVGString()
  } finally {
    // its timers would keep the process
    chart.dispose()
  }
}
