// What becomes of a run, as plain data: the events of a stream, the last of which is the Result.
// Each has a `type`; fields are those of the .proto in camel case.

import { createHash } from 'node:crypto';
import { word } from './contract.js';
import { ServiceFailed } from './errors.js';
import { pathText } from './text.js';

/** All permits are taken: the run waits. */
export class Queued {
  type = 'queued';

  constructor(message) {
    Object.assign(this, message);
  }
}

/** The program is running. */
export class Started {
  type = 'started';

  constructor(message) {
    this.runId = message.runId;
    this.node = message.node;
    this.runtime = message.runtime?.name ?? '';
    this.runtimeVersion = message.runtime?.version ?? '';
    this.start = startWord(message.start);
  }
}

/** Bytes that the program wrote. */
export class Output {
  type = 'output';

  constructor(message) {
    this.stream = message.stream === 'STREAM_STDERR' ? 'stderr' : 'stdout';
    this.offset = message.offset;
    this.data = message.data;
  }

  /** The data as UTF-8, bad bytes replaced. A character may be split between two events. */
  get text() {
    return this.data.toString('utf8');
  }
}

/** A collected file, whole. */
export class File {
  type = 'file';

  constructor(path, data, sha256) {
    this.path = path;
    this.data = data;
    this.sha256 = sha256;
  }
}

/** For people. */
export class Notice {
  type = 'notice';

  constructor(message) {
    this.kind = word(message.kind, 'KIND_').toLowerCase();
    this.message = message.message;
    this.remainingMs = message.remainingMs;
  }
}

/** How a run ended. */
export class Result {
  type = 'result';
  stdout = Buffer.alloc(0);
  stderr = Buffer.alloc(0);
  outputs = new Map();

  constructor(message) {
    this.runId = message.runId;
    this.verdict = word(message.verdict, 'VERDICT_');
    this.exitCode = message.exit === 'exitCode' ? message.exitCode : null;
    this.signal = message.exit === 'signal' ? message.signal : null;
    this.limitsHit = message.limitsHit;
    this.refusals = message.refusals;
    this.explanation = message.explanation ?? { limit: '', configured: 0, observed: 0, detectedBy: '', message: '' };
    this.usage = message.usage ?? { cpuUserUs: 0, cpuSystemUs: 0, wallUs: 0, memoryPeakBytes: 0, processesPeak: 0 };
    this.timingUs = timing(message.timing ?? {});
    this.layers = message.layers;
    this.start = startWord(message.start);
    this.runtime = message.runtime?.name ?? '';
    this.runtimeVersion = message.runtime?.version ?? '';
    this.node = message.node;
    this.launcher = message.launcher;
    this.droppedStdoutBytes = message.droppedStdoutBytes;
    this.droppedStderrBytes = message.droppedStderrBytes;
    this.outputsSkipped = message.outputsSkipped.map(({ path, size, reason }) => ({ path: pathText(path), size, reason }));
  }

  /** It ended by itself with exit status 0. */
  get ok() {
    return this.verdict === 'EXITED' && this.exitCode === 0;
  }

  /** stdout as UTF-8, bad bytes replaced. */
  get text() {
    return this.stdout.toString('utf8');
  }
}

function startWord(start) {
  return word(start, 'START_').toLowerCase();
}

/** {queuedUs: 1} -> {queued: 1} */
function timing(message) {
  return Object.fromEntries(Object.entries(message).map(([name, us]) => [name.replace(/Us$/, ''), us]));
}

const KINDS = { queued: Queued, started: Started, output: Output, notice: Notice, result: Result };

/** The pieces of a file, one after the other; the File when it is whole. */
class FilePieces {
  #pieces = [];

  take(chunk) {
    this.#pieces.push(chunk.data);
    if (!chunk.last) {
      return null;
    }
    const data = Buffer.concat(this.#pieces);
    this.#pieces = [];
    const path = pathText(chunk.path);
    if (data.length !== chunk.size || !createHash('sha256').update(data).digest().equals(chunk.sha256)) {
      throw new ServiceFailed(`${path} did not arrive as it was sent`, { code: 'DATA_LOSS' });
    }
    return new File(path, data, chunk.sha256);
  }
}

/** The events that the messages of a call stand for; what a later version sends beside them is passed over. */
export async function* eventsOf(messages) {
  const pieces = new FilePieces();
  for await (const message of messages) {
    if (message.event === 'file') {
      const file = pieces.take(message.file);
      if (file) {
        yield file;
      }
    } else if (Object.hasOwn(KINDS, message.event ?? '')) {
      yield new KINDS[message.event](message[message.event]);
    }
  }
}

/** To the end of `events`: the Result with all that came before it. */
export async function gather(events) {
  const written = { stdout: [], stderr: [] };
  const outputs = new Map();
  let result = null;
  try {
    for await (const event of events) {
      if (event.type === 'output') {
        written[event.stream].push(event.data);
      } else if (event.type === 'file') {
        outputs.set(event.path, event.data);
      } else if (event.type === 'result') {
        result = event;
        result.stdout = Buffer.concat(written.stdout);
        result.stderr = Buffer.concat(written.stderr);
        result.outputs = outputs;
      }
    }
  } catch (error) {
    if (error instanceof ServiceFailed) {
      error.result = result;
    }
    throw error;
  }
  if (!result) {
    throw new ServiceFailed('the call ended without a Result', { code: 'UNKNOWN' });
  }
  return result;
}
