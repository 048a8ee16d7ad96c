/** What long work on data tells: what is going on, and how far it is. */
export interface DataProgress {
  readonly what: string
  readonly done: number
  readonly total: number
}

export type OnDataProgress = (progress: DataProgress) => void
