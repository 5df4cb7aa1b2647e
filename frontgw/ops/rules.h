#pragma once
/*
 * From figures to words: what is short, for how many more it lasts, what to do. One table
 * (rules.c); pure, so that every row has a test.
 */

#include <stddef.h>
#include <stdint.h>

#include "frontgw/ops/sysstat.h"

struct figures {
    struct sysstat sys;
    uint64_t connections, connections_max;
    uint64_t login_wait_ms;  /* longest wait for a thread that checks passwords, lately */
    uint64_t worker_wait_ms; /* ... for any other worker */
    uint64_t workers_refused_per_min;
    uint64_t address_refused_per_min; /* requests refused by the limit per address */
    double database_used;             /* part of the connections in use, 0..1 */
    int redis;                        /* -1: not configured, 0: down, 1: up */
    uint64_t sessions;                /* people who are logged in */
};

enum severity { SEVERITY_OK, SEVERITY_WARNING, SEVERITY_CRITICAL };

struct advice {
    const char *rule; /* static */
    enum severity severity;
    double value, warning, critical; /* the figure and its thresholds */
    char state[160];  /* "1.2 GB of memory are free: enough for about 150 more people" */
    char action[200]; /* "" when nothing has to be done */
};

const char *severity_name(enum severity severity);
/** rules_apply() - one advice for every rule whose figure is known, in the order of the table.
 * Return: how many. */
size_t rules_apply(const struct figures *figures, struct advice *ret, size_t max);
size_t rules_count(void);
