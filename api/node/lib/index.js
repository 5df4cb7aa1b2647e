// Run programs that nobody should trust, each in a sandbox of its own; index.d.ts says what there is.

export { Client, DEFAULT_TARGET } from './client.js';
export {
  CloisterError, QueueFull, Refused, ServiceFailed, Superseded, TimedOut, Unavailable,
} from './errors.js';
export { File, Notice, Output, Queued, Result, Started } from './events.js';
export { Interaction } from './interaction.js';
