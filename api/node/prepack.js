// Puts the contract beside the code before the package is packed (in the source tree it stands in proto/, for all languages),
// and takes it away again afterwards, so that no copy grows old here.

import { copyFileSync, mkdirSync, rmSync } from 'node:fs';
import { PROTOS } from './lib/protos.js';

rmSync(new URL('proto/', import.meta.url), { recursive: true, force: true });
for (const proto of process.argv[2] === '--undo' ? [] : PROTOS) {
  const target = new URL(`proto/${proto}`, import.meta.url);
  mkdirSync(new URL('.', target), { recursive: true });
  copyFileSync(new URL(`../../proto/${proto}`, import.meta.url), target);
}
