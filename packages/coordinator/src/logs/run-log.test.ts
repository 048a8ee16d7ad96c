import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openRunLog } from './run-log.js'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lockstep-log-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true })
})

const entries = async (file: string): Promise<Record<string, unknown>[]> =>
  (await readFile(file, 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)

describe('openRunLog', () => {
  it('appends JSON lines, whole at closing, over several terms', async () => {
    const file = join(directory, 'logs', 'coordinator.log')
    for (const term of [1, 2]) {
      const log = await openRunLog(file)
      for (let step = 0; step < 100; step++) log.logger.info({ term, step }, 'step')
      await Promise.all([log.close(), log.close()])
      log.logger.info('too late')
    }
    const lines = await entries(file)
    expect(lines).toHaveLength(200)
    expect(lines[150]).toMatchObject({ term: 2, step: 50, msg: 'step', level: 30 })
  })

  it('writes no password, wherever it stands', async () => {
    const file = join(directory, 'coordinator.log')
    const log = await openRunLog(file)
    log.redaction.add('announced-secret')
    log.logger
      .child({ queue: 'redis://:geheimnis@host' })
      .info({ password: 'geheimnis', options: { connection: { password: 'geheimnis' } } }, 'redis://u:geheimnis@host')
    log.logger.error(new Error('cannot reach redis://:geheimnis@host with announced-secret'))
    await log.close()
    const text = await readFile(file, 'utf8')
    expect(text).not.toMatch(/geheimnis|announced-secret/)
    expect((await entries(file))[0]).toMatchObject({ queue: 'redis://:***@host', password: '***', msg: 'redis://u:***@host' })
  })

  it('says in one line where it cannot write', async () => {
    await writeFile(join(directory, 'file'), '')
    await expect(openRunLog(join(directory, 'file', 'coordinator.log'))).rejects.toMatchObject({
      code: 'DISK',
      message: expect.stringMatching(/^cannot write the log .*file.*--run$/) as string,
    })
    await expect(openRunLog(directory)).rejects.toMatchObject({ code: 'DISK' })
  })

  it('closes even when the disk is full', async () => {
    const log = await openRunLog('/dev/full')
    log.logger.info('lost')
    await log.close()
  })
})
