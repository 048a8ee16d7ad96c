import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LineProcess } from './line-process.js'
import { peerPython, peerScript } from './peer-environment.js'

export interface DdpOptions {
  /** A VGG's name, or small-cnn. */
  readonly network: string
  /** Pictures a process. */
  readonly batch: number
  readonly inputSize: number
  /** One for each process, which is pinned to it. */
  readonly cores: readonly number[]
}

/** Processes of PyTorch's DistributedDataParallel over gloo, one a core, that wait between measurements. */
export class DdpGroup {
  private constructor(
    private readonly processes: readonly LineProcess[],
    private readonly folder: string,
    /** As every rank counts them. */
    readonly parameters: number,
  ) {}

  /** Back when all have met. @throws Error with the end of what a process wrote to stderr */
  static async start({ network, batch, inputSize, cores }: DdpOptions): Promise<DdpGroup> {
    const python = peerPython()
    const folder = await mkdtemp(join(tmpdir(), 'lockstep-ddp-'))
    const processes = cores.map((core, rank) => {
      const place = [String(rank), String(cores.length), join(folder, 'meeting')]
      const command = [python, peerScript('ddp_step.py'), network, String(batch), String(inputSize), ...place]
      return new LineProcess('taskset', ['-c', String(core), ...command], { OMP_NUM_THREADS: '1', GLOO_SOCKET_IFNAME: 'lo' })
    })
    try {
      const [parameters = Number.NaN] = await askAll(processes, 'parameters')
      return new DdpGroup(processes, folder, parameters)
    } catch (error) {
      await endAll(processes, folder)
      throw error
    }
  }

  /**
   * All processes do so many steps at once.
   * @param how together: averaging gradients; alone: every process its own, nothing sent
   * @returns milliseconds of a step, the median within each process
   */
  async steps(how: 'together' | 'alone', count: number): Promise<number[]> {
    return await askAll(this.processes, `${how === 'together' ? 'ddp' : 'alone'} ${String(count)}`)
  }

  /** Back when all are gone, with their memory. */
  async end(): Promise<void> {
    await endAll(this.processes, this.folder)
  }
}

async function askAll(processes: readonly LineProcess[], question: string): Promise<number[]> {
  return (await Promise.all(processes.map((one) => one.ask(question)))).map(Number)
}

async function endAll(processes: readonly LineProcess[], folder: string): Promise<void> {
  await Promise.all(processes.map((one) => one.end()))
  await rm(folder, { recursive: true, force: true })
}
