import { describeNetwork, type NetworkDescription } from '@lockstep/shared/models/description.js'
import type { Network } from '@lockstep/shared/models/network.js'
import { table } from '../terminal/table.js'
import { bytes, count, significant } from '../terminal/units.js'

/** The table a Keras user knows, with totals and what they mean in memory. */
export function networkLines(network: Network): string[] {
  const description = describeNetwork(network)
  const columns = [
    { title: 'Layer (type)', align: 'left' },
    { title: 'Output shape', align: 'left' },
    { title: 'Parameters', align: 'right' },
    { title: 'MACs', align: 'right' },
    { title: 'Activations', align: 'right' },
  ] as const
  const rows = description.rows.map((row) => [
    `${row.name} (${row.type})`,
    `(${row.outputShape.join(', ')})`,
    count(row.parameters),
    row.macs === 0 ? '' : giga(row.macs),
    row.activationBytes === 0 ? '' : bytes(row.activationBytes),
  ])
  return [
    `${network.name}, ${network.inputShape.join('×')} input, ${count(network.classes)} classes`,
    '',
    ...table(columns, rows),
    '',
    ...totals(network, description),
  ]
}

function totals(network: Network, { parameters, macs, activationBytes, trainingBytes }: NetworkDescription): string[] {
  return [
    `Total parameters: ${count(parameters)} (${bytes(parameters * 4)} as float32), all trained`,
    `Multiply-accumulates an image forward: ${count(macs)} (${giga(macs)})`,
    `Activations an image forward: ${count(activationBytes / 4)} values, ${bytes(activationBytes)}; in training, with their gradients, ${bytes(trainingBytes)}`,
    ...remark(network),
  ]
}

/** D at its published size is the network of the figure that everybody copies. */
function remark(network: Network): string[] {
  const [height, , channels] = network.inputShape
  const first = network.layers[0]
  const isPublished = network.name === 'vgg-d' && height === 224 && channels === 3 && first?.type === 'convolution' && first.filters === 64
  return isPublished
    ? ['(The 24 M values and 93 MB an image that one reads for this network are an addition error that has been copied for years.)']
    : []
}

function giga(macs: number): string {
  return macs >= 1e9 ? `${(macs / 1e9).toFixed(3)} G` : `${significant(macs / 1e6)} M`
}
