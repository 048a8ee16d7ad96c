/**
 * The environment of a process that computes: a worker, or an evaluation without a run. The number of computing threads is part of an engine's fingerprint, and
 * TensorFlow reads it before the first line of ours runs, so it is set here.
 * @param computeThreads of the recipe; 1 unless the user wants otherwise
 */
export function computeEnvironment(base: NodeJS.ProcessEnv, computeThreads: number): NodeJS.ProcessEnv {
  return {
    ...base,
    TF_NUM_INTRAOP_THREADS: String(computeThreads),
    TF_NUM_INTEROP_THREADS: '1',
    OMP_NUM_THREADS: String(computeThreads),
    TF_CPP_MIN_LOG_LEVEL: '2',
    // Freed gradients stay with the process: fresh pages cost four times the copy of 553 MB that goes into them.
    MALLOC_MMAP_MAX_: '0',
    MALLOC_TRIM_THRESHOLD_: '-1',
    MALLOC_TOP_PAD_: '268435456',
  }
}
