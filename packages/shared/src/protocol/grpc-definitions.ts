import { loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import { bulkEncoder } from './bulk-message.js'
import type { ProtoGrpcType as AveragerTypes } from './generated/averager.js'
import type { ProtoGrpcType as CoordinatorTypes } from './generated/coordinator.js'
import type { Contribution } from './generated/lockstep/v1/Contribution.js'
import type { WeightsChunk } from './generated/lockstep/v1/WeightsChunk.js'

/** Where the .proto files are: protos/ at the top of the project. */
const PROTOS = fileURLToPath(new URL('../../../../protos/', import.meta.url))

const definition = loadSync(['lockstep/v1/coordinator.proto', 'lockstep/v1/averager.proto'], {
  includeDirs: [PROTOS],
  longs: Number, // steps, terms and byte counts stay far below 2^53
  enums: String,
  defaults: true,
  oneofs: true,
})

const averager = definition['lockstep.v1.Averager'] as ServiceDefinition

/** For contributions, and for chunks of weights, that carry their bodies. */
export const contributions = bulkEncoder<Contribution>(averager.Contribute, 'request')
export const weightsChunks = bulkEncoder<WeightsChunk>(averager.Weights, 'response')

/** The gRPC services of protos/lockstep/v1, for servers and clients alike. */
export const services = (loadPackageDefinition(definition) as unknown as AveragerTypes & CoordinatorTypes).lockstep.v1
