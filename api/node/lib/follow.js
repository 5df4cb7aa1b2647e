// A run's events over as many connections as it takes.

import { setTimeout as sleep } from 'node:timers/promises';
import { Unavailable } from './errors.js';
import { eventsOf } from './events.js';

const AGAIN_MS = 300;

/** How much of a run is here, as an AttachRequest has it. */
export class Place {
  constructor({ runId = '', stdoutOffset = 0, stderrOffset = 0, filesDone = 0 } = {}) {
    Object.assign(this, { runId, stdoutOffset, stderrOffset, filesDone });
  }

  take(event) {
    if (event.type === 'queued' || event.type === 'started') {
      this.runId = event.runId;
    } else if (event.type === 'output') {
      this[`${event.stream}Offset`] = event.offset + event.data.length;
    } else if (event.type === 'file') {
      this.filesDone += 1;
    }
  }
}

/**
 * The events of the messages that begin() brings; when the connection is lost, attach(place) brings what is missing, for at
 * most graceMs without a word.
 */
export async function* follow(begin, attach, place, graceMs) {
  let messages = begin();
  let giveUp = null;
  for (;;) {
    try {
      for await (const event of eventsOf(messages)) {
        giveUp = null;
        place.take(event);
        yield event;
      }
      return;
    } catch (error) {
      giveUp ??= Date.now() + graceMs;
      const lost = error instanceof Unavailable && error.reason === ''; // not the service's own word
      if (!lost || !place.runId || Date.now() >= giveUp) {
        throw error;
      }
    }
    await sleep(AGAIN_MS);
    messages = attach(place);
  }
}
