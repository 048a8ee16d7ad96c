import { loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import { bulkMethod } from '../bulk/message-codec.js'
import type { ProtoGrpcType as AveragerTypes } from './generated/averager.js'
import type { ProtoGrpcType as CoordinatorTypes } from './generated/coordinator.js'
import type { AveragerDefinition } from './generated/lockstep/v1/Averager.js'

/** Where the .proto files are: protos/ at the top of the project. */
const PROTOS = fileURLToPath(new URL('../../../../protos/', import.meta.url))

const definition = loadSync(['lockstep/v1/coordinator.proto', 'lockstep/v1/averager.proto'], {
  includeDirs: [PROTOS],
  longs: Number, // steps, terms and byte counts stay far below 2^53
  enums: String,
  defaults: true,
  oneofs: true,
})

const averager = definition['lockstep.v1.Averager'] as unknown as AveragerDefinition

/** The averager's methods, for servers and clients of bulk/: gradients in, weights out. */
export const contributeMethod = bulkMethod(averager.Contribute)
export const weightsMethod = bulkMethod(averager.Weights)

/** The gRPC services of protos/lockstep/v1, for servers and clients alike. */
export const services = (loadPackageDefinition(definition) as unknown as AveragerTypes & CoordinatorTypes).lockstep.v1
