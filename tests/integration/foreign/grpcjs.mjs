// @grpc/grpc-js with proto-loader straight from the .proto file: no line of Cloister's own client.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const PROTO = join(process.env.CLOISTER_SOURCE, 'proto');
const TARGET = `unix:${process.env.CLOISTER_SOCKET}`;
const SLOW = process.env.CLOISTER_SLOW ? 4 : 1;
// As its documentation shows it: names as in the file, 64-bit numbers as text.
const OPTIONS = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true, includeDirs: [PROTO] };
const found = grpc.loadPackageDefinition(loader.loadSync(['cloister/exec/v1/exec.proto', 'grpc/health/v1/health.proto'], OPTIONS));
const { Execution, Node } = found.cloister.exec.v1;
const clients = [Execution, Node, found.grpc.health.v1.Health].map((Service) => new Service(TARGET, grpc.credentials.createInsecure()));
const [execution, node, health] = clients;

after(() => clients.forEach((client) => client.close()));

function soon() {
  return { deadline: Date.now() + 30_000 * SLOW };
}

async function all(call) {
  const events = [];
  for await (const event of call) {
    events.push(event);
  }
  return events;
}

function output(events) {
  return Buffer.concat(events.filter((event) => event.event === 'output').map((event) => event.output.data)).toString();
}

test('a program runs and its files come back', async () => {
  const code = "print(6 * 7)\nopen('f', 'wb').write(bytes(100000))\n";
  const events = await all(execution.execute({
    runtime: 'python3', files: [{ path: Buffer.from('a.py'), content: Buffer.from(code) }],
    limits: { memory_bytes: '67108864', cpu_ms: 2000 }, collect: {},
  }, soon()));
  assert.deepEqual([events[0].event, events.at(-1).event], ['started', 'result']);
  assert.equal(output(events), '42\n');
  const pieces = events.filter((event) => event.event === 'file').map((event) => event.file);
  assert.deepEqual([pieces.length > 1, pieces.at(-1).last, pieces[0].size], [true, true, '100000']);
  const { result } = events.at(-1);
  assert.deepEqual([result.verdict, result.exit, result.exit_code], ['VERDICT_EXITED', 'exit_code', 0]);
});

test('input, a signal and the end of the call', async () => {
  const call = execution.interact(soon());
  call.write({ start: { argv: [Buffer.from('sh'), Buffer.from('-c'), Buffer.from("trap 'echo got it; exit 7' USR1; echo on; while :; do sleep 0.05; done")] } });
  const events = [];
  for await (const event of call) {
    events.push(event);
    if (event.event === 'output' && event.output.data.toString() === 'on\n') {
      call.write({ signal: { name: 'SIGUSR1' } });
    }
    if (event.event === 'result') {
      call.end();
    }
  }
  assert.equal(output(events), 'on\ngot it\n');
  assert.equal(events.at(-1).result.exit_code, 7);
});

test('a refusal has its status, its words and its details', async () => {
  const call = execution.execute({ argv: [Buffer.from('true')], limits: { memory_bytes: '68719476736' } }, soon());
  const error = await all(call).then(() => assert.fail('it was not refused'), (caught) => caught);
  assert.equal(error.code, grpc.status.INVALID_ARGUMENT);
  assert.match(error.details, /memory: 64G is above the ceiling of 1G/);
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  assert.ok(Buffer.isBuffer(bytes) && bytes.includes('type.googleapis.com/google.rpc.BadRequest')
    && bytes.includes('limits.memory_bytes'));
});

test('a caller that leaves ends its run', async () => {
  const call = execution.execute({ argv: [Buffer.from('sleep'), Buffer.from('60')] }, soon());
  await assert.rejects(async () => {
    for await (const event of call) {
      assert.ok(event.event === 'queued' || event.event === 'started');
      call.cancel();
    }
  }, { code: grpc.status.CANCELLED });
  const stats = promisify(node.stats.bind(node));
  while ((await stats({})).running > 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

test('the node and its health', async () => {
  const { runtimes } = await promisify(node.runtimes.bind(node))({});
  assert.ok(runtimes.some((runtime) => runtime.name === 'python3' && runtime.available));
  assert.equal((await promisify(health.check.bind(health))({ service: 'cloister.exec.v1.Execution' })).status, 'SERVING');
  const watch = health.watch({ service: '' }, soon());
  for await (const { status } of watch) {
    assert.equal(status, 'SERVING');
    break;
  }
  watch.cancel();
});
