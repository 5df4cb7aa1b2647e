#pragma once
/* Asks every runtime for its version, in a sandbox, one after the other. */

struct err;
struct exs;

/** probe_start() - @on_done is called once when all have answered or failed. */
int probe_start(struct exs *exs, void (*on_done)(struct exs *exs), struct err *err);
/** probe_stop() - if it is still going on: with the spawner gone. */
void probe_stop(struct exs *exs);
