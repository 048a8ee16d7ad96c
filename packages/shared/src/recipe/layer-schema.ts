import { z } from 'zod'
import { ACTIVATIONS, type LayerSpec } from '../models/graph.js'

/** The layers of a network of the user's own, as a recipe states them. What fits what, the graph's own check knows. */

const positive = z.int().positive()
const relu = z.enum(['relu', 'linear'])

const common = {
  name: z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, 'use letters, digits, "_", "." and "-"')
    .describe('One of its kind in the network; parameters are called after it.'),
  inputs: z.array(z.string().min(1)).min(1).optional().describe('The layers it takes; input is the picture. Default: the layer before.'),
}
const pair = { ...common, inputs: z.tuple([z.string(), z.string()]) }

const kinds = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('convolution'),
    ...common,
    filters: positive,
    kernel: positive,
    stride: positive.default(1),
    padding: z.union([z.enum(['same', 'valid']), z.int().min(0)]),
    activation: relu,
    groups: positive.optional(),
    useBias: z.literal(false).optional(),
    initialBias: z.number().optional(),
  }),
  z.strictObject({
    type: z.literal('maxPooling'),
    ...common,
    size: positive,
    stride: positive,
    padding: z.union([z.literal('same'), z.int().min(0)]).optional(),
  }),
  z.strictObject({ type: z.literal('averagePooling'), ...common, size: positive, stride: positive, padding: z.enum(['same', 'valid']) }),
  z.strictObject({
    type: z.literal('localResponseNormalization'),
    ...common,
    depthRadius: positive,
    bias: z.number(),
    alpha: z.number(),
    beta: z.number(),
  }),
  z.strictObject({
    type: z.literal('batchNormalization'),
    ...common,
    momentum: z.number().min(0).max(1),
    epsilon: z.number().positive(),
    activation: relu,
  }),
  z.strictObject({
    type: z.literal('activation'),
    ...common,
    function: z.enum(ACTIVATIONS),
    slope: z.number().optional().describe('Of leakyRelu below 0.'),
  }),
  z.strictObject({ type: z.literal('add'), ...pair, activation: relu }),
  z.strictObject({ type: z.literal('scale'), ...pair }),
  z.strictObject({ type: z.literal('concatenate'), ...common, inputs: z.array(z.string().min(1)).min(2) }),
  z.strictObject({
    type: z.literal('dense'),
    ...common,
    units: positive,
    activation: z.enum(['relu', 'linear', 'sigmoid']),
    useBias: z.literal(false).optional(),
    initialBias: z.number().optional(),
  }),
  z.strictObject({ type: z.literal('dropout'), ...common, rate: z.number().gt(0).lt(1) }),
  z.strictObject({ type: z.literal('flatten'), ...common }),
  z.strictObject({ type: z.literal('globalAveragePooling'), ...common }),
])

/** A key that is left out is not there in what comes back, so it is a layer as networks have them. */
export const layerSchema = kinds as unknown as z.ZodType<LayerSpec, LayerSpec>
