import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawPictures, runLockstep, startLockstep } from './lockstep-process.js'

/** A minute at most, on a machine that is busy with other things. */
const LONG_MS = 240_000

describe('a folder of one’s own pictures', () => {
  let folder = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-own-'))
    await drawPictures(join(folder, 'photos'), 12)
    await drawPictures(join(folder, 'new'), 1)
  })

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('takes three commands: init, train, predict', { timeout: LONG_MS }, async () => {
    const made = await runLockstep(['init', 'photos'], folder)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(made.stdout).toMatch(/36 pictures of 3 classes/)
    expect((await readFile(join(folder, 'recipe.yaml'), 'utf8')).split('\n')[0]).toMatch(
      /^# yaml-language-server: \$schema=.*recipe\.schema\.json$/,
    )

    const trained = await runLockstep(['train', 'recipe.yaml', '--set', 'epochs=15'], folder)
    expect(trained).toMatchObject({ code: 0, stderr: '' })
    expect(trained.stdout).toMatch(/runs\/recipe is trained/)
    expect(trained.stdout).toMatch(/lockstep predict runs\/recipe\/checkpoints\/best\.safetensors/)
    // eslint-disable-next-line no-control-regex -- a clean terminal: no colours and no cursor movements off one
    expect(trained.stdout).not.toMatch(/\x1b/)
    expect(trained.stdout).not.toMatch(/oneDNN|TensorFlow/)

    const predicted = await runLockstep(
      ['predict', 'runs/latest', 'new/red/000.png', 'new/green/000.png', 'new/blue/000.png', '--json'],
      folder,
    )
    expect(predicted).toMatchObject({ code: 0, stderr: '' })
    const { predictions } = JSON.parse(predicted.stdout) as { predictions: { classes: { name: string }[] }[] }
    expect(predictions.map(({ classes }) => classes[0]?.name)).toEqual(['red', 'green', 'blue'])
  })

  it('is stopped by Ctrl-C with a checkpoint and goes on with resume', { timeout: LONG_MS }, async () => {
    const small = [
      '--set',
      'model.width=0.0625',
      '--set',
      'steps=60',
      '--set',
      'learningRate.schedule={type: constant}',
      '--run',
      'stopped',
      '--json',
    ]
    const running = startLockstep(['train', 'recipe.yaml', ...small], folder)
    await running.said(/"type":"step","step":[5-9]/)
    running.kill('SIGINT')
    const stopped = await running.ended
    expect(stopped.code).toBe(130)
    expect(stopped.stderr.trimEnd().split('\n')).toEqual(['stopping after a checkpoint; once more to stop now'])
    const last = stopped.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; finished?: boolean })
    expect(last.at(-1)).toMatchObject({ type: 'summary', finished: false })
    expect((await readdir(join(folder, 'stopped', 'checkpoints'))).length).toBeGreaterThan(0)

    const resumed = await runLockstep(['resume', 'stopped', '--workers', '1', '--json'], folder)
    expect(resumed).toMatchObject({ code: 0, stderr: '' })
    const summary = JSON.parse(resumed.stdout.trimEnd().split('\n').at(-1) ?? '') as { summary: { steps: number } }
    expect(summary).toMatchObject({ type: 'summary', finished: true, summary: { steps: 60 } })

    const inspected = await runLockstep(['inspect', 'stopped', '--json'], folder)
    expect(JSON.parse(inspected.stdout)).toMatchObject({ state: 'ended', lastStep: 60, pid: null })
  })

  it('is stopped by SIGTERM with code 143', { timeout: LONG_MS }, async () => {
    const running = startLockstep(['train', 'recipe.yaml', '--set', 'model.width=0.0625', '--run', 'terminated', '--json'], folder)
    await running.said(/"type":"step"/)
    running.kill('SIGTERM')
    expect(await running.ended).toMatchObject({ code: 143 })
  })
})
