import { loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { fileURLToPath } from 'node:url'
import type { ProtoGrpcType as AveragerTypes } from './generated/averager.js'
import type { ProtoGrpcType as CoordinatorTypes } from './generated/coordinator.js'

/** Where the .proto files are: protos/ at the top of the project. */
const PROTOS = fileURLToPath(new URL('../../../../protos/', import.meta.url))

const definition = loadSync(['lockstep/v1/coordinator.proto', 'lockstep/v1/averager.proto'], {
  includeDirs: [PROTOS],
  longs: Number, // steps, terms and byte counts stay far below 2^53
  enums: String,
  defaults: true,
  oneofs: true,
})

/** The gRPC services of protos/lockstep/v1, for servers and clients alike. */
export const services = (loadPackageDefinition(definition) as unknown as AveragerTypes & CoordinatorTypes).lockstep.v1
