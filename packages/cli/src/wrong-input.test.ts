import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { drawPictures, runLockstep, startLockstep } from './lockstep-process.js'

const RECIPE = `model: {name: vgg-a, width: 0.0625, inputSize: 32, fullyConnected: [16]}
data: {train: pictures, validation: {split: 0.25}}
batch: {global: 8, micro: 4}
steps: 2
`

describe('wrong input', () => {
  let folder = ''

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lockstep-wrong-'))
    await drawPictures(join(folder, 'pictures'), 5)
    await writeFile(join(folder, 'good.yaml'), RECIPE)
    await writeFile(join(folder, 'misspelt.yaml'), RECIPE.replace('inputSize', 'inptSize'))
    await writeFile(join(folder, 'broken.yaml'), 'model: {name: vgg-a\ndata: {train: pictures}\n')
    await writeFile(join(folder, 'indivisible.yaml'), RECIPE.replace('global: 8', 'global: 10'))
    await writeFile(join(folder, 'homeless.yaml'), RECIPE.replace('train: pictures', 'train: nowhere'))
    await writeFile(join(folder, 'idle.yaml'), `${RECIPE}run: {workers: {count: 0}}\n`)
    await writeFile(join(folder, 'text.safetensors'), 'this is no checkpoint at all')
    const made = await runLockstep(['initialize', 'good.yaml', '--out', 'good.safetensors'], folder)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    await drawPictures(join(folder, 'others'), 5)
    await rename(join(folder, 'others', 'red'), join(folder, 'others', 'violet'))
    await writeFile(join(folder, 'other.yaml'), RECIPE.replace('train: pictures', 'train: others'))
    expect(await runLockstep(['initialize', 'other.yaml', '--out', 'other.safetensors'], folder)).toMatchObject({ code: 0, stderr: '' })
    const whole = await readFile(join(folder, 'good.safetensors'))
    await writeFile(join(folder, 'short.safetensors'), whole.subarray(0, whole.length - 1000))
  })

  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it.each<[line: string, code: number, message: RegExp]>([
    ['trian good.yaml', 2, /^error: unknown command 'trian' \(did you mean train\?\)$/],
    ['train', 2, /^error: missing required argument 'recipe'; see `lockstep train --help`$/],
    ['train good.yaml --wrokers 2', 2, /^error: unknown option '--wrokers' \(did you mean --workers\?\)$/],
    ['train good.yaml --workers 0', 2, /^error: --workers 0: .* `lockstep coordinator RECIPE`$/],
    ['train good.yaml --workers two', 2, /^error: --workers two: expected a whole number/],
    ['train good.yaml --set batch', 2, /^error: --set batch: expected path=value/],
    ['train good.yaml --listen nowhere:99999', 2, /^error: --listen nowhere:99999: expected HOST:PORT/],
    ['train good.yaml --listen 0.0.0.0:0', 1, /^error: .*--insecure-network/],
    ['train idle.yaml', 1, /^error: idle\.yaml: run\.workers\.count is 0, .*--workers 2/],
    ['train missing.yaml', 1, /^error: missing\.yaml: there is no such file; `lockstep init FOLDER`/],
    ['train pictures', 1, /^error: pictures is a folder, not a recipe; `lockstep init pictures`/],
    ['train misspelt.yaml', 1, /^error: misspelt\.yaml:1:37: unknown key "inptSize" in model; did you mean "inputSize"\?$/],
    ['train broken.yaml', 1, /^error: broken\.yaml:2:1: not valid YAML: /],
    ['train indivisible.yaml', 1, /^error: indivisible\.yaml:3:\d+: batch: .* micro can be 1, 2, 5 or 10; or take a global batch of 12$/],
    ['train homeless.yaml', 1, /^error: there is no folder .*nowhere: a data set is a folder/],
    ['train good.yaml --set initialization.from=text.safetensors', 1, /^error: .*text\.safetensors/],
    [
      'train good.yaml --set initialization.from=good.safetensors --set model.width=0.125',
      1,
      /^error: initialization\.from: layer block1_conv1: .*3 × 3 × 3 × 4 .*3 × 3 × 3 × 8/,
    ],
    ['resume nowhere', 1, /^error: nowhere is no run/],
    ['resume', 1, /^error: there is no run in .*lockstep train RECIPE/],
    ['worker', 2, /^error: required option '--join/],
    ['worker --join 127.0.0.1:1:2', 2, /^error: --join 127\.0\.0\.1:1:2: expected HOST:PORT/],
    ['worker --join 127.0.0.1 --compute-threads 0', 2, /^error: option '--compute-threads <count>' argument '0' is invalid/],
    ['inspect vgg-q', 2, /^error: vgg-q is neither a model nor a file or folder; did you mean "vgg-a"\?$/],
    ['inspect text.safetensors', 1, /^error: .*text\.safetensors/],
    ['inspect short.safetensors', 1, /^error: .*short\.safetensors/],
    ['predict text.safetensors pictures/red/000.png', 1, /^error: .*text\.safetensors/],
    ['predict good.safetensors nothing.png', 1, /^error: nothing\.png: there is no such picture/],
    ['predict missing.safetensors pictures/red/000.png', 1, /^error: missing\.safetensors: there is no such checkpoint/],
    ['evaluate good.safetensors --data nowhere', 1, /^error: there is no folder .*nowhere/],
    ['evaluate good.safetensors', 2, /^error: required option '--data <dir>'/],
    ['evaluate good.safetensors --data pictures --protocol fuzzy', 2, /^error: option '--protocol <name>' argument 'fuzzy' is invalid/],
    ['evaluate good.safetensors --data pictures --scales 32,x', 2, /^error: option '--scales <pixels>' argument '32,x' is invalid/],
    [
      'evaluate good.safetensors --data pictures --scales 40,31',
      2,
      /^error: a test scale of 31 pixels is smaller than the network's input of 32/,
    ],
    [
      'evaluate good.safetensors other.safetensors --data pictures',
      1,
      /^error: .*good\.safetensors and .*other\.safetensors were trained on other classes \(only the first knows red, only the second knows violet\)/,
    ],
    [
      'predict good.safetensors pictures/red/000.png --scales 16',
      2,
      /^error: a test scale of 16 pixels is smaller than the network's input of 32/,
    ],
    ['init nowhere', 1, /^error: there is no folder .*nowhere/],
    ['init pictures --out good.yaml', 2, /^error: good\.yaml exists already: say --force/],
    ['init pictures --model vgg-z', 2, /^error: option '--model <name>' argument 'vgg-z' is invalid/],
    ['pack nowhere packed', 1, /^error: there is no folder .*nowhere/],
    ['pack pictures pictures', 2, /^error: .*pictures/],
    ['import good.safetensors --out new.safetensors', 2, /^error: .*good\.safetensors is a checkpoint of Lockstep already/],
    ['import text.safetensors --out new.safetensors', 1, /^error: .*text\.safetensors is of no known format/],
    ['import text.safetensors --out good.safetensors', 2, /^error: good\.safetensors exists already: say --force/],
    ['export good.safetensors --format onnx --out new.onnx', 2, /^error: option '--format <name>' argument 'onnx' is invalid/],
    ['export good.safetensors --format tfjs --out pictures --force', 2, /^error: pictures exists and is no model of tfjs/],
    ['export short.safetensors --format keras --out new.keras', 1, /^error: .*short\.safetensors/],
    ['initialize good.yaml --out good.safetensors', 2, /^error: good\.safetensors exists already: say --force/],
  ])('lockstep %s', async (line, code, message) => {
    const before = await readdir(folder)
    const ended = await runLockstep(line.split(' '), folder)
    expect(ended.stderr.trimEnd()).toMatch(message)
    expect(ended.stderr.trimEnd().split('\n'), 'one line').toHaveLength(1)
    expect(`${ended.stdout}${ended.stderr}`).not.toMatch(/^\s+at |node:internal/m)
    expect(ended.code).toBe(code)
    expect(
      (await readdir(folder)).filter((name) => !name.startsWith('.')),
      'nothing half-written',
    ).toEqual(before.filter((name) => !name.startsWith('.')))
  })

  it('a taken port is named with its remedy', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const bound = server.address()
      const port = typeof bound === 'object' && bound !== null ? bound.port : 0
      const ended = await runLockstep(['train', 'good.yaml', '--listen', `127.0.0.1:${String(port)}`], folder)
      expect(ended).toMatchObject({ code: 1 })
      expect(ended.stderr.trimEnd()).toMatch(/^error: cannot listen on 127\.0\.0\.1:\d+: the port is taken; .*$/)
      expect(await readdir(folder)).not.toContain('runs')
    } finally {
      server.close()
    }
  })

  it('a reader that leaves is no error: the work goes on', async () => {
    const running = startLockstep(['pack', 'pictures', 'packed', '--json'], folder)
    running.stopReading()
    expect(await running.ended).toMatchObject({ code: 0, stderr: '' })
    expect(await readdir(join(folder, 'packed'))).toContain('dataset.json')
    await rm(join(folder, 'packed'), { recursive: true })
  })

  it('with --json the error is an object as well', async () => {
    const ended = await runLockstep(['train', 'misspelt.yaml', '--json'], folder)
    expect(ended.code).toBe(1)
    expect(JSON.parse(ended.stdout)).toMatchObject({ type: 'error', code: 'RECIPE_INVALID' })
    expect(ended.stderr).toMatch(/^error: /)
  })
})

describe('what is printed', () => {
  it.each([
    'quickstart',
    'init',
    'train',
    'resume',
    'coordinator',
    'worker',
    'evaluate',
    'predict',
    'pack',
    'initialize',
    'import',
    'export',
    'inspect',
    'experiment depth',
  ])('of %s ends with an example', async (command) => {
    const { code, stdout, stderr } = await runLockstep([...command.split(' '), '--help'], tmpdir())
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(new RegExp(`^Usage: lockstep ${command} `))
    expect(stdout).toMatch(/--json/)
    expect(stdout).toMatch(/\nExample:\n {2}\$ lockstep /)
  })

  it('is help on standard error, with code 2, when nothing is asked for', async () => {
    expect(await runLockstep([], tmpdir())).toMatchObject({ code: 2, stdout: '' })
  })

  it('with --json is one object', async () => {
    const { code, stdout, stderr } = await runLockstep(['inspect', 'vgg-d', '--json'], tmpdir())
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ parameters: 138_357_544, activationBytes: 4 * 15_237_608 })
  })
})
