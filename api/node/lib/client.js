// The client: one channel to one node. What each method takes and gives is said in index.d.ts.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import { Store } from './blobs.js';
import { Blobs, Execution, Node } from './contract.js';
import { Refused, fromRpc } from './errors.js';
import { gather } from './events.js';
import { Place, follow } from './follow.js';
import { Interaction } from './interaction.js';
import { nodeInfo, nodeStats } from './node.js';
import { build, checkOptions } from './request.js';
import { raw } from './text.js';

export const DEFAULT_TARGET = 'unix:///run/cloister/execsvc.sock';
const UNARY_TIMEOUT_MS = 10_000;
const RECEIVE_MAX = 64 << 20;

function address(target) {
  const found = target || process.env.CLOISTER_CONNECT || process.env.CLOISTER_SOCKET || DEFAULT_TARGET;
  return found.startsWith('/') ? `unix://${found}` : found;
}

/** Mutual TLS for TCP; a unix socket knows us by our uid. */
function credentials(target, files) {
  if (target.startsWith('unix:')) {
    if (Object.values(files).some(Boolean)) {
      throw new TypeError('ca, cert, key: a unix socket takes none of them');
    }
    return grpc.credentials.createInsecure();
  }
  const pem = (name) => {
    const file = files[name] || process.env[`CLOISTER_${name.toUpperCase()}`];
    if (!file) {
      throw new TypeError(`${target}: TCP takes ca, cert and key: there is none without mutual TLS`);
    }
    return readFileSync(file);
  };
  return grpc.credentials.createSsl(pem('ca'), pem('key'), pem('cert'));
}

function callOptions(timeoutMs) {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
}

/** Of the time until `end`, for the next call; undefined: no end. */
function left(end) {
  return end === undefined ? undefined : Math.max(1, end - Date.now());
}

/** Ends `call` when `signal` says so. Return: what lets go of the signal. */
function tie(call, signal) {
  if (!signal) {
    return () => {};
  }
  const abort = () => call.cancel();
  signal.addEventListener('abort', abort, { once: true });
  return () => signal.removeEventListener('abort', abort);
}

export class Client {
  #execution;
  #store;
  #node;
  #metadata;
  #extensions = null;

  constructor(target, { subject, traceparent, ca, cert, key } = {}) {
    this.target = address(target);
    const channel = new grpc.Channel(this.target, credentials(this.target, { ca, cert, key }),
      { 'grpc.max_receive_message_length': RECEIVE_MAX });
    const make = (Service) => new Service(this.target, grpc.credentials.createInsecure(), { channelOverride: channel });
    this.#execution = make(Execution);
    this.#store = new Store(make(Blobs), (begin, timeoutMs) => this.#unary(begin, timeoutMs));
    this.#node = make(Node);
    this.#metadata = new grpc.Metadata();
    if (subject) {
      this.#metadata.set('cloister-subject', subject);
    }
    if (traceparent) {
      this.#metadata.set('traceparent', traceparent);
    }
  }

  close() {
    this.#execution.getChannel().close();
  }

  run(source, options) {
    return gather(this.stream(source, options));
  }

  async* stream(source, options = {}) {
    const { request, blobs } = await this.#request(source, options);
    const { signal, timeoutMs } = options;
    const end = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
    for (let again = blobs.size > 0; ; again = false) {
      await this.#store.ensure(blobs, left(end));
      signal?.throwIfAborted();
      const begin = () => this.#messages(this.#execution.execute(request, this.#metadata, callOptions(left(end))), signal);
      try {
        yield* follow(begin, (place) => this.#attached(place, end, signal), new Place(), request.detachGraceMs);
        return;
      } catch (error) {
        // One that had to make room since; nothing has run.
        if (!again || !(error instanceof Refused) || error.reason !== 'BLOB_MISSING') {
          throw error;
        }
      }
    }
  }

  async start(source, options = {}) {
    for await (const event of this.stream(source, { detachGrace: '10m', ...options })) {
      return event.runId; // with a grace the first event is Queued in any case
    }
    return undefined;
  }

  async interact(source, options = {}) {
    const { request, blobs } = await this.#request(source, options);
    await this.#store.ensure(blobs, options.timeoutMs);
    return this.#interaction({ start: request }, options);
  }

  attach(runId, options) {
    return gather(this.attachStream(runId, options));
  }

  attachStream(runId, { timeoutMs, signal, ...have } = {}) {
    const end = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
    const attach = (place) => this.#attached(place, end, signal);
    const place = new Place({ ...have, runId });
    return follow(() => attach(place), attach, place, 0);
  }

  async attachInteract(runId, { timeoutMs, signal, ...have } = {}) {
    return this.#interaction({ attach: new Place({ ...have, runId }) }, { timeoutMs, signal });
  }

  missing(sha256, { timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return this.#store.missing(sha256, timeoutMs);
  }

  async put(content, { timeoutMs } = {}) {
    const source = raw(content, 'content');
    const sha256 = createHash('sha256').update(source).digest();
    const { existed } = await this.#store.put({ sha256, source }, timeoutMs);
    return { sha256, existed };
  }

  async runtimes({ timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return (await this.#ask('runtimes', {}, timeoutMs)).runtimes;
  }

  async info({ timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return nodeInfo(await this.#ask('info', {}, timeoutMs));
  }

  async stats({ runs = false, timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return nodeStats(await this.#ask('stats', { runs }, timeoutMs));
  }

  async* watch({ intervalMs = 0, runs = false, timeoutMs, signal } = {}) {
    const call = this.#node.watch({ intervalMs, runs }, this.#metadata, callOptions(timeoutMs));
    for await (const message of this.#messages(call, signal)) {
      yield nodeStats(message);
    }
  }

  /** begin(metadata, options, callback) makes the call. */
  #unary(begin, timeoutMs) {
    return new Promise((resolve, reject) => {
      begin(this.#metadata, callOptions(timeoutMs), (error, reply) => (error ? reject(fromRpc(error)) : resolve(reply)));
    });
  }

  #ask(method, message, timeoutMs) {
    return this.#unary((...rest) => this.#node[method](message, ...rest), timeoutMs);
  }

  /** The messages of a call, which ends when nobody reads them any more. */
  async* #messages(call, signal) {
    const release = tie(call, signal);
    try {
      yield* call;
    } catch (error) {
      signal?.throwIfAborted();
      throw fromRpc(error);
    } finally {
      release();
      call.cancel();
    }
  }

  #attached(place, end, signal) {
    return this.#messages(this.#execution.attach(place, this.#metadata, callOptions(left(end))), signal);
  }

  #interaction(first, { timeoutMs, signal }) {
    signal?.throwIfAborted();
    const call = this.#execution.interact(this.#metadata, callOptions(timeoutMs));
    return new Interaction(call, first, { signal, release: tie(call, signal) });
  }

  async #request(source, options) {
    checkOptions(options);
    if (source === undefined || source === null) {
      return build(options);
    }
    const { runtime = 'python3', argv = null, entry = '', files = {} } = options;
    if (argv !== null || entry !== '') {
      throw new TypeError('source: not together with argv or entry');
    }
    const name = 'main' + await this.#extension(runtime, options.timeoutMs);
    const rest = files instanceof Map ? files : new Map(Object.entries(files));
    if (rest.has(name)) {
      throw new TypeError(`files: ${name} is the name that the source gets`);
    }
    return build({ ...options, files: new Map([[name, source], ...rest]) });
  }

  /** ".py", as the node knows it; asked once. Of a runtime that is not there "": the service says so itself. */
  async #extension(runtime, timeoutMs = UNARY_TIMEOUT_MS) {
    if (!this.#extensions) {
      const known = (await this.runtimes({ timeoutMs })).filter((found) => found.extensions.length > 0);
      this.#extensions = new Map(known.map((found) => [found.name, found.extensions[0]]));
    }
    return this.#extensions.get(runtime) ?? '';
  }
}
