#pragma once
/* What `cloister top` shows: the newest figures of the node, and what changed since the ones
 * before. */

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/arena.h"

typedef Cloister__Exec__V1__NodeStats top_stats;
typedef Cloister__Exec__V1__RunSummary top_run;

struct top_snapshot {
    struct arena arena; /* holds what follows */
    top_stats *stats;   /* NULL: none yet; its runs are sorted as they are shown */
    top_run **by_id;
};

struct top_figures {
    struct top_snapshot snapshots[2];
    unsigned newest;
};

void top_figures_init(struct top_figures *figures);
void top_figures_done(struct top_figures *figures);

/** top_figures_take() - a copy of @stats becomes the newest. Return: 0 or -ENOMEM. */
int top_figures_take(struct top_figures *figures, const top_stats *stats);
/** top_newest() - NULL before the first; valid until the one after the next is taken. */
const top_stats *top_newest(const struct top_figures *figures);

/** top_runs_per_s() - runs taken in since the figures before; 0 without such. */
double top_runs_per_s(const struct top_figures *figures);
/** top_cpu_percent() - of one processor, since the figures before; -1: not known. */
double top_cpu_percent(const struct top_figures *figures, const top_run *run);

/** top_state_name() - "queued", "running" ... */
const char *top_state_name(const top_run *run);
