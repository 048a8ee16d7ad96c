import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { TrainError } from '@lockstep/shared/errors/train-error.js'
import { catalogEmoji, type EmojiDrawing, type EmojiIcon, type EmojiSet } from './emoji-catalog.js'
import { makeDataset, makerDigest, type MadeDataset, type MakerOptions, type Picture } from './picture-set.js'

/** Emoji of five open sets, one class a Unicode category, 64×64 on white. What is in it: emoji-catalog.ts. */

/** npm packages @iconify-json/NAME; the first that knows an emoji says its class. */
const SETS = ['noto', 'twemoji', 'openmoji', 'fluent-emoji-flat', 'emojione'] as const
export const EMOJI_SIZE = 64

interface LoadedSet extends EmojiSet {
  readonly version: string
  readonly title: string
  readonly author: string
  readonly source: string
  readonly license: string
  readonly licenseUrl: string
}

interface InfoFile {
  readonly name: string
  readonly author: { readonly name: string; readonly url: string }
  readonly license: { readonly title: string; readonly url: string }
}

interface IconsFile {
  readonly width?: number
  readonly height?: number
  readonly icons: Record<string, EmojiIcon>
  readonly aliases?: Record<string, { parent: string }>
}

/** @throws TrainError DATA_MISSING */
function loadSet(name: string): LoadedSet {
  let folder: string
  try {
    folder = dirname(createRequire(import.meta.url).resolve(`@iconify-json/${name}/package.json`))
  } catch (error) {
    throw new TrainError(
      'DATA_MISSING',
      `the emoji come from npm packages, and @iconify-json/${name} is not installed; run \`npm run setup\` in the project folder`,
      { cause: error },
    )
  }
  const read = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), 'utf8'))
  const info = read('info.json') as InfoFile
  const icons = read('icons.json') as IconsFile
  return {
    name,
    version: (read('package.json') as { version: string }).version,
    title: info.name,
    author: info.author.name,
    source: info.author.url,
    license: info.license.title,
    licenseUrl: info.license.url,
    width: icons.width ?? 16,
    height: icons.height ?? 16,
    icons: icons.icons,
    aliases: icons.aliases ?? {},
    categories: (read('metadata.json') as { categories: Record<string, string[]> }).categories,
    chars: read('chars.json') as Record<string, string>,
  }
}

function licensesOf(sets: readonly LoadedSet[]): string {
  const rows = sets.map(
    (set) =>
      `| ${set.title} | [${set.author}](${set.source}) | [${set.license}](${set.licenseUrl}) | @iconify-json/${set.name} ${set.version} |`,
  )
  return `# Where these pictures come from

Drawings of emoji from open icon sets, as packaged by Iconify. Changed here: drawn at 64×64 pixels on white, skin-tone
variants and flags left out. Each picture's name begins with its set's; a network trained on them is trained on works
under these licences, of which CC BY-SA asks that adaptations be shared alike.

| set | by | licence | package |
|---|---|---|---|
${rows.join('\n')}
`
}

/** The text of LICENSES.md. @throws TrainError DATA_MISSING */
export function emojiLicenses(): string {
  return licensesOf(SETS.map(loadSet))
}

/** Every drawing of the data set, not yet rendered. @throws TrainError DATA_MISSING */
export function loadEmojiDrawings(): EmojiDrawing[] {
  return catalogEmoji(SETS.map(loadSet))
}

/**
 * Makes the data set `outDir`: pictures/train and pictures/validation (a folder a category), packed into train/ and
 * validation/, the licences in LICENSES.md. Made already: returns at once.
 * @throws TrainError DATA_MISSING, DISK, INTERRUPTED
 */
export async function makeEmoji(outDir: string, options: MakerOptions = {}): Promise<MadeDataset> {
  const sets = SETS.map(loadSet)
  const draw = (): { pictures: Picture[]; licenses: string } => {
    const pictures = catalogEmoji(sets).map(({ set, icon, className, part, svg }): Picture => {
      const png = (): Promise<Buffer> =>
        sharp(Buffer.from(svg))
          .resize(EMOJI_SIZE, EMOJI_SIZE, { fit: 'contain', background: 'white' })
          .flatten({ background: 'white' })
          .png()
          .toBuffer()
      return { part, className, name: `${set}-${icon}.png`, png }
    })
    return { pictures, licenses: licensesOf(sets) }
  }
  return await makeDataset(outDir, makerDigest(['emoji', '1', ...sets.map(({ name, version }) => `${name}@${version}`)]), draw, options)
}
