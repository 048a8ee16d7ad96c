import { decodePicture, decodingError, type Picture } from './picture.js'
import type { SampleSource } from './sample-folder.js'

/**
 * Decoded pictures of a source. Where all pictures of the source at one scale fit into `cacheBytes` (small pictures), their pixels are
 * kept, so that later epochs neither read nor decode again; nothing is kept else. The pixels are the same either way.
 */
export class PictureReader {
  private readonly kept = new Map<number, Picture>()
  private keptBytes = 0
  private readonly largestKept: number

  /** @param keepScale the one scale whose pixels may be kept; null: the scale changes from epoch to epoch, keep none */
  constructor(
    private readonly source: SampleSource,
    private readonly keepScale: number | null,
    private readonly cacheBytes: number,
  ) {
    this.largestKept = cacheBytes / source.size
  }

  /** Sample `i` with its shorter side at `shortSide` pixels. @throws TrainError DATA_CORRUPT naming the sample */
  async picture(i: number, shortSide: number): Promise<Picture> {
    const kept = shortSide === this.keepScale ? this.kept.get(i) : undefined
    if (kept !== undefined) return kept
    const encoded = await this.source.read(i)
    const picture = await decodePicture(encoded, shortSide).catch((error: unknown) => {
      throw decodingError(error, this.source.place(i), 'replace or remove the picture, and pack again')
    })
    if (shortSide === this.keepScale && !this.kept.has(i)) this.keep(i, picture)
    return picture
  }

  private keep(i: number, picture: Picture): void {
    const bytes = picture.pixels.length
    if (bytes > this.largestKept || this.keptBytes + bytes > this.cacheBytes) return
    this.kept.set(i, picture)
    this.keptBytes += bytes
  }
}
