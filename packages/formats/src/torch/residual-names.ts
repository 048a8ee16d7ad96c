/**
 * Names of torchvision's residual networks and ours, which are those of Keras. Pure. Both count blocks within a stage and convolutions
 * within a block; a block's projection is `downsample` there and number 0 here.
 */

const OURS = /^conv([2-5])_block(\d+)_(\d)_(conv|bn)$/
const THEIRS = /^layer([1-4])\.(\d+)\.(?:(conv|bn)([1-3])|downsample\.([01]))$/

/** Layers outside of blocks. */
const ENDS = [
  ['conv1', 'conv1_conv'],
  ['bn1', 'conv1_bn'],
  ['fc', 'predictions'],
] as const

/** `layer2.0.downsample.1` for `conv3_block1_0_bn`; undefined for a layer that torchvision's networks do not have. */
export function torchResidualName(layer: string): string | undefined {
  const end = ENDS.find(([, ours]) => ours === layer)
  if (end !== undefined) return end[0]
  const [, stage, block, position, kind] = OURS.exec(layer) ?? []
  if (stage === undefined || block === undefined || position === undefined || kind === undefined) return undefined
  const prefix = `layer${String(Number(stage) - 1)}.${String(Number(block) - 1)}`
  return position === '0' ? `${prefix}.downsample.${kind === 'conv' ? '0' : '1'}` : `${prefix}.${kind}${position}`
}

/** The way back; undefined for a name that is none of theirs. */
export function ourResidualName(name: string): string | undefined {
  const end = ENDS.find(([theirs]) => theirs === name)
  if (end !== undefined) return end[1]
  const [, stage, block, kind, position, projection] = THEIRS.exec(name) ?? []
  if (stage === undefined || block === undefined) return undefined
  const prefix = `conv${String(Number(stage) + 1)}_block${String(Number(block) + 1)}`
  return projection === undefined ? `${prefix}_${position ?? ''}_${kind ?? ''}` : `${prefix}_0_${projection === '0' ? 'conv' : 'bn'}`
}
