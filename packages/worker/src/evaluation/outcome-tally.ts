/** What became of every sample, counted exactly: by class, and by true class and first choice. */
export class OutcomeTally {
  readonly perClass: { samples: number; top1: number; top5: number }[]
  /** [true class][first choice] */
  readonly confusion: number[][]

  /** Σ √loss: of a regression the sum of absolute errors. */
  rootLossSum = 0

  constructor(readonly classes: number) {
    this.perClass = Array.from({ length: classes }, () => ({ samples: 0, top1: 0, top5: 0 }))
    this.confusion = Array.from({ length: classes }, () => new Array<number>(classes).fill(0))
  }

  /** @param rank classes ahead of the true one @param predicted -1: none, since no output is a number */
  count(label: number, rank: number, predicted: number, loss: number): void {
    this.rootLossSum += Math.sqrt(loss)
    const [own, row] = [this.perClass[label], this.confusion[label]]
    if (own === undefined || row === undefined) return
    own.samples++
    if (rank < 1) own.top1++
    if (rank < Math.min(5, this.classes)) own.top5++
    if (predicted >= 0) row[predicted] = (row[predicted] ?? 0) + 1
  }
}
