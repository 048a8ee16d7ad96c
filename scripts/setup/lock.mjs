import { spawn } from 'node:child_process'
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Takes an flock on the file descriptor it inherits. The lock belongs to the open file, which is ours: it stays when this helper ends, goes
 * when the last process that has the file open ends, however it ends, and so can never be stale.
 */
const TAKE = `
import fcntl, sys
try:
    fcntl.flock(3, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print('waiting', flush=True)
    fcntl.flock(3, fcntl.LOCK_EX)
`

/**
 * Does `work` while no other set-up or build of this folder is at work. Waits for one that is, and says so.
 *
 * @template T
 * @param {string} root
 * @param {(line: string) => void} say
 * @param {(lockFd: number | undefined) => Promise<T>} work children that get `lockFd` keep the lock when this process is killed
 * @returns {Promise<T>}
 */
export async function withLock(root, say, work) {
  mkdirSync(join(root, '.runtime'), { recursive: true })
  const file = join(root, '.runtime/setup.lock')
  const lockFd = openSync(file, 'a+')
  try {
    const locked = await take(lockFd, () =>
      say(`  waiting     another set-up is at work here (process ${readFileSync(file, 'utf8').trim()})`),
    )
    if (locked) {
      ftruncateSync(lockFd)
      writeSync(lockFd, `${String(process.pid)}\n`)
    }
    return await work(locked ? lockFd : undefined)
  } finally {
    closeSync(lockFd)
  }
}

/** False where there is no python3 to take it with: then nothing of what needs the lock most (downloads, npm) can run either. */
function take(lockFd, onWait) {
  return new Promise((resolve) => {
    const child = spawn('python3', ['-c', TAKE], { stdio: ['ignore', 'pipe', 'ignore', lockFd] })
    child.stdout.once('data', onWait)
    child.on('error', () => resolve(false))
    child.on('close', (code) => resolve(code === 0))
  })
}
