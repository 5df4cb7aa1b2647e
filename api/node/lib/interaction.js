// A run with a say in it: input, signals, window size.

import { fromRpc } from './errors.js';
import { eventsOf, gather } from './events.js';
import { windowSize } from './request.js';
import { raw } from './text.js';

const INPUT_MAX = 64 << 10; // bytes of input in one message

export class Interaction {
  #call;
  #events;
  #over = false;
  #ended;

  /** @signal (an AbortSignal, or nothing) has been tied to the call; @release lets go of it. */
  constructor(call, first, { signal, release }) {
    this.#call = call;
    this.#ended = new Promise((resolve) => {
      const end = () => {
        this.#over = true;
        release();
        resolve(false);
      };
      call.once('status', end);
      call.on('error', end); // the iteration throws it; writes only learn that it is over
    });
    this.#events = this.#read(signal);
    call.write(first);
  }

  async* #read(signal) {
    try {
      for await (const event of eventsOf(this.#call)) {
        if (event.type === 'result') {
          this.#over = true;
          this.#call.end();
        }
        yield event;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw fromRpc(error);
    } finally {
      this.close();
    }
  }

  [Symbol.asyncIterator]() {
    return this.#events;
  }

  /** Everything that is still to come, to the Result. */
  result() {
    return gather(this.#events);
  }

  #say(action) {
    if (this.#over) {
      return Promise.resolve(false);
    }
    const said = new Promise((resolve) => this.#call.write(action, (error) => resolve(!error)));
    return Promise.race([said, this.#ended]);
  }

  async write(data) {
    const bytes = raw(data, 'write');
    for (let at = 0; at < bytes.length; at += INPUT_MAX) {
      if (!await this.#say({ stdinData: bytes.subarray(at, at + INPUT_MAX) })) {
        return false;
      }
    }
    return !this.#over;
  }

  end() {
    return this.#say({ closeStdin: {} });
  }

  signal(name) {
    return this.#say({ signal: { name } });
  }

  resize(rows, cols) {
    return this.#say({ resize: windowSize({ rows, cols }) });
  }

  cancel() {
    return this.#say({ cancel: {} });
  }

  close() {
    this.#over = true;
    this.#call.cancel();
  }
}
