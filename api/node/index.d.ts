/**
 * Run programs that nobody should trust, each in a sandbox of its own.
 *
 *     import { Client } from 'cloister';
 *     const client = new Client();
 *     process.stdout.write((await client.run('print(6 * 7)')).text);
 *     client.close();
 */

/** A string is UTF-8 (lone surrogates U+DC80 to U+DCFF stand for the bytes that are not); bytes are taken as they are. */
export type Text = string | Uint8Array;
/** What a file holds: text, bytes, a file: URL, or a blob that was put before. What does not fit into the request (1 MiB in
 * all) travels ahead as blobs, which the node keeps. */
export type Content = Text | URL | { sha256: Uint8Array };

export const DEFAULT_TARGET: string;

export interface ClientOptions {
  /** For whom the runs are, if that is not the caller; needs act_for in the service's configuration. */
  subject?: string;
  /** W3C trace context, passed on to the service's logs. */
  traceparent?: string;
  /** For HOST:PORT, PEM files: who vouches for the service, and who we are (mutual TLS). Default: CLOISTER_CA, CLOISTER_CERT
   * and CLOISTER_KEY of the environment. */
  ca?: string;
  cert?: string;
  key?: string;
}

export interface CallOptions {
  /** For all of it, waiting in the queue too; without it the limits alone end a run. */
  timeoutMs?: number;
}

export interface StreamOptions extends CallOptions {
  /** Aborting it ends the call, and the run with it. */
  signal?: AbortSignal;
}

export type LimitName = 'memory' | 'cpu' | 'wall' | 'idle' | 'file-size' | 'processes' | 'output' | 'workspace' | 'inodes' | 'open-files';

export interface RunOptions extends StreamOptions {
  /** A name of `runtimes()`; default "python3". */
  runtime?: string;
  /** A command instead; then there is no source, entry and args. */
  argv?: Iterable<Text>;
  /** {path in the workspace: content}. Without source the first is the entry, or the one that `entry` names. */
  files?: Record<string, Content> | Map<string, Content>;
  entry?: Text;
  args?: Iterable<Text>;
  env?: Record<string, Text> | Map<string, Text>;
  /** The whole input; with `interact` what comes first. */
  stdin?: Text;
  /** {memory: '64M', cpu: '2s', processes: 20 ...}; a plain number is bytes, ms or a count. */
  limits?: { [name in LimitName]?: string | number };
  /** Without it the runtime's own. */
  policy?: 'no-subprocess' | 'subprocess' | null;
  /** Bring back new and changed files: true (default) all, false none, or shell patterns. */
  collect?: boolean | Iterable<Text>;
  /** Which of the files get mode 0755. */
  executable?: Iterable<Text>;
  /** stdin, stdout and stderr are one pseudo-terminal; true for 24 by 80. */
  terminal?: boolean | { rows?: number; cols?: number } | null;
  /** How long the run goes on without us, in ms or as "10m"; its result is kept for as long again. A lost connection is
   * then made again, and `attach` comes back to the run after anything else. */
  detachGrace?: number | string;
  /** Which queue it waits in. */
  class?: 'interactive' | 'batch' | null;
  /** For logs and `stats`. */
  labels?: Record<string, string>;
}

/** All permits are taken: the run waits. `position` 1 is the next; `expectedWaitMs` 0: no estimate yet. */
export class Queued {
  readonly type: 'queued';
  readonly runId: string;
  readonly position: number;
  readonly expectedWaitMs: number;
}

/** The program is running. The runtime is "" for a plain command. */
export class Started {
  readonly type: 'started';
  readonly runId: string;
  readonly node: string;
  readonly runtime: string;
  readonly runtimeVersion: string;
  readonly start: 'cold' | 'warm' | string;
}

/** Bytes that the program wrote. `offset` counts all that it wrote there: a jump means that the middle was dropped by the
 * output limit. */
export class Output {
  readonly type: 'output';
  readonly stream: 'stdout' | 'stderr';
  readonly offset: number;
  readonly data: Buffer;
  /** The data as UTF-8, bad bytes replaced. A character may be split between two events. */
  get text(): string;
}

/** A collected file, whole. */
export class File {
  readonly type: 'file';
  readonly path: string;
  readonly data: Buffer;
  readonly sha256: Buffer;
}

/** For people. `kind` is "idle_warning", "drain_warning", "output_dropped" or "compiling". */
export class Notice {
  readonly type: 'notice';
  readonly kind: string;
  readonly message: string;
  readonly remainingMs: number;
}

/** A call that policy forbids, and how often the program made it. */
export interface Refusal {
  operation: string;
  count: number;
  message: string;
}

/** Why it ended so; `message` is one sentence for a beginner. `limit` is "" when no limit ended it. */
export interface Explanation {
  limit: string;
  configured: number;
  observed: number;
  detectedBy: string;
  message: string;
}

/** What the run used, of all its processes together. */
export interface Usage {
  cpuUserUs: number;
  cpuSystemUs: number;
  wallUs: number;
  memoryPeakBytes: number;
  processesPeak: number;
}

/** Microseconds of each step; 0: did not take place. */
export interface Timing {
  queued: number;
  slot: number;
  filesIn: number;
  spawn: number;
  run: number;
  collect: number;
  total: number;
  /** 0: no compile step, or saved (compileCached). */
  compile: number;
}

/** A layer of the sandbox: whether it was active, and if not, why. */
export interface Layer {
  name: string;
  active: boolean;
  missing: boolean;
  detail: string;
}

/** A file that was there and did not come back. */
export interface SkippedFile {
  path: string;
  size: number;
  reason: string;
}

/**
 * How a run ended, whatever that is.
 *
 * `verdict` is the contract's name without its prefix: "EXITED", "SIGNALED", "MEMORY_LIMIT", "COMPILE_FAILED" ...
 * Of `exitCode` and `signal` ("SIGKILL") at most one is not null; neither: the program did not run.
 * As the last event of a stream its stdout, stderr and outputs are empty: they came as events before.
 */
export class Result {
  readonly type: 'result';
  readonly runId: string;
  readonly verdict: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  readonly limitsHit: string[];
  readonly refusals: Refusal[];
  readonly explanation: Explanation;
  readonly usage: Usage;
  readonly timingUs: Timing;
  readonly layers: Layer[];
  readonly start: 'cold' | 'warm' | string;
  readonly runtime: string;
  readonly runtimeVersion: string;
  readonly node: string;
  readonly launcher: string;
  readonly droppedStdoutBytes: number;
  readonly droppedStderrBytes: number;
  readonly outputsSkipped: SkippedFile[];
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  /** Path to content. */
  readonly outputs: Map<string, Buffer>;
  /** It ended by itself with exit status 0. */
  get ok(): boolean;
  /** stdout as UTF-8, bad bytes replaced. */
  get text(): string;
}

export type Event = Queued | Started | Output | File | Notice | Result;

export type SignalName = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGQUIT' | 'SIGUSR1' | 'SIGUSR2' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGWINCH';

/**
 * A run with a say in it. Iterate over it for its events, or wait for `result()`; leaving the loop ends the run (after its
 * detachGrace). What is said resolves to false when the run is over.
 */
export class Interaction implements AsyncIterable<Event> {
  private constructor();
  [Symbol.asyncIterator](): AsyncIterableIterator<Event>;
  /** Everything that is still to come, to the Result. */
  result(): Promise<Result>;
  /** Bytes for stdin, or the keyboard of the terminal. Resolves when there is room for more. */
  write(data: Text): Promise<boolean>;
  /** End of input; a terminal gets its end-of-file character. */
  end(): Promise<boolean>;
  /** A signal to the program; with a terminal to its foreground process group. */
  signal(name: SignalName): Promise<boolean>;
  /** The terminal's new size. */
  resize(rows: number, cols: number): Promise<boolean>;
  /** End the run; its Result (CANCELLED) still comes. */
  cancel(): Promise<boolean>;
  /** Go away without waiting for the Result. */
  close(): void;
}

/** How much of a run the caller has already: bytes of each stream, and whole files. */
export interface Position {
  stdoutOffset?: number;
  stderrOffset?: number;
  filesDone?: number;
}

export interface Runtime {
  name: string;
  version: string;
  available: boolean;
  /** Why it is not available. */
  detail: string;
  compiled: boolean;
  extensions: string[];
}

/** A limit as the operator has set it. */
export interface Limit {
  name: string;
  unit: 'bytes' | 'ms' | 'count';
  defaultValue: number;
  ceiling: number;
}

export interface NodeInfo {
  node: string;
  version: string;
  launcher: string;
  cgroupVersion: string;
  layers: Layer[];
  limits: Record<LimitName, Limit>;
  runningMax: number;
  slotsMax: number;
  queueMax: number;
  queuePerTenant: number;
  /** Who the caller is taken for. */
  tenant: string;
}

export interface RunSummary {
  runId: string;
  tenant: string;
  runtime: string;
  state: 'queued' | 'starting' | 'running' | 'collecting' | 'detached' | string;
  queuePosition: number;
  ageMs: number;
  cpuMs: number;
  memoryBytes: number;
  labels: Record<string, string>;
}

export interface NodeStats {
  uptimeMs: number;
  ready: boolean;
  draining: boolean;
  running: number;
  queued: number;
  sessions: number;
  slotsMade: number;
  slotsBusy: number;
  memoryBytes: number;
  memoryLimitBytes: number;
  oomKills: number;
  runsTotal: number;
  /** How many runs ended so. */
  verdicts: Record<string, number>;
  queueWaitMsAvg: number;
  /** The caller's own (an operator: everybody's), when asked for. */
  runs: RunSummary[];
}

/**
 * A connection to a node. Nothing is connected before the first call; several calls may be under way at once.
 * target: the path of a socket, or HOST:PORT of a service elsewhere; default: CLOISTER_CONNECT or CLOISTER_SOCKET of the
 * environment, or DEFAULT_TARGET.
 */
export class Client {
  constructor(target?: string, options?: ClientOptions);
  readonly target: string;
  /** Ends the connection. The process does not end while there is one. */
  close(): void;

  /**
   * Runs a program to its end. source: the program; it becomes the file "main" with the runtime's extension, and the entry.
   * Rejects with a TypeError or a RangeError for what can be seen here to be wrong, and with a CloisterError when there was
   * no run.
   */
  run(source?: Text | null, options?: RunOptions): Promise<Result>;
  /** The same as it happens. The run begins with the first event that is asked for; leaving the loop early ends it. */
  stream(source?: Text | null, options?: RunOptions): AsyncGenerator<Event, void, undefined>;
  /** The same with a say in it. */
  interact(source?: Text | null, options?: RunOptions): Promise<Interaction>;
  /** Begins a run and leaves it to itself (detachGrace: default "10m"). Resolves to its id, for `attach`. */
  start(source?: Text | null, options?: RunOptions): Promise<string>;
  /**
   * Comes back to a run that was begun with a detachGrace, and resolves to what became of it, as `run` does. What is left
   * out by a position is not in the Result either. Of output that nobody was there to hear, the last 256 KiB are kept.
   * Whoever listened before is sent away. Refused (code "NOT_FOUND"): no such run of yours.
   */
  attach(runId: string, options?: Position & StreamOptions): Promise<Result>;
  /** The same as it happens. */
  attachStream(runId: string, options?: Position & StreamOptions): AsyncGenerator<Event, void, undefined>;
  /** The same with a say in it. */
  attachInteract(runId: string, options?: Position & StreamOptions): Promise<Interaction>;

  /** Stores a blob on the node (`existed`: it was there). `run` does it by itself for what is large. */
  put(content: Text, options?: CallOptions): Promise<{ sha256: Buffer; existed: boolean }>;
  /** Which of these blobs are not on the node. */
  missing(sha256: Uint8Array[], options?: CallOptions): Promise<Buffer[]>;

  runtimes(options?: CallOptions): Promise<Runtime[]>;
  info(options?: CallOptions): Promise<NodeInfo>;
  stats(options?: CallOptions & { runs?: boolean }): Promise<NodeStats>;
  /** `stats` again and again, until the loop is left. */
  watch(options?: StreamOptions & { intervalMs?: number; runs?: boolean }): AsyncGenerator<NodeStats, void, undefined>;
}

/** Any failure of a call. `message` is for people. */
export class CloisterError extends Error {
  /** gRPC's name of the status: "INVALID_ARGUMENT". */
  readonly code: string;
  /** A constant of the service ("BLOB_MISSING"), or "". */
  readonly reason: string;
  /** What is wrong, as the .proto calls it ("limits.memory_bytes"), or "". */
  readonly field: string;
  /** When to come back; null when the service did not say. */
  readonly retryAfterMs: number | null;
  /** What belongs to the reason: "ceiling", "queue_position" ... */
  readonly meta: Record<string, string>;
  /** The limit that is above its ceiling ("memory"), or "". */
  get limit(): string;
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
  result: Result | null;
}
