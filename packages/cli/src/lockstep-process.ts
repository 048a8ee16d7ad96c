import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'

/** For tests: the real command as a process, as a person starts it, and pictures to give it. */

const LAUNCHER = fileURLToPath(new URL('../bin/lockstep.mjs', import.meta.url))

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export interface StartedLockstep {
  pid: number
  kill: (signal: NodeJS.Signals) => void
  /** resolves when standard output has said it; rejects when the process ended without */
  said: (words: RegExp) => Promise<string>
  ended: Promise<Ended>
  /** closes our end of its standard output, as `head` does */
  stopReading: () => void
}

/** Starts `lockstep ARGS` in a folder, in a process group of its own; caches and logs of it stay in that folder. */
export function startLockstep(args: readonly string[], cwd: string, environment: NodeJS.ProcessEnv = {}): StartedLockstep {
  const env = { ...process.env, XDG_CACHE_HOME: join(cwd, '.cache'), XDG_STATE_HOME: join(cwd, '.state'), ...environment }
  const child = spawn(process.execPath, [LAUNCHER, ...args], { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (part: Buffer) => (stdout += part.toString()))
  child.stderr.on('data', (part: Buffer) => (stderr += part.toString()))
  const ended = once(child, 'close').then(([code]: unknown[]) => ({ code: code as number | null, stdout, stderr }))
  const said = (words: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = words.exec(stdout)
        if (found !== null) resolve(found[0])
      }
      look()
      child.stdout.on('data', look)
      void ended.then(({ code }) =>
        reject(new Error(`lockstep ${args.join(' ')} ended (${String(code)}) without ${String(words)}: ${stdout}${stderr}`)),
      )
    })
  const pid = child.pid ?? 0
  return { pid, kill: (signal) => process.kill(-pid, signal), said, ended, stopReading: () => void child.stdout.destroy() }
}

export async function runLockstep(args: readonly string[], cwd: string, environment: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return await startLockstep(args, cwd, environment).ended
}

/** Draws class folders `red`, `green` and `blue` below a folder: coloured pictures with a grain, of about 40 pixels. */
export async function drawPictures(folder: string, perClass: number): Promise<void> {
  const colors = { red: [200, 50, 50], green: [50, 200, 50], blue: [50, 50, 200] } as const
  for (const [name, color] of Object.entries(colors)) {
    await mkdir(join(folder, name), { recursive: true })
    for (let index = 0; index < perClass; index++) {
      const [width, height] = [40 + (index % 5), 38 + (index % 3)]
      const pixels = new Uint8Array(width * height * 3)
      for (let at = 0; at < pixels.length; at++) pixels[at] = (color[at % 3] ?? 0) + ((at * 7919 + index * 104_729) % 90) - 45
      await sharp(pixels, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(join(folder, name, `${String(index).padStart(3, '0')}.png`))
    }
  }
}
