// From the options of Client.run to an ExecuteRequest. What can be seen here to be wrong is a TypeError or a RangeError.

import { Placement } from './blobs.js';
import { LIMIT_FIELDS } from './contract.js';
import { raw } from './text.js';

const SIZES = { '': 1, K: 1 << 10, M: 1 << 20, G: 1 << 30 };
const TIMES = { ms: 1, '': 1000, s: 1000, m: 60_000, h: 3_600_000 };
const COUNTS = { '': 1 };
const POLICIES = {
  'subprocess': 'SUBPROCESS_ALLOW',
  'no-subprocess': 'SUBPROCESS_DENY',
};
const CLASSES = { interactive: 'CLASS_INTERACTIVE', batch: 'CLASS_BATCH' };
const OPTIONS = new Set(['runtime', 'argv', 'files', 'entry', 'args', 'env', 'stdin', 'limits', 'policy', 'collect',
  'executable', 'terminal', 'detachGrace', 'class', 'labels', 'timeoutMs', 'signal']);

/** "fileSizeBytes" -> ["file-size", {field, scales}] */
function limitOf(field) {
  const [, stem, unit] = /^(.*?)(Bytes|Ms)?$/.exec(field);
  const name = stem.replace(/[A-Z]/g, (letter) => '-' + letter.toLowerCase());
  return [name, { field, scales: unit === 'Bytes' ? SIZES : unit === 'Ms' ? TIMES : COUNTS }];
}

const LIMITS = new Map(LIMIT_FIELDS.map(limitOf));

/** "64M", "2s", "1500ms", "50" in the contract's unit; a number is in that unit already (bytes, ms, count). */
function limitValue(name, value) {
  const { scales } = LIMITS.get(name);
  if (Number.isSafeInteger(value) && value > 0) {
    return value;
  }
  const match = typeof value === 'string' ? /^([0-9]+)([A-Za-z]*)$/.exec(value) : null;
  const found = match && Object.hasOwn(scales, match[2]) ? Number(match[1]) * scales[match[2]] : 0;
  if (!Number.isSafeInteger(found) || found === 0) {
    const forms = Object.keys(scales).filter(Boolean).join(' ') || 'nothing';
    throw new RangeError(`limit ${name}: ${JSON.stringify(value)} is not a whole number above 0, followed by ${forms}`);
  }
  return found;
}

/** "10m", "90s" or a number of ms. */
function graceMs(value) {
  const match = typeof value === 'string' ? /^([0-9]+)([a-z]+)$/.exec(value) : null;
  const found = match && Object.hasOwn(TIMES, match[2]) ? Number(match[1]) * TIMES[match[2]] : value;
  if (!Number.isSafeInteger(found) || found < 0 || found > 0xffffffff) {
    throw new RangeError(`detachGrace: ${JSON.stringify(value)} is neither a number of ms nor a time such as "10m"`);
  }
  return found;
}

function limits(given) {
  const found = {};
  for (const [name, value] of entries(given)) {
    if (!LIMITS.has(name)) {
      throw new RangeError(`there is no limit "${name}"; there are ${[...LIMITS.keys()].join(', ')}`);
    }
    found[LIMITS.get(name).field] = limitValue(name, value);
  }
  return found;
}

/** Of a Map, or of an object. */
function entries(given) {
  return given instanceof Map ? [...given] : Object.entries(given);
}

function list(given, what) {
  if (typeof given === 'string' || given instanceof Uint8Array || typeof given?.[Symbol.iterator] !== 'function') {
    throw new TypeError(`${what}: give an array`);
  }
  return Array.from(given, (item) => raw(item, what));
}

function choice(table, value, what) {
  if (value === undefined || value === null) {
    return undefined;
  }
  if (!Object.hasOwn(table, value)) {
    throw new RangeError(`${what}: ${JSON.stringify(value)} is not one of ${Object.keys(table).join(', ')}`);
  }
  return table[value];
}

/** One SourceFile. {sha256} is a blob that was put before (Client.put). */
async function file(path, content, executable, placement) {
  const name = raw(path, 'files');
  const made = { path: name, executable: executable.has(name.toString('latin1')) };
  if (content?.sha256 instanceof Uint8Array) {
    return { ...made, sha256: content.sha256 };
  }
  return { ...made, ...await placement.place(content instanceof URL ? content : raw(content, `files: ${path}`)) };
}

async function files(given, executable, placement) {
  const runnable = new Set(list(executable, 'executable').map((name) => name.toString('latin1')));
  const found = [];
  for (const [path, content] of entries(given)) {
    found.push(await file(path, content, runnable, placement));
  }
  return found;
}

function collected(collect) {
  if (collect === false) {
    return undefined;
  }
  return { patterns: collect === true ? [] : list(collect, 'collect') };
}

/** {rows, cols}, or true for the default size. */
export function windowSize(terminal) {
  return terminal === true ? { rows: 0, cols: 0 } : { rows: terminal.rows ?? 0, cols: terminal.cols ?? 0 };
}

/** Refuses what is misspelt: an option that does nothing is worse than none. */
export function checkOptions(options) {
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name)) {
      throw new TypeError(`there is no option "${name}"; there are ${[...OPTIONS].join(', ')}`);
    }
  }
}

/** {request, blobs}: what the options describe (Client.run in index.d.ts), and what must be on the node before. */
export async function build({
  runtime = 'python3', argv = null, files: given = {}, entry = '', args = [], env = {}, stdin = '', limits: bounds = {},
  policy = null, collect = true, executable = [], terminal = null, detachGrace = 0, class: queue = null, labels = {},
}) {
  const placement = new Placement();
  const request = {
    runtime: argv === null ? runtime : '',
    argv: argv === null ? [] : list(argv, 'argv'),
    files: await files(given, executable, placement),
    entry: raw(entry, 'entry'),
    args: list(args, 'args'),
    env: entries(env).map(([name, value]) => ({ name: raw(name, 'env'), value: raw(value, `env: ${name}`) })),
    stdinData: raw(stdin, 'stdin'),
    limits: limits(bounds),
    policy: { subprocess: choice(POLICIES, policy, 'policy') },
    collect: collected(collect),
    terminal: terminal ? windowSize(terminal) : undefined,
    detachGraceMs: graceMs(detachGrace),
    class: choice(CLASSES, queue, 'class'),
    labels: entries(labels).map(([key, value]) => ({ key, value })),
  };
  return { request, blobs: placement.blobs };
}
