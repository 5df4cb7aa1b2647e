// Compiled, never run: what index.d.ts promises is enough to write this, and what it forbids is an error.

import { Client, CloisterError, QueueFull, Result, type Event, type RunOptions } from 'cloister';

async function everyName(client: Client): Promise<string> {
  const options: RunOptions = {
    runtime: 'python3', files: { 'a.txt': 'x', 'b.bin': new Uint8Array(2), 'c': new URL('file:///c') }, args: ['-v'],
    limits: { memory: '64M', processes: 20 }, policy: 'no-subprocess', collect: ['*.txt'], signal: AbortSignal.timeout(1000),
  };
  const result: Result = await client.run('print(1)', options);
  for await (const event of client.stream('print(1)')) {
    if (event.type === 'output') {
      const bytes: Buffer = event.data;
      return event.stream + bytes.length;
    }
    shown(event);
  }
  const talk = await client.interact(null, { argv: ['cat'], terminal: true });
  await talk.write('hello');
  await talk.signal('SIGINT');
  await talk.resize(30, 100);
  const { sha256 } = await client.put('data');
  await client.run(undefined, { argv: ['ls'], files: { data: { sha256 } } });
  const ceiling: number = (await client.info()).limits.memory.ceiling;
  return `${result.outputs.get('x')?.toString()} ${ceiling} ${(await talk.result()).verdict}`;
}

function shown(event: Event): string {
  switch (event.type) {
    case 'queued': return `${event.position}`;
    case 'started': return event.runtimeVersion;
    case 'file': return event.path;
    case 'notice': return event.message;
    case 'result': return event.exitCode === null ? 'none' : event.exitCode.toFixed();
    default: return event.text;
  }
}

function delay(error: unknown): number | null {
  return error instanceof QueueFull ? error.retryAfterMs : error instanceof CloisterError ? error.code.length : null;
}

// @ts-expect-error: no such limit
const misspelt: RunOptions = { limits: { ram: '1M' } };
// @ts-expect-error: results are not to be written to
const writable = (result: Result) => { result.verdict = 'EXITED'; };

export { everyName, delay, misspelt, writable };
