// The client: one channel to one node. What each method takes and gives is said in index.d.ts.

import { createHash } from 'node:crypto';
import grpc from '@grpc/grpc-js';
import { Blobs, Execution, Node } from './contract.js';
import { fromRpc } from './errors.js';
import { eventsOf, gather } from './events.js';
import { Interaction } from './interaction.js';
import { nodeInfo, nodeStats } from './node.js';
import { build, checkOptions } from './request.js';
import { raw } from './text.js';

export const DEFAULT_TARGET = 'unix:///run/cloister/execsvc.sock';
const UNARY_TIMEOUT_MS = 10_000;
const RECEIVE_MAX = 64 << 20;
const PUT_BYTES = 256 << 10; // of a blob, in one message

function address(target) {
  const found = target || process.env.CLOISTER_SOCKET || DEFAULT_TARGET;
  return found.startsWith('/') ? `unix://${found}` : found;
}

/** Mutual TLS when there are certificates; the service takes TCP only so. */
function credentials(tls) {
  if (!tls) {
    return grpc.credentials.createInsecure();
  }
  const pem = (name) => raw(tls[name], `tls.${name}`);
  return grpc.credentials.createSsl(pem('ca'), pem('key'), pem('cert'));
}

function callOptions(timeoutMs) {
  return timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs };
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
  #blobs;
  #node;
  #metadata;
  #extensions = null;

  constructor(target, { subject, traceparent, tls } = {}) {
    this.target = address(target);
    const channel = new grpc.Channel(this.target, credentials(tls), { 'grpc.max_receive_message_length': RECEIVE_MAX });
    const make = (Service) => new Service(this.target, grpc.credentials.createInsecure(), { channelOverride: channel });
    this.#execution = make(Execution);
    this.#blobs = make(Blobs);
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
    const request = await this.#request(source, options);
    const { signal, timeoutMs } = options;
    signal?.throwIfAborted();
    const call = this.#execution.execute(request, this.#metadata, callOptions(timeoutMs));
    yield* this.#events(call, signal);
  }

  async interact(source, options = {}) {
    const request = await this.#request(source, options);
    return this.#interaction({ start: request }, options);
  }

  async attach(runId, { stdoutOffset = 0, stderrOffset = 0, filesDone = 0, ...options } = {}) {
    return this.#interaction({ attach: { runId, stdoutOffset, stderrOffset, filesDone } }, options);
  }

  async* listen(runId, { stdoutOffset = 0, stderrOffset = 0, filesDone = 0, timeoutMs, signal } = {}) {
    const request = { runId, stdoutOffset, stderrOffset, filesDone };
    yield* this.#events(this.#execution.attach(request, this.#metadata, callOptions(timeoutMs)), signal);
  }

  async missing(sha256, { timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return (await this.#unary(this.#blobs, 'missing', { sha256 }, timeoutMs)).sha256;
  }

  async put(content, { timeoutMs } = {}) {
    const bytes = raw(content, 'content');
    const sha256 = createHash('sha256').update(bytes).digest();
    if ((await this.missing([sha256])).length === 0) {
      return { sha256, existed: true };
    }
    const { existed } = await this.#put(sha256, bytes, timeoutMs);
    return { sha256, existed };
  }

  async runtimes({ timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return (await this.#unary(this.#node, 'runtimes', {}, timeoutMs)).runtimes;
  }

  async info({ timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return nodeInfo(await this.#unary(this.#node, 'info', {}, timeoutMs));
  }

  async stats({ runs = false, timeoutMs = UNARY_TIMEOUT_MS } = {}) {
    return nodeStats(await this.#unary(this.#node, 'stats', { runs }, timeoutMs));
  }

  async* watch({ intervalMs = 0, runs = false, timeoutMs, signal } = {}) {
    const call = this.#node.watch({ intervalMs, runs }, this.#metadata, callOptions(timeoutMs));
    for await (const message of this.#messages(call, signal)) {
      yield nodeStats(message);
    }
  }

  #unary(service, method, message, timeoutMs) {
    return new Promise((resolve, reject) => {
      service[method](message, this.#metadata, callOptions(timeoutMs),
        (error, reply) => (error ? reject(fromRpc(error)) : resolve(reply)));
    });
  }

  #put(sha256, bytes, timeoutMs) {
    return new Promise((resolve, reject) => {
      const call = this.#blobs.put(this.#metadata, callOptions(timeoutMs),
        (error, reply) => (error ? reject(fromRpc(error)) : resolve(reply)));
      const send = async () => {
        let first = { sha256, size: bytes.length };
        for (let at = 0; at < bytes.length || first; at += PUT_BYTES) {
          const message = { ...first, data: bytes.subarray(at, at + PUT_BYTES) };
          await new Promise((sent) => call.write(message, sent));
          first = null;
        }
        call.end();
      };
      send().catch(reject);
    });
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

  #events(call, signal) {
    return eventsOf(this.#messages(call, signal));
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
