import { join } from 'node:path'
import { Averager } from '@lockstep/averager/averager.js'
import { isLoopback } from '@lockstep/shared/protocol/endpoints.js'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { layoutOf } from '@lockstep/shared/models/layout-of.js'
import type { Preparation } from './preparation.js'
import { EmbeddedValkey } from './queue/embedded-valkey.js'
import { parseQueueAddress, QUEUE_PASSWORD_VARIABLE } from './queue/queue-address.js'
import { tracedSteps } from './trace/run-trace.js'
import { SpanQueues } from './queue/span-queues.js'

/** The servers of a run besides membership: averager and queue. Started together, ended together. */
export class RunServices {
  readonly averager: Averager
  readonly queues: SpanQueues
  /** As workers reach it, password included: never printed. */
  readonly queueUrl: string
  readonly #valkey: EmbeddedValkey | null

  private constructor(averager: Averager, queues: SpanQueues, queueUrl: string, valkey: EmbeddedValkey | null) {
    this.averager = averager
    this.queues = queues
    this.queueUrl = queueUrl
    this.#valkey = valkey
  }

  /** @throws TrainError NETWORK, PORT_TAKEN, QUEUE_UNAVAILABLE, MEMORY */
  static async start(preparation: Preparation, host: string, insecureNetwork: boolean): Promise<RunServices> {
    const { recipe, directory, term, layout, network, frozen, plan } = preparation
    if (!insecureNetwork && !isLoopback(host)) {
      throw new TrainError(
        'NETWORK',
        `refusing to listen on ${host}: there is no encryption yet; say --insecure-network if every machine that can reach it is yours`,
      )
    }
    const averager = await Averager.start({
      run: directory.id,
      term,
      layout,
      frozen: frozen === null ? undefined : { whole: layoutOf(network), values: frozen.values },
      leaves: plan.leaves,
      microBatches: plan.leaves * recipe.batch.leaf,
      optimizer: recipe.optimizer,
      slices: recipe.run.averager.slices,
      host,
      insecureNetwork,
      traced: tracedSteps(recipe),
      precision: recipe.run.exchange.precision,
    })
    let valkey: EmbeddedValkey | null = null
    try {
      if (recipe.run.queue === 'embedded') {
        valkey = await EmbeddedValkey.start({ directory: join(directory.path, 'queue'), logFile: directory.logFile('valkey'), host })
      }
      const url = valkey?.url ?? parseQueueAddress(recipe.run.queue, process.env[QUEUE_PASSWORD_VARIABLE]).url
      // a wildcard host stays one: each worker puts the name there under which it reached the coordinator
      const workersUrl = valkey?.urlFor(host) ?? url
      return new RunServices(averager, await SpanQueues.connect({ url, run: directory.id }), workersUrl, valkey)
    } catch (error) {
      await Promise.allSettled([averager.close(), valkey?.stop()])
      throw error
    }
  }

  /** What no log may show. */
  get secrets(): string[] {
    const { password } = new URL(this.queueUrl)
    return password === '' ? [] : [password]
  }

  /**
   * Watches the queue: an embedded server that ended is started again; whenever the connection came back, `refill` is
   * called, since what the queue held may be gone.
   */
  watchQueue(listeners: { refill: () => void; warn: (message: string) => void; fail: (error: unknown) => void }): void {
    this.queues.onReconnected(listeners.refill)
    const valkey = this.#valkey
    valkey?.onExit(({ signal, code }) => {
      listeners.warn(`the queue server ended (${signal ?? `exit code ${String(code)}`}) and is started again`)
      valkey.restart().catch(listeners.fail)
    })
  }

  /** Ends everything; errors of one part do not keep another running. */
  async close(): Promise<void> {
    await Promise.allSettled([this.queues.closeAll(), this.averager.close()])
    await this.#valkey?.stop()
  }
}
