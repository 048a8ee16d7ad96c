import { TrainError, type TrainErrorCode } from '@lockstep/shared/errors/train-error.js'
import type { WasmMemory } from '@lockstep/shared/kernels/web-assembly.js'
import type { NodeStatistics } from '@lockstep/shared/reduction/node-statistics.js'
import type { SharedFile } from '@lockstep/shared/shared-memory/page-mapping.js'
import type { LayerTime } from '../engine/layer-times.js'
import { Worker } from 'node:worker_threads'
import type { ComputeCall, ComputeReady, ComputeReply, ComputeRequest, ComputeSetup, ForwardInput, MicroBatch } from './compute-messages.js'

interface Pending {
  readonly call: ComputeCall
  resolve(reply: ComputeReply): void
  reject(error: Error): void
}

/** A request that the compute thread has done: what it was, and when. */
export interface DoneRequest {
  readonly kind: ComputeCall['kind']
  /** Stream position of the first sample of a gradient. */
  readonly firstPosition: number | undefined
  /** On the machine's monotonic clock. */
  readonly startUs: number
  readonly seconds: number
  readonly layers: readonly LayerTime[]
}

/** A partial gradient after a request: where it lies and what was computed. */
export interface GradientReply {
  readonly byteOffset: number
  /** The file that it is; left out where other processes cannot map it. */
  readonly file?: SharedFile | undefined
  readonly statistics: NodeStatistics
  readonly seconds: number
}

/** The main thread's end of the computing thread. Requests may be queued; they are done in their order. */
export class ComputeClient {
  /** Tensors alive in the engine, as last told. */
  tensors = 0
  /** Whether the time of every layer is taken with every gradient. */
  timeLayers = false
  /** Told of every request that was done. */
  onDone: (done: DoneRequest) => void = () => undefined
  private readonly pending = new Map<number, Pending>()
  private nextId = 1
  private failure: Error | undefined

  private constructor(
    private readonly thread: Worker,
    /** The memory the accumulators lie in; look at its `buffer` anew after every reply, since it grows. */
    readonly memory: WasmMemory,
    /** Version of TensorFlow. */
    readonly tensorflow: string,
    /** Number of classes. */
    readonly classes: number,
    /** Of a regression: the value of every class. */
    readonly targets: readonly number[] | undefined,
  ) {
    thread.on('message', (reply: ComputeReply) => {
      this.settle(reply)
    })
    thread.on('error', (error) => {
      this.fail(computeError(error))
    })
    thread.on('exit', (code) => {
      this.fail(new TrainError('INTERNAL', `the compute thread ended with exit code ${String(code)}; see the worker's log`))
    })
  }

  /**
   * Starts the thread and builds the engine in it.
   * @throws TrainError ENGINE_UNAVAILABLE, MEMORY, INTERNAL
   */
  static async start(setup: ComputeSetup): Promise<ComputeClient> {
    const thread = new Worker(new URL('./compute-thread.js', import.meta.url), { workerData: setup, name: 'compute' })
    return await new Promise((resolve, reject) => {
      const failed = (error: unknown): void => {
        reject(computeError(error))
      }
      const ended = (code: number): void => {
        reject(
          new TrainError(
            'ENGINE_UNAVAILABLE',
            `the compute thread ended with exit code ${String(code)} before it was ready; see the worker's log`,
          ),
        )
      }
      thread.once('error', failed)
      thread.once('exit', ended)
      thread.once('message', (message: ComputeReady) => {
        thread.off('error', failed)
        thread.off('exit', ended)
        resolve(new ComputeClient(thread, message.memory, message.tensorflow, setup.classes, setup.recipe.model.targets))
      })
    })
  }

  /** Computes the probe of this recipe. `features`: the digest of the frozen base's output alone, where it is cached. */
  async probe(): Promise<{ fingerprint: string; leafSeconds: number; features?: string }> {
    const { probe } = await this.ask({ kind: 'probe' })
    if (probe === undefined) throw new TrainError('INTERNAL', 'the compute thread answered a probe without a fingerprint')
    return probe
  }

  /** Copies the weights vector into the engine; once it is done the vector may be overwritten. @param region of the weights' memory */
  async setWeights(region: number): Promise<void> {
    await this.ask({ kind: 'setWeights', region })
  }

  /** What accumulators held stays as it is for others who read it: they get other memory. */
  async renew(slots: readonly number[]): Promise<void> {
    await this.ask({ kind: 'renew', slots })
  }

  /** Takes the gradient of a micro-batch into an accumulator. The batch's arrays are transferred. */
  async gradient(batch: MicroBatch, slot: number, mode: 'copy' | 'add'): Promise<GradientReply> {
    const reply = await this.ask(
      { kind: 'gradient', batch, slot, mode, timeLayers: this.timeLayers },
      transferables(batch.images, batch.labels),
    )
    return { byteOffset: reply.byteOffset ?? 0, file: reply.file, statistics: statisticsOf(reply), seconds: reply.seconds }
  }

  /** Accumulator `into` becomes into + from. @returns seconds of the compute thread */
  async add(into: number, from: number): Promise<number> {
    return (await this.ask({ kind: 'add', into, from })).seconds
  }

  /** Rounds an accumulator to bfloat16 in its place, with error feedback. @returns seconds of the compute thread */
  async narrow(slot: number): Promise<number> {
    return (await this.ask({ kind: 'narrow', slot })).seconds
  }

  /** Nothing was rounded away before: another membership begins. */
  async forgetResidual(): Promise<void> {
    await this.ask({ kind: 'forgetResidual' })
  }

  /** One evaluation batch with the weights that are set. The arrays are transferred. */
  async evaluate(images: Float32Array, labels: Int32Array, samples: number): Promise<NodeStatistics> {
    const batch = { images, labels, samples }
    return statisticsOf(await this.ask({ kind: 'evaluate', batch }, transferables(images, labels)))
  }

  /** Logarithm of the soft-max, [count, classes], or the values of a regression, with the weights that are set. The images are transferred. */
  async logSoftmax({ kind, images, shape }: ForwardInput): Promise<Float32Array> {
    const { values } = await this.ask({ kind: 'logSoftmax', input: { kind, images, shape } }, transferables(images))
    if (values === undefined) throw new TrainError('INTERNAL', 'the compute thread answered a forward pass without values')
    return values
  }

  /** What the frozen base makes of pictures, [count, …]. The images are transferred. */
  async features(images: Float32Array, count: number): Promise<Float32Array> {
    const { values } = await this.ask({ kind: 'features', images, count }, transferables(images))
    if (values === undefined) throw new TrainError('INTERNAL', 'the compute thread answered without features')
    return values
  }

  /** Ends the thread, after the operation in hand. */
  async terminate(): Promise<void> {
    this.failure ??= new TrainError('INTERRUPTED', 'the compute thread was stopped')
    await this.thread.terminate()
  }

  private async ask(call: ComputeCall, transfer: ArrayBuffer[] = []): Promise<ComputeReply> {
    if (this.failure !== undefined) throw this.failure
    const id = this.nextId++
    return await new Promise((resolve, reject) => {
      this.pending.set(id, { call, resolve, reject })
      const request: ComputeRequest = { id, ...call }
      this.thread.postMessage(request, transfer)
    })
  }

  private settle(reply: ComputeReply): void {
    const pending = this.pending.get(reply.id)
    this.pending.delete(reply.id)
    this.tensors = reply.tensors
    if (pending === undefined) return
    const { call } = pending
    const firstPosition = call.kind === 'gradient' ? call.batch.firstPosition : undefined
    this.onDone({ kind: call.kind, firstPosition, startUs: reply.startUs, seconds: reply.seconds, layers: reply.layers ?? [] })
    if (reply.error === undefined) pending.resolve(reply)
    else pending.reject(computeError(reply.error))
  }

  private fail(error: Error): void {
    this.failure ??= error
    for (const pending of this.pending.values()) pending.reject(this.failure)
    this.pending.clear()
  }
}

function statisticsOf(reply: ComputeReply): NodeStatistics {
  if (reply.statistics === undefined) throw new TrainError('INTERNAL', 'the compute thread answered without statistics')
  return reply.statistics
}

/** The buffers behind the arrays, each once; shared ones are not transferred. */
function transferables(...arrays: (Float32Array | Int32Array)[]): ArrayBuffer[] {
  return [...new Set(arrays.map((array) => array.buffer))].filter((buffer) => buffer instanceof ArrayBuffer)
}

/** Turns whatever the compute thread died of into an error for people. */
export function computeError(error: unknown): TrainError {
  const { code, message, stack } = error as { code?: unknown; message?: unknown; stack?: unknown }
  const text = (typeof message === 'string' ? message : String(error)).split('\n')[0] ?? ''
  const cause = { cause: typeof stack === 'string' ? stack : error }
  if (
    /out of memory|OOM|bad_alloc|allocation failed|could not grow|memory access out of bounds/i.test(text) ||
    code === 'ERR_WORKER_OUT_OF_MEMORY'
  ) {
    return new TrainError(
      'MEMORY',
      `the worker ran out of memory (${text}); make batch.micro smaller, or run fewer workers on this machine`,
      cause,
    )
  }
  const known: TrainErrorCode = code === 'ENGINE_UNAVAILABLE' || code === 'MEMORY' || code === 'DATA_CORRUPT' ? code : 'INTERNAL'
  return new TrainError(known, known === 'INTERNAL' ? `computing failed: ${text}` : text, cause)
}
