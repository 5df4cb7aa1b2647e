// A program of yours that runs a program of nobody you trust, through api/node:
//     npm install "$(npm pack --silent /path/to/cloister/api/node)" && node examples/client.mjs

import { Client, CloisterError } from 'cloister';

const code = `
print('hello from inside')
x = bytearray(300_000_000)
`;

const client = new Client();
try {
  for await (const event of client.stream(code, { limits: { memory: '64M' } })) {
    if (event.type === 'output') {
      process[event.stream].write(event.data);
    } else if (event.type === 'result') {
      console.log(`${event.verdict}: ${event.explanation.message}`);
      process.exitCode = event.ok ? 0 : 1;
    }
  }
} catch (error) {
  if (!(error instanceof CloisterError)) {
    throw error;
  }
  console.error(`${error.code}: ${error.message}`); // error.field names what is wrong, error.retryAfterMs when to come back
  process.exitCode = 125;
} finally {
  client.close();
}
