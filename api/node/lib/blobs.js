// Files that do not fit into a request: put once as blobs, then named by their hash.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

const INLINE_BYTES = 1 << 20; // of all inline files together, as the contract has it
const PIECE = 256 << 10; // of a blob, in one message
const NAMES = 4096; // in one question

/** The bytes of `source` (a Buffer or a file: URL), piece by piece. */
async function* pieces(source) {
  if (source instanceof URL) {
    yield* createReadStream(source, { highWaterMark: PIECE });
    return;
  }
  for (let at = 0; at < source.length; at += PIECE) {
    yield source.subarray(at, at + PIECE);
  }
}

async function sizeOf(source) {
  return source instanceof URL ? (await stat(source)).size : source.length;
}

async function hashOf(source) {
  const hash = createHash('sha256');
  for await (const piece of pieces(source)) {
    hash.update(piece);
  }
  return hash.digest();
}

/** Where the files of one request go: inline while there is room, else among the blobs, by their hash. */
export class Placement {
  #room = INLINE_BYTES;
  blobs = new Map(); // hex: {sha256, source}

  /** What stands in the SourceFile. */
  async place(source) {
    if (await sizeOf(source) <= this.#room) {
      const content = source instanceof URL ? await readFile(source) : source;
      if (content.length <= this.#room) {
        this.#room -= content.length;
        return { content };
      }
    }
    const sha256 = await hashOf(source);
    this.blobs.set(sha256.toString('hex'), { sha256, source });
    return { sha256 };
  }
}

/** The blobs of one connection's caller. call: (method, message, timeoutMs) => Promise of the answer. */
export class Store {
  #blobs;
  #unary;

  constructor(blobs, unary) {
    this.#blobs = blobs;
    this.#unary = unary;
  }

  async missing(sha256, timeoutMs) {
    return (await this.#unary((...rest) => this.#blobs.missing({ sha256 }, ...rest), timeoutMs)).sha256;
  }

  async put({ sha256, source }, timeoutMs) {
    const size = await sizeOf(source);
    return this.#unary((...rest) => {
      const call = this.#blobs.put(...rest);
      send(call, sha256, size, source).catch((error) => call.destroy(error));
      return call;
    }, timeoutMs);
  }

  /** Puts what the node has not got. timeoutMs: of each call. */
  async ensure(blobs, timeoutMs) {
    const wanted = [...blobs.values()];
    for (let at = 0; at < wanted.length; at += NAMES) {
      const names = wanted.slice(at, at + NAMES).map((blob) => blob.sha256);
      for (const sha256 of await this.missing(names, timeoutMs)) {
        await this.put(blobs.get(sha256.toString('hex')), timeoutMs);
      }
    }
  }
}

/** Until all is said, or the call is over: then its answer says why. */
async function send(call, sha256, size, source) {
  let over = false;
  const ended = new Promise((resolve) => {
    call.once('status', () => {
      over = true;
      resolve();
    });
  });
  const say = (message) => Promise.race([new Promise((resolve) => call.write(message, resolve)), ended]);
  await say({ sha256, size });
  for await (const data of pieces(source)) {
    if (over) {
      return;
    }
    await say({ data });
  }
  call.end();
}
