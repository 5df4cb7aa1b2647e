// The package api/node as it is installed, against the real service (one permit, one place in the queue).

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import * as cloister from 'cloister';

const SOURCE = process.env.CLOISTER_SOURCE;
const SLOW = process.env.CLOISTER_SLOW ? 4 : 1;
const PACKAGE = join(SOURCE, 'api', 'node');
const NAP = 'import time; time.sleep(60)';
let client;

before(() => {
  client = new cloister.Client();
});
after(() => client.close());

function run(source, options = {}) {
  return client.run(source, { timeoutMs: 30_000 * SLOW, ...options });
}

/** The error of class `kind` that `promise` ends with. */
async function refusal(kind, promise) {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof kind, `${error.stack}`);
    return error;
  }
  return assert.fail(`no ${kind.name}`);
}

async function all(events) {
  const found = [];
  for await (const event of events) {
    found.push(event);
  }
  return found;
}

/** The events from `events` to the first that is not Queued. */
async function begun(events) {
  for (;;) {
    const { value } = await events.next();
    if (value.type !== 'queued') {
      return value;
    }
  }
}

test('hello', async () => {
  const result = await run("import sys; print('hello'); print('oops', file=sys.stderr); sys.exit(3)");
  assert.deepEqual([result.verdict, result.exitCode, result.signal, result.ok], ['EXITED', 3, null, false]);
  assert.deepEqual([`${result.stdout}`, `${result.stderr}`, result.text], ['hello\n', 'oops\n', 'hello\n']);
  assert.deepEqual([result.limitsHit, result.refusals, result.outputs.size], [[], [], 0]);
  assert.match(result.runtimeVersion, /Python 3\./);
  assert.ok(result.runId && result.usage.memoryPeakBytes > 0 && result.timingUs.total >= result.timingUs.run);
  assert.ok(result.layers.some((layer) => layer.name === 'user-namespace' && layer.active));
});

test('everything that goes in arrives', async () => {
  const code = "import os, sys; print(sys.argv[1:], os.environ['WHO'], open('d/x').read(), sys.stdin.read())";
  const result = await run(code, { files: { 'd/x': 'file' }, args: ['a', 'b c'], env: { WHO: 'ada' }, stdin: 'in\u00e4' });
  assert.deepEqual([result.text, `${result.stderr}`], ["['a', 'b c'] ada file in\u00e4\n", '']);
});

test('files of this machine, an entry and a command', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-sdk-node-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'tool'), '#!/bin/sh\necho tool $1\n');
  const files = { tool: pathToFileURL(join(folder, 'tool')) };
  const result = await run(null, { argv: ['./tool', 'x'], files, executable: ['tool'] });
  assert.deepEqual([result.text, result.runtime], ['tool x\n', '']);
  assert.equal((await run(null, { files: { 'a.py': "print('a')", 'b.py': "print('b')" }, entry: 'b.py' })).text, 'b\n');
  assert.equal((await run('echo $0', { runtime: 'bash' })).text, 'main.sh\n');
});

test('a stream is in order and as it happens', async () => {
  const code = "import time\nfor i in range(3): print(i, flush=True); time.sleep(0.2)\nopen('f', 'w').write('x' * 100000)";
  const seen = (await all(client.stream(code))).filter((event) => event.type !== 'queued');
  assert.deepEqual([seen[0].type, ...seen.slice(-2).map((event) => event.type)], ['started', 'file', 'result']);
  const output = seen.filter((event) => event.type === 'output');
  assert.equal(Buffer.concat(output.map((event) => event.data)).toString(), '0\n1\n2\n');
  assert.ok(output.length >= 3 && output.every((event) => event.stream === 'stdout'));
  let offset = 0;
  for (const event of output) {
    assert.equal(event.offset, offset);
    offset += event.data.length;
  }
  assert.deepEqual([seen.at(-2).path, seen.at(-2).data.length], ['f', 100000]);
  assert.deepEqual([seen[0].runId, seen.at(-1).exitCode], [seen.at(-1).runId, 0]);
});

test('leaving a stream ends the run, and so does an AbortSignal', async () => {
  for await (const event of client.stream(NAP)) {
    if (event.type === 'started') {
      break;
    }
  }
  const stop = new AbortController();
  const reason = new Error('enough');
  const error = await refusal(Error, (async () => {
    for await (const event of client.stream(NAP, { signal: stop.signal })) {
      if (event.type === 'started') {
        stop.abort(reason);
      }
    }
  })());
  assert.equal(error, reason);
  assert.ok((await run('print(1)')).ok); // there is one permit: it is free again
});

test('limits are applied and explained', async () => {
  let result = await run('x = bytearray(200 << 20)', { limits: { memory: '64M' } });
  assert.deepEqual([result.verdict, result.limitsHit], ['MEMORY_LIMIT', ['memory']]);
  assert.deepEqual([result.explanation.limit, result.explanation.configured], ['memory', 64 << 20]);
  assert.match(result.explanation.message, /64M/);
  result = await run('while True: pass', { limits: { cpu: '300ms' } });
  assert.deepEqual([result.verdict, result.explanation.configured], ['CPU_TIME_LIMIT', 300]);
});

test('a policy is applied', async () => {
  const result = await run('import os; os.fork()', { policy: 'no-subprocess' });
  assert.deepEqual([result.verdict, result.refusals.map((r) => r.operation)], ['POLICY_VIOLATION', ['subprocess']]);
});

test('outputs, with names that are not UTF-8 too', async () => {
  const code = "import os; os.mkdir('d'); open('d/a.txt', 'wb').write(b'\\0a'); open('b', 'w'); open(b'\\xff\\xc3\\xa4', 'w')";
  const found = (await run(code)).outputs;
  assert.deepEqual([...found.keys()].sort(), ['b', 'd/a.txt', '\udcff\u00e4']);
  assert.deepEqual(found.get('d/a.txt'), Buffer.from('\0a'));
  assert.deepEqual([...(await run(code, { collect: ['b'] })).outputs.keys()], ['b']);
  assert.equal((await run(code, { collect: false })).outputs.size, 0);
  const back = await run('import os; print(os.listdir(b"."))', { files: { '\udcff\u00e4': '' } });
  assert.match(back.text, /b'\\xff\\xc3\\xa4'/);
});

test('input line by line, and its end', async () => {
  const talk = await client.interact(null, { argv: ['cat'] });
  const events = talk[Symbol.asyncIterator]();
  assert.equal((await begun(events)).type, 'started');
  for (const line of ['one\n', 'two\n']) {
    assert.equal(await talk.write(line), true);
    assert.equal((await events.next()).value.text, line);
  }
  await talk.end();
  const result = await talk.result();
  assert.deepEqual([result.verdict, result.exitCode], ['EXITED', 0]);
  assert.equal(await talk.write('late'), false);
});

test('more input than fits, against a reader that takes its time', async () => {
  const talk = await client.interact(null, { argv: ['sh', '-c', 'sleep 0.3; sha256sum | cut -c1-8'], limits: { output: '1M' } });
  const [result] = await Promise.all([talk.result(), talk.write(Buffer.alloc(3 << 20, 'x')).then(() => talk.end())]);
  assert.match(result.text, /^[0-9a-f]{8}\n$/);
});

test('a terminal: its size, Ctrl-C, a signal, a polite end', async () => {
  // os.write(): a handler that prints while its program prints fails.
  const code = "import os, signal, time\ndef say(*_): os.write(1, (str(os.get_terminal_size()) + '\\n').encode())\n"
    + "signal.signal(signal.SIGWINCH, say); signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'usr1\\n'))\nsay()\n"
    + "while True:\n try: time.sleep(60)\n except KeyboardInterrupt: os.write(1, b'interrupted\\n')\n";
  const talk = await client.interact(code, { terminal: { rows: 24, cols: 80 } });
  let text = '';
  const say = [['columns=80, lines=24', () => talk.resize(30, 100)], ['columns=100, lines=30', () => talk.signal('SIGUSR1')],
    ['usr1', () => talk.write('\x03')], ['interrupted', () => talk.cancel()]];
  let result;
  for await (const event of talk) {
    text += event.type === 'output' ? event.text : '';
    result = event.type === 'result' ? event : result;
    if (say.length > 0 && text.includes(say[0][0])) {
      await say.shift()[1]();
    }
  }
  assert.deepEqual([result.verdict, say.length], ['CANCELLED', 0], text);
});

test('a run that is left goes on, and is come back to', async () => {
  const code = "print('early', flush=True)\nimport time; time.sleep(0.5)\nopen('f', 'w').write('x')\nprint('late')\n";
  const runId = await client.start(code);
  const result = await client.attach(runId, { timeoutMs: 30_000 * SLOW });
  assert.deepEqual([result.text, result.runId, `${result.outputs.get('f')}`], ['early\nlate\n', runId, 'x']);
  const rest = await client.attach(runId, { stdoutOffset: 6, filesDone: 1 }); // what is over is kept for a while
  assert.deepEqual([rest.text, rest.outputs.size, rest.exitCode], ['late\n', 0, 0]);
  assert.equal((await refusal(cloister.Refused, client.attach('0'.repeat(32)))).code, 'NOT_FOUND');
});

test('back to a conversation: every byte once', async () => {
  const code = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)\n";
  const first = await client.interact(code, { detachGrace: '1m' });
  let runId;
  let seen = '';
  await first.write('one\n');
  for await (const event of first) {
    runId = event.runId ?? runId;
    seen += event.type === 'output' ? event.text : '';
    if (seen.endsWith('\n')) {
      break; // as if the connection had gone
    }
  }
  assert.equal(seen, 'ONE\n');
  const again = await client.attachInteract(runId, { stdoutOffset: Buffer.byteLength(seen) });
  await again.write('two\n');
  await again.end();
  const result = await again.result();
  assert.deepEqual([result.text, result.verdict, result.runId], ['TWO\n', 'EXITED', runId]);
});

test('a lost connection is made again by itself', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-sdk-node-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const sockets = new Set();
  const middle = createServer((socket) => {
    const far = createConnection(process.env.CLOISTER_SOCKET);
    for (const end of [socket, far]) {
      sockets.add(end);
      end.on('error', () => {}).on('close', () => sockets.delete(end));
    }
    socket.pipe(far).pipe(socket);
  });
  await new Promise((resolve) => middle.listen(join(folder, 'sock'), resolve));
  t.after(() => middle.close());
  const between = new cloister.Client(join(folder, 'sock'));
  t.after(() => between.close());
  const code = "import time\nfor i in range(20): print(i, flush=True); time.sleep(0.05)\n";
  let text = '';
  let cuts = 0;
  for await (const event of between.stream(code, { detachGrace: '1m', timeoutMs: 60_000 * SLOW })) {
    text += event.type === 'output' ? event.text : '';
    if (text.includes('\n3\n') && cuts === 0) {
      cuts = sockets.size;
      sockets.forEach((socket) => socket.destroy());
    }
  }
  assert.equal(text, [...Array(20).keys()].map((i) => `${i}\n`).join(''));
  assert.ok(cuts >= 2);
  const lost = refusal(cloister.Unavailable, between.run(NAP)); // without a grace
  while ((await client.stats()).running === 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  sockets.forEach((socket) => socket.destroy());
  assert.equal((await lost).code, 'UNAVAILABLE');
});

test('the newest connection listens', async () => {
  const first = await client.interact(null, { argv: ['cat'], detachGrace: '1m' });
  const { runId } = await begun(first[Symbol.asyncIterator]());
  const second = await client.attachInteract(runId);
  const lost = refusal(cloister.Superseded, first.result());
  await begun(second[Symbol.asyncIterator]());
  assert.equal((await lost).code, 'ABORTED');
  await second.cancel();
  assert.equal((await second.result()).verdict, 'CANCELLED');
});

test('large files travel ahead and once', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cloister-sdk-node-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [one, two] = [randomBytes(3 << 20), randomBytes(1 << 20)];
  writeFileSync(join(folder, 'one'), one);
  const files = { one: pathToFileURL(join(folder, 'one')), two, three: 'small' };
  const code = "import hashlib\nprint(*[hashlib.sha256(open(f, 'rb').read()).hexdigest()[:8] for f in ('one', 'two', 'three')])\n";
  const hash = (data) => createHash('sha256').update(data).digest();
  const expected = `${[one, two, 'small'].map((data) => hash(data).toString('hex').slice(0, 8)).join(' ')}\n`;
  assert.equal((await client.missing([hash(one)])).length, 1);
  assert.equal((await run(code, { files })).text, expected);
  assert.deepEqual(await client.missing([hash(one)]), []);
  assert.equal((await run(code, { files })).text, expected);
  assert.deepEqual(await client.put(one), { sha256: hash(one), existed: true });
  assert.equal((await run(code, { files: { ...files, one: { sha256: hash(one) } } })).text, expected);
  const error = await refusal(cloister.Refused, run('1', { files: { large: randomBytes((4 << 20) + 1) } }));
  assert.deepEqual([error.code, error.field], ['INVALID_ARGUMENT', 'size']);
  const unknown = await refusal(cloister.Refused, run('1', { files: { x: { sha256: hash('never put') } } }));
  assert.deepEqual([unknown.code, unknown.reason], ['FAILED_PRECONDITION', 'BLOB_MISSING']);
});

test('over TCP with mutual TLS', async () => {
  const { TLS_TARGET, TLS_CA: ca, TLS_CERT: cert, TLS_KEY: key } = process.env;
  const far = new cloister.Client(TLS_TARGET, { ca, cert, key });
  assert.equal((await far.info()).tenant, 'dns:client.test');
  assert.equal((await far.run("print('over tcp')", { timeoutMs: 30_000 * SLOW })).text, 'over tcp\n');
  far.close();
  assert.throws(() => new cloister.Client(TLS_TARGET, { ca }), TypeError);
  assert.throws(() => new cloister.Client(undefined, { ca }), TypeError);
});

test('a bad request names its field', async () => {
  let error = await refusal(cloister.Refused, run(null, { files: { '../x.py': '1' } }));
  assert.deepEqual([error.code, error.field], ['INVALID_ARGUMENT', 'files[0].path']);
  error = await refusal(cloister.Refused, run('1', { limits: { memory: '64G' } }));
  assert.deepEqual([error.code, error.field], ['INVALID_ARGUMENT', 'limits.memory_bytes']);
  assert.equal((await refusal(cloister.Refused, run('1', { runtime: 'cobol' }))).code, 'NOT_FOUND');
  const talk = await client.interact(null, { argv: ['cat'] });
  await talk.signal('SIGNONE');
  assert.equal((await refusal(cloister.Refused, talk.result())).code, 'INVALID_ARGUMENT');
});

test('what is wrong before it is sent', async () => {
  for (const wrong of [{ limits: { memory: '64X' } }, { limits: { ram: '1M' } }, { limits: { cpu: '0s' } }, { detachGrace: 'soon' },
    { detachGrace: -1 }, { detachGrace: '1h30m' }]) {
    await refusal(RangeError, run('1', wrong));
  }
  for (const wrong of [{ args: 'abc' }, { entry: 'x.py' }, { files: { 'main.py': '' } }, { stdin: 5 }, { file: {} }]) {
    await refusal(TypeError, run('1', wrong));
  }
});

test('a full queue says when to come back', async () => {
  const first = client.stream(NAP);
  assert.equal((await begun(first)).type, 'started');
  const second = client.stream('print(2)');
  const queued = (await second.next()).value;
  assert.deepEqual([queued.type, queued.position], ['queued', 1]);
  const stats = await client.stats({ runs: true });
  assert.deepEqual(stats.runs.map((found) => found.state).sort(), ['queued', 'running']);
  const error = await refusal(cloister.QueueFull, run('print(3)'));
  assert.ok(error.retryAfterMs > 0);
  await first.return(); // ends that run: the next one's turn
  assert.equal((await all(second)).at(-1).verdict, 'EXITED');
});

test('a timeout ends the run', async () => {
  await refusal(cloister.TimedOut, run(NAP, { timeoutMs: 1000 * SLOW }));
  assert.ok((await run('print(1)')).ok);
});

test('no service', async () => {
  const nobody = new cloister.Client('/nonexistent/execsvc.sock');
  assert.equal((await refusal(cloister.Unavailable, nobody.run('print(1)'))).code, 'UNAVAILABLE');
  nobody.close();
});

test('a subject needs act_for', async () => {
  const other = new cloister.Client(undefined, { subject: 'somebody' });
  assert.equal((await refusal(cloister.Refused, other.run(null, { argv: ['true'] }))).code, 'PERMISSION_DENIED');
  other.close();
});

test('the node', async () => {
  const runtimes = new Map((await client.runtimes()).map((found) => [found.name, found]));
  assert.deepEqual([runtimes.get('python3').available, runtimes.get('python3').extensions[0]], [true, '.py']);
  assert.ok(runtimes.get('c').compiled);
  const info = await client.info();
  assert.deepEqual([info.runningMax, info.limits.memory.ceiling, info.tenant], [1, 1 << 30, 'uid:0']);
  const seen = [];
  for await (const stats of client.watch({ intervalMs: 200 })) {
    if (seen.push(stats) === 2) {
      break;
    }
  }
  assert.ok(seen[1].uptimeMs > seen[0].uptimeMs && seen[1].ready && seen[1].verdicts.EXITED > 0);
});

test('several runs at once share a client', async () => {
  const answers = await Promise.all([1, 2].map((n) => run(`print(${n})`)));
  assert.deepEqual(answers.map((result) => result.text), ['1\n', '2\n']);
});

test('what is declared is what there is', () => {
  const declared = readFileSync(join(PACKAGE, 'index.d.ts'), 'utf8');
  const names = [...declared.matchAll(/^export (?:class|const) (\w+)/gm)].map((match) => match[1]);
  assert.deepEqual(names.sort(), Object.keys(cloister).sort());
  for (const kind of ['Client', 'Interaction']) {
    const body = declared.match(new RegExp(`^export class ${kind} [^]*?^}`, 'm'))[0];
    const methods = [...body.matchAll(/^ {2}(\w+)\(.*;$/gm)].map((match) => match[1]);
    const real = Object.getOwnPropertyNames(cloister[kind].prototype);
    assert.deepEqual([...new Set(methods)].filter((name) => name !== 'constructor').sort(),
      real.filter((name) => name !== 'constructor').sort());
  }
});

test('the example', async () => {
  const lines = readFileSync(join(SOURCE, 'examples', 'client.mjs'), 'utf8');
  const failed = await refusal(Error, promisify(execFile)(process.execPath, ['--input-type=module', '-e', lines]));
  assert.equal(failed.code, 1);
  assert.match(failed.stdout, /^hello from inside\nMEMORY_LIMIT: your program .* 64M .*\n$/);
});

test('the readme\'s lines', async () => {
  const blocks = [...readFileSync(join(PACKAGE, 'README.md'), 'utf8').matchAll(/```js\n([^]*?)```/g)].map((match) => match[1]);
  const [first, more, talk] = blocks;
  const node = (lines) => promisify(execFile)(process.execPath, ['--input-type=module', '-e', lines], { timeout: 60_000 * SLOW });
  assert.equal((await node(first)).stdout, '42\n');
  const head = "import { Client } from 'cloister'; const client = new Client();\n";
  const said = (await node(`${head}${more}\n${talk}\nclient.close();`)).stdout;
  assert.match(said, /^EXITED 0 HELLO\nname\? ada\r\nhello ada\r\n$/);
});
