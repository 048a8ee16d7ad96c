import { z } from 'zod'

/** The part of a recipe that says where and how it is computed: workers, averager, exchange, checkpoints, queue, trace. */

const positive = z.int().positive()

const workersSchema = z
  .strictObject({
    count: z.int().min(0).max(1024).default(2).describe('Local workers the coordinator starts; 0: wait for others.'),
    minimum: positive.default(1).describe('Training waits for this many.'),
    maximum: positive.default(64).describe('More are refused.'),
    computeThreads: positive.default(1).describe('TensorFlow threads a worker; part of the engine fingerprint.'),
  })
  .describe('The processes that compute.')

const checkpointSchema = z
  .strictObject({
    everySteps: positive.default(500).describe('Steps between checkpoints.'),
    keep: positive.default(3).describe('Newest checkpoints kept; the best is kept besides.'),
    graceSeconds: z
      .number()
      .min(0)
      .default(25)
      .describe('After SIGTERM the run saves and leaves within so many seconds; what is not saved by then is not waited for.'),
    digestEverySteps: z.int().min(0).default(0).describe('Write stateDigest into metrics.jsonl every so many steps; 0: only at the end.'),
  })
  .describe('Checkpoints.')

const traceSchema = z
  .strictObject({
    detail: z
      .enum(['off', 'steps', 'layers'])
      .default('steps')
      .describe('steps: what every worker and slice did when. layers: the same, and every layer within a gradient. off: no trace.json.'),
    steps: z
      .union([z.int().positive().max(100_000), z.tuple([z.int().min(0), z.int().min(0)])])
      .default(50)
      .describe('The newest so many steps, or [first, last]; in any case no more than fit into 20,000 spans.'),
  })
  .describe('trace.json, for Perfetto: docs/operations.md.')

export const runSchema = z
  .strictObject({
    workers: workersSchema.prefault({}),
    averager: z
      .strictObject({
        slices: z.int().positive().max(64).default(1).describe('Threads of the averager, each with a share of the weights.'),
      })
      .prefault({}),
    exchange: z
      .strictObject({
        precision: z
          .enum(['float32', 'bfloat16'])
          .default('float32')
          .describe('What travels. float32 keeps every bit; bfloat16 halves the bytes and needs exact: false. docs/numerics.md.'),
        sharedMemory: z
          .enum(['auto', 'off'])
          .default('auto')
          .describe('auto: in memory that worker and coordinator on one machine both have.'),
        overlap: z
          .boolean()
          .default(true)
          .describe(
            'Receive the next weights while they are made, and begin with them before the job is there. false: one after the other; slower, the same bits.',
          ),
      })
      .prefault({})
      .describe('How gradients and weights travel.'),
    checkpoint: checkpointSchema.prefault({}),
    queue: z
      .string()
      .regex(/^(embedded|rediss?:\/\/.+)$/, 'use embedded, redis://HOST:PORT or rediss://HOST:PORT')
      .default('embedded')
      .describe('embedded, or redis://… or rediss://…; a password comes from LOCKSTEP_QUEUE_PASSWORD.'),
    listen: z
      .strictObject({
        host: z.string().min(1).default('127.0.0.1').describe('Address the coordinator listens on.'),
        port: z.int().min(0).max(65_535).default(0).describe('Its port; 0: any free one.'),
      })
      .prefault({}),
    trace: traceSchema.prefault({}),
  })
  .describe(
    'Where and how it is computed. Nothing here but exchange.precision changes a bit of the result, and all the rest may change at a resume.',
  )
