// What is thrown when there was no run. A run that ended badly is no error: look at its Result.

import grpc from '@grpc/grpc-js';
import { decodeStatus } from './contract.js';

/**
 * Any failure of a call.
 *
 * `message` is for people. `code` is gRPC's name of the status ("INVALID_ARGUMENT"), `reason` a constant of the service
 * ("BLOB_MISSING") or "", `meta` what belongs to the reason ("ceiling", "queue_position" ...), all text. `field` names what
 * is wrong, as the .proto calls it. `retryAfterMs` is when to come back; null when the service did not say.
 */
export class CloisterError extends Error {
  constructor(message, { code = 'UNKNOWN', reason = '', field = '', retryAfterMs = null, meta = {}, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.reason = reason;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
    this.meta = meta;
  }

  /** The limit that is above its ceiling ("memory"), or "". */
  get limit() {
    return this.meta.limit ?? '';
  }
}

/** The service is starting, draining or gone: try again. */
export class Unavailable extends CloisterError {}

/** The request is not acceptable as it is. */
export class Refused extends CloisterError {}

/** The queue or a quota is full: the same request may be accepted after `retryAfterMs`. */
export class QueueFull extends CloisterError {}

/** The `timeoutMs` of the call passed; a run that had begun has been ended. */
export class TimedOut extends CloisterError {}

/** Somebody else has attached to the run: the newest connection listens. */
export class Superseded extends CloisterError {}

/** The service failed, not the program. `result` is what is known of the run, or null. */
export class ServiceFailed extends CloisterError {
  result = null;
}

const CLASSES = {
  UNAVAILABLE: Unavailable,
  DEADLINE_EXCEEDED: TimedOut,
  ABORTED: Superseded,
  INTERNAL: ServiceFailed,
  UNKNOWN: ServiceFailed,
  DATA_LOSS: ServiceFailed,
  INVALID_ARGUMENT: Refused,
  NOT_FOUND: Refused,
  UNAUTHENTICATED: Refused,
  PERMISSION_DENIED: Refused,
  FAILED_PRECONDITION: Refused,
  UNIMPLEMENTED: Refused,
};

function detail(kind, value) {
  const found = decodeStatus(kind, value);
  switch (kind) {
    case 'BadRequest':
      return found.fieldViolations.length > 0 ? { field: found.fieldViolations[0].field } : {};
    case 'RetryInfo':
      return { retryAfterMs: found.retryDelay.seconds * 1000 + Math.floor(found.retryDelay.nanos / 1e6) };
    default:
      return { reason: found.reason, meta: Object.fromEntries(found.metadata.map((entry) => [entry.key, entry.value])) };
  }
}

const KINDS = new Set(['BadRequest', 'RetryInfo', 'ErrorInfo']);

/** What grpc-status-details-bin says; unknown and broken details are ignored. */
function details(metadata) {
  const found = {};
  for (const bytes of metadata?.get('grpc-status-details-bin') ?? []) {
    try {
      for (const any of decodeStatus('Status', bytes).details) {
        const kind = any.typeUrl.slice(any.typeUrl.lastIndexOf('.') + 1);
        if (KINDS.has(kind)) {
          Object.assign(found, detail(kind, any.value));
        }
      }
    } catch {
      // not a google.rpc.Status
    }
  }
  return found;
}

/** The error of this package for one of grpc-js. */
export function fromRpc(error) {
  if (error instanceof CloisterError || typeof error?.code !== 'number') {
    return error;
  }
  const code = grpc.status[error.code] ?? 'UNKNOWN';
  const found = details(error.metadata);
  let Kind = CLASSES[code] ?? CloisterError;
  if (code === 'RESOURCE_EXHAUSTED') {
    Kind = found.retryAfterMs == null ? Refused : QueueFull; // a message that is too large will never fit
  }
  return new Kind(error.details || code, { code, ...found, cause: error });
}
