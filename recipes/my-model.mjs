/**
 * A network of one's own, as a user of Keras or tfjs writes it. It is run once, when a training begins; docs/own-networks.md says what
 * may stand here. The parameters are those of the recipe: pixels of a side, channels of a picture, classes of the data.
 */
export default function myModel({ tf, inputSize, channels, classes }) {
  const { layers } = tf
  const picture = tf.input({ shape: [inputSize, inputSize, channels] })
  const convolve = (input, filters) => {
    const maps = layers.conv2d({ filters, kernelSize: 3, padding: 'same', useBias: false }).apply(input)
    return layers.reLU().apply(layers.batchNormalization({ momentum: 0.9 }).apply(maps))
  }
  const stem = layers.maxPooling2d({ poolSize: 2 }).apply(convolve(picture, 16))
  // Two paths: what comes in, and what two convolutions make of it.
  const path = convolve(convolve(stem, 16), 16)
  const block = layers.maxPooling2d({ poolSize: 2 }).apply(layers.concatenate().apply([stem, path]))
  const average = layers.globalAveragePooling2d({}).apply(convolve(block, 64))
  const dropped = layers.dropout({ rate: 0.2 }).apply(average)
  return tf.model({ inputs: picture, outputs: layers.dense({ units: classes, activation: 'softmax' }).apply(dropped) })
}
