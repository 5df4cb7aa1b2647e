// The contract's services and messages, loaded from the .proto files.

import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import { PROTOS, protoFolder } from './protos.js';

const definition = loader.loadSync(PROTOS, {
  includeDirs: [protoFolder()],
  longs: Number, // bytes, ms and counts: far below 2^53
  enums: String,
  defaults: true,
  oneofs: true,
});

const { Execution, Blobs, Node } = grpc.loadPackageDefinition(definition).cloister.exec.v1;
export { Execution, Blobs, Node };

/** [{name: "memoryBytes"}, ...]: the fields of Limits, so that a new limit needs nothing here. */
export const LIMIT_FIELDS = definition['cloister.exec.v1.Limits'].type.field.map((field) => field.jsonName || field.name);

/** decode('RetryInfo', bytes): a message of status.proto. */
export function decodeStatus(name, bytes) {
  return definition[`cloister.status.v1.${name}`].deserialize(bytes);
}

/** "VERDICT_EXITED" -> "EXITED"; a value that this package does not know is its number. */
export function word(value, prefix) {
  return typeof value === 'string' ? value.slice(prefix.length) : String(value);
}
