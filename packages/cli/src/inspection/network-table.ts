import { describeNetwork, type NetworkDescription } from '@lockstep/shared/models/description.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { table } from '../terminal/table.js'
import { bytes, count, significant } from '../terminal/units.js'

/** The table a Keras user knows, with totals and what they mean in memory. */
export function networkLines(network: Network): string[] {
  const description = describeNetwork(network)
  const branches = network.layers.some(({ inputs }) => inputs !== undefined)
  const columns = [
    { title: 'Layer (type)', align: 'left' },
    { title: 'Output shape', align: 'left' },
    { title: 'Parameters', align: 'right' },
    { title: 'MACs', align: 'right' },
    { title: 'Activations', align: 'right' },
    ...(branches ? [{ title: 'Connected to', align: 'left' } as const] : []),
  ] as const
  const rows = description.rows.map((row) => [
    `${row.name} (${row.type})`,
    `(${row.outputShape.join(', ')})`,
    count(row.parameters),
    row.macs === 0 ? '' : giga(row.macs),
    row.activationBytes === 0 ? '' : bytes(row.activationBytes),
    ...(branches ? [row.inputs.join(', ')] : []),
  ])
  return [
    `${network.name}, ${network.inputShape.join('×')} input, ${count(network.classes)} classes`,
    '',
    ...table(columns, rows),
    '',
    ...totals(network, description),
  ]
}

function totals(network: Network, description: NetworkDescription): string[] {
  const { parameters, frozen, statistics, macs, activationBytes, trainingBytes } = description
  const trained = frozen === 0 ? 'all trained' : `${count(parameters - frozen)} of them trained, ${count(frozen)} frozen`
  return [
    `Total parameters: ${count(parameters)} (${bytes(parameters * 4)} as float32), ${trained}`,
    ...(statistics === 0 ? [] : [`Batch statistics besides: ${count(statistics)} values, moved by what micro-batches show, not trained`]),
    `Multiply-accumulates an image forward: ${count(macs)} (${giga(macs)})`,
    `Activations an image forward: ${count(activationBytes / 4)} values, ${bytes(activationBytes)}; in training, with their gradients, ${bytes(trainingBytes)}`,
    ...remark(network, description),
  ]
}

/** D at its published size is the network of the figure that everybody copies. */
function remark(network: Network, { parameters, activationBytes }: NetworkDescription): string[] {
  const isPublished = network.name === 'vgg-d' && parameters === 138_357_544 && activationBytes === 4 * 15_237_608
  return isPublished
    ? ['(The 24 M values and 93 MB an image that one reads for this network are an addition error that has been copied for years.)']
    : []
}

function giga(macs: number): string {
  if (macs >= 1e9) return `${(macs / 1e9).toFixed(3)} G`
  return macs >= 1e5 ? `${significant(macs / 1e6)} M` : count(macs)
}
