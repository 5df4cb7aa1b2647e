// Which files of the contract this package needs, and where they are.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const PROTOS = ['cloister/exec/v1/exec.proto', 'cloister/status/v1/status.proto'];

/** The folder that holds them: in an installed package its own, in the source tree the one for all languages. */
export function protoFolder() {
  const places = [new URL('../proto/', import.meta.url), new URL('../../../proto/', import.meta.url)];
  const found = places.find((place) => existsSync(new URL(PROTOS[0], place)));
  if (!found) {
    throw new Error('the contract (exec.proto) is missing: pack this package inside Cloister\'s source tree');
  }
  return fileURLToPath(found);
}
