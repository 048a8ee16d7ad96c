type Triple = [number, number, number]
type Matrix = [Triple, Triple, Triple]

const SWEEPS = 32

/**
 * Eigenvalues and eigenvectors of a symmetric 3×3 matrix by cyclic Jacobi rotations (Golub & Van Loan, Matrix Computations, 8.5).
 * Only + − × / and square roots, in a fixed order: the same bits everywhere.
 * @returns values largest first, never negative (a covariance's are not; rounding is cut off); vectors[k] of unit length, its
 *   component of largest magnitude positive
 */
export function symmetricEigen(matrix: Matrix): { values: Triple; vectors: Matrix } {
  const a: Matrix = [[...matrix[0]], [...matrix[1]], [...matrix[2]]]
  const v: Matrix = [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ] // columns become the eigenvectors
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const [p, q] of pairs) {
      if (a[p][q] === 0) continue
      const theta = (a[q][q] - a[p][p]) / (2 * a[p][q])
      const tangent = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
      const cosine = 1 / Math.sqrt(tangent * tangent + 1)
      const sine = tangent * cosine
      for (const row of a) [row[p], row[q]] = [cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]]
      for (let k = 0 as 0 | 1 | 2; k < 3; k++) [a[p][k], a[q][k]] = [cosine * a[p][k] - sine * a[q][k], sine * a[p][k] + cosine * a[q][k]]
      a[p][q] = 0
      a[q][p] = 0
      for (const row of v) [row[p], row[q]] = [cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]]
    }
  }
  const sorted = ([0, 1, 2] as const)
    .map((k): { value: number; vector: Triple } => ({ value: Math.max(0, a[k][k]), vector: signed([v[0][k], v[1][k], v[2][k]]) }))
    .sort((left, right) => right.value - left.value)
  const [x, y, z] = sorted as [(typeof sorted)[0], (typeof sorted)[0], (typeof sorted)[0]]
  return { values: [x.value, y.value, z.value], vectors: [x.vector, y.vector, z.vector] }
}

/** Of a vector and its negative, both eigenvectors, the one whose largest component is positive. */
function signed(vector: Triple): Triple {
  const largest = vector.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0)
  const negate = largest < 0
  return [negate ? -vector[0] : vector[0], negate ? -vector[1] : vector[1], negate ? -vector[2] : vector[2]]
}
