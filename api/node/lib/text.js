// Bytes of the contract as text and back. Paths and arguments are bytes there; most are UTF-8, and those that are not must
// survive the way through a string: a bad byte 0xNN becomes the lone surrogate U+DCNN, as Python's os.fsdecode has it.

const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const LONE = /[\udc80-\udcff]/;

/** How long the UTF-8 character at `at` is; 0: there is none. */
function characterLength(bytes, at) {
  const first = bytes[at];
  const length = first < 0x80 ? 1 : first >> 5 === 6 ? 2 : first >> 4 === 14 ? 3 : first >> 3 === 30 ? 4 : 0;
  try {
    STRICT.decode(bytes.subarray(at, at + length));
    return at + length <= bytes.length ? length : 0;
  } catch {
    return 0;
  }
}

/** A path as text. */
export function pathText(bytes) {
  try {
    return STRICT.decode(bytes);
  } catch {
    // the slow way, byte by byte
  }
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at);
    text += length ? STRICT.decode(bytes.subarray(at, at + length)) : String.fromCharCode(0xdc00 + bytes[at]);
    at += length || 1;
  }
  return text;
}

/** Text as UTF-8, lone surrogates as the bytes they stand for; bytes as they are. */
export function raw(value, what) {
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  if (typeof value !== 'string') {
    throw new TypeError(`${what}: give a string or bytes (Uint8Array)`);
  }
  if (!LONE.test(value)) {
    return Buffer.from(value, 'utf8');
  }
  // Iterating goes by code point: half of a pair is never alone here.
  return Buffer.concat(Array.from(value, (character) => {
    const code = character.codePointAt(0);
    return code >= 0xdc80 && code <= 0xdcff ? Buffer.from([code - 0xdc00]) : Buffer.from(character, 'utf8');
  }));
}
