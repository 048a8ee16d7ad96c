import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Averager } from '@lockstep/averager/averager.js'
import { readInstant, windowBetween, type Window } from '@lockstep/cli/measurement/foreign-load.js'
import { median } from '@lockstep/cli/measurement/statistics.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import { networkOf } from '@lockstep/shared/models/network.js'
import type { ParameterLayout } from '@lockstep/shared/parameters/layout.js'
import { modelSchema } from '@lockstep/shared/recipe/schema.js'
import { LineProcess } from './method/line-process.js'
import { peerPython, peerScript } from './method/peer-environment.js'
import { quietRounds, reportMedian, reportVerdict, type Entrant } from './method/quiet-rounds.js'

/**
 * One step's exchange of VGG-16 by two workers on one machine, from TensorFlow's gradient tensors to assigned variables: averaged, SGD with
 * momentum and decay applied, committed; through shared memory and with bodies in gRPC's messages. Beside it gloo's all-reduce of as many
 * elements, which neither updates nor hands out weights. `npm run bench -- exchange [ROUNDS [NETWORK [INPUT_SIZE [SLICES]]]]`.
 */

const [roundsText = '5', NETWORK = 'vgg-d', sizeText = '224', slicesText = '2'] = process.argv.slice(2)
const ROUNDS = Number(roundsText)
const WORKERS = 2
const WARM_UP = 2
const RUN = 'exchange-bench'
/** Of gloo's time. */
const AT_MOST = { shared: 0.8, inline: 4 }

type Way = keyof typeof AT_MOST

/** What a worker's answers say of where the time went. */
interface Phases {
  readonly readMs: number
  readonly sendMs: number
  readonly receiveMs: number
  readonly assignMs: number
}

async function startAverager(layout: ParameterLayout): Promise<Averager> {
  const averager = await Averager.start({
    ...{ run: RUN, term: 1, layout, leaves: WORKERS, microBatches: WORKERS, slices: Number(slicesText), host: '127.0.0.1' },
    ...{ insecureNetwork: false },
    optimizer: { type: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 5e-4, decayOn: 'kernels' },
  })
  await averager.open(0)
  return averager
}

/** Two workers and the averager: everything of a run that exchanges. */
class Exchanging {
  #step = 0
  readonly #phases: Record<Way, Phases[]> = { shared: [], inline: [] }

  constructor(
    private readonly averager: Averager,
    private readonly workers: readonly LineProcess[],
  ) {}

  /** One step. @returns milliseconds */
  async step(way: Way): Promise<number> {
    const step = this.#step++
    await this.averager.beginStep(step, 0.01)
    const startMs = performance.now()
    const reduced = once(this.averager, 'reduced')
    const sent = await this.#ask(`send ${way} ${String(step)}`)
    await reduced
    await this.averager.commit(step + 1)
    const taken = await this.#ask(`take ${way} ${String(step + 1)}`)
    const wallMs = performance.now() - startMs
    sent.forEach((phases, worker) => this.#phases[way].push({ ...phases, ...taken[worker] } as Phases))
    return wallMs
  }

  async #ask(line: string): Promise<Partial<Phases>[]> {
    return await Promise.all(this.workers.map(async (worker) => JSON.parse(await worker.ask(line)) as Partial<Phases>))
  }

  /** Medians over all steps and workers. */
  phasesLine(way: Way): string {
    const all = this.#phases[way]
    const ms = (key: keyof Phases): string => median(all.map((phases) => phases[key])).toFixed(0)
    return `    a worker, ${way}: out of TensorFlow ${ms('readMs')}, sent and acknowledged ${ms('sendMs')}, rest of the weights ${ms('receiveMs')}, into TensorFlow ${ms('assignMs')} ms`
  }
}

/** gloo wants a port that both ends know before. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function startPeers(elements: number): Promise<LineProcess[]> {
  const port = String(await freePort())
  const peers = [0, 1].map(
    (rank) => new LineProcess(peerPython(), [peerScript('all_reduce.py'), String(rank), port, String(elements)], { OMP_NUM_THREADS: '1' }),
  )
  const answers = await Promise.all(peers.map(async (peer) => await peer.ask('hello')))
  if (answers.some((answer) => Number(answer) !== elements)) throw new Error(`the peers reduce ${answers.join(' and ')} elements`)
  return peers
}

interface Sample extends Window {
  readonly ms: number
}

/** @param step does one and tells its milliseconds */
function entrant(name: string, step: () => Promise<number>): Entrant<Sample> {
  return {
    name,
    sample: async () => {
      const before = await readInstant()
      const ms = await step()
      return { ms, ...windowBetween(before, await readInstant()) }
    },
    words: ({ ms, ownSeconds }) => `${ms.toFixed(0)} ms, ${(ownSeconds * 1000).toFixed(0)} CPU ms`,
  }
}

const layout = layoutOf(networkOf(modelSchema.parse({ name: NETWORK, inputSize: Number(sizeText), dropout: 0 }), 1000))
const children: LineProcess[] = []
const averager = await startAverager(layout)
try {
  const worker = fileURLToPath(new URL('./processes/exchange-worker.js', import.meta.url))
  /** As workers have it: one thread, and no page faults on fresh buffers. */
  const environment = {
    ...{ TF_NUM_INTRAOP_THREADS: '1', OMP_NUM_THREADS: '1', TF_NUM_INTEROP_THREADS: '1' },
    ...{ MALLOC_MMAP_MAX_: '0', MALLOC_TRIM_THRESHOLD_: '-1', MALLOC_TOP_PAD_: '268435456' },
  }
  const workers = Array.from({ length: WORKERS }, (_, leaf) => {
    const args = [worker, NETWORK, sizeText, RUN, String(leaf), ...averager.addresses]
    return new LineProcess(process.execPath, args, environment)
  })
  children.push(...workers)
  const exchanging = new Exchanging(averager, workers)
  for (const way of ['shared', 'inline'] as const) for (let step = 0; step < WARM_UP; step++) await exchanging.step(way)
  const peers = await startPeers(layout.size)
  children.push(...peers)
  const reduce = async (): Promise<number> => Math.max(...(await Promise.all(peers.map(async (peer) => Number(await peer.ask('reduce'))))))
  for (let step = 0; step < WARM_UP; step++) await reduce()
  console.log(`${NETWORK}, ${String(layout.size)} parameters, 2 workers, ${String(averager.addresses.length)} slices`)
  const entrants = [
    entrant('gloo all-reduce alone', reduce),
    entrant('Lockstep, shared memory', async () => await exchanging.step('shared')),
    entrant('Lockstep, inline', async () => await exchanging.step('inline')),
  ]
  const { kept } = await quietRounds(entrants, ROUNDS)
  for (const [index, { name }] of entrants.entries()) {
    const samples = kept.flatMap((round) => round[index] ?? [])
    reportMedian(
      name,
      samples.map(({ ms }) => ms),
      'ms',
      0,
    )
    reportMedian(
      `${name}, CPU`,
      samples.map(({ ownSeconds }) => ownSeconds * 1000),
      'ms',
      0,
    )
  }
  for (const way of ['shared', 'inline'] as const) console.log(exchanging.phasesLine(way))
  const ratioOf = (index: number): number => median(kept.map((round) => (round[index]?.ms ?? Number.NaN) / (round[0]?.ms ?? Number.NaN)))
  const holds = [
    reportVerdict('shared memory, within rounds', ratioOf(1), '× gloo', 2, { atMost: AT_MOST.shared }),
    reportVerdict('inline, within rounds', ratioOf(2), '× gloo', 2, { atMost: AT_MOST.inline }),
  ]
  process.exitCode = holds.every(Boolean) ? 0 : 1
} finally {
  for (const child of children) child.close()
  await averager.close()
}
