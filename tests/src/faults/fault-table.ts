import { CONNECTION_FAULTS } from './connection-faults.js'
import { CONTRIBUTION_FAULTS } from './contribution-faults.js'
import { COORDINATOR_FAULTS } from './coordinator-faults.js'
import { DISK_FAULTS } from './disk-faults.js'
import type { Fault } from './fault.js'
import { QUEUE_FAULTS } from './queue-faults.js'
import { WORKER_FAULTS } from './worker-faults.js'

/** Every fault there is a test for, in the order of the failure contract. */
export const FAULTS: readonly Fault[] = [
  ...WORKER_FAULTS,
  ...CONNECTION_FAULTS,
  ...COORDINATOR_FAULTS,
  ...QUEUE_FAULTS,
  ...CONTRIBUTION_FAULTS,
  ...DISK_FAULTS,
]
