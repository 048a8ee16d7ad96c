import { openCheckpoint, openTensorFile, type TensorFile } from '@lockstep/shared/checkpoint/checkpoint.js'
import { METADATA_KEY, VELOCITY_PREFIX } from '@lockstep/shared/checkpoint/checkpoint-writer.js'
import type { CheckpointMetadata } from '@lockstep/shared/checkpoint/metadata.js'
import { writeLine } from '../terminal/output.js'
import { fields, table } from '../terminal/table.js'
import { bytes, count, percent, significant } from '../terminal/units.js'

/** Shows a checkpoint and checks its digests; of another safetensors file, its tensors. @throws TrainError CHECKPOINT_INVALID */
export async function inspectCheckpoint(path: string, { json }: { json: boolean }): Promise<void> {
  const foreign = await openTensorFile(path)
  if (!(METADATA_KEY in foreign.strings)) {
    try {
      showForeign(foreign, json)
    } finally {
      await foreign.close()
    }
    return
  }
  await foreign.close()
  const checkpoint = await openCheckpoint(path)
  try {
    await checkpoint.verify()
    const { metadata } = checkpoint
    if (json) writeLine(JSON.stringify({ type: 'checkpoint', path, verified: true, metadata, tensors: shapesOf(checkpoint) }))
    else for (const line of checkpointLines(path, metadata, checkpoint)) writeLine(line)
  } finally {
    await checkpoint.close()
  }
}

function checkpointLines(path: string, metadata: CheckpointMetadata, file: TensorFile): string[] {
  const { network, metrics, preprocessing } = metadata
  const classes = Array.isArray(preprocessing.classes) ? preprocessing.classes.map(String) : []
  const entries: [string, string][] = [
    ['step', count(metadata.step)],
    ['run', metadata.run],
    ['network', `${network.name}, ${network.inputShape.join('×')} input, ${count(network.classes)} classes`],
    ['classes', classes.length > 12 ? `${classes.slice(0, 12).join(', ')}, …` : classes.join(', ')],
    [
      'validation',
      metrics === undefined
        ? 'not evaluated at this step'
        : `loss ${significant(metrics.loss)}, top-1 ${percent(metrics.top1)}, top-5 ${percent(metrics.top5)}`,
    ],
    ['seed', String(metadata.seed)],
    ['engine', metadata.fingerprint === '' ? 'none: made without computing' : metadata.fingerprint],
    ...originEntries(metadata),
    ['data digest', metadata.dataDigest === '' ? 'none: not trained here' : metadata.dataDigest],
    ['recipe digest', metadata.recipeDigest],
    ['weights digest', `${metadata.weightsDigest} (verified)`],
    ['state digest', `${metadata.stateDigest} (verified)`],
  ]
  return [path, ...fields(entries).map((line) => `  ${line}`), '', ...tensorLines(file)]
}

function originEntries({ origin }: CheckpointMetadata): [string, string][] {
  if (origin === undefined) return []
  const exchanged = origin.channels === 'bgr' ? ', its first kernel turned from blue, green, red' : ''
  return [['imported from', `${origin.file} (${origin.format}${exchanged})`]]
}

function showForeign(file: TensorFile, json: boolean): void {
  if (json) writeLine(JSON.stringify({ type: 'tensors', path: file.path, tensors: shapesOf(file) }))
  else
    for (const line of [
      `${file.path}: not written by Lockstep; it can serve as initialization.from, or be read by \`lockstep import\``,
      '',
      ...tensorLines(file),
    ])
      writeLine(line)
}

function tensorLines(file: TensorFile): string[] {
  const columns = [
    { title: 'Tensor', align: 'left' },
    { title: 'Shape', align: 'left' },
    { title: 'Values', align: 'right' },
    { title: 'Size', align: 'right' },
  ] as const
  const shown = [...file.tensors].filter(([name]) => !name.startsWith(VELOCITY_PREFIX))
  const velocities = file.tensors.size - shown.length
  const rows = shown.map(([name, { shape, bytes: size }]) => [
    name,
    `(${shape.join(', ')})`,
    count(shape.reduce((product, side) => product * side, 1)),
    bytes(size),
  ])
  return [...table(columns, rows), ...(velocities === 0 ? [] : ['', `and as many velocities (${VELOCITY_PREFIX}…)`])]
}

function shapesOf(file: TensorFile): Record<string, readonly number[]> {
  return Object.fromEntries([...file.tensors].map(([name, { shape }]) => [name, shape]))
}
