#pragma once
/* What the calling process uses. */

#include <stdint.h>

struct process_usage {
    uint64_t rss_bytes;
    uint64_t cpu_us; /* user and system, all threads */
    uint64_t threads;
    uint64_t fds_open, fds_max;
};

/** process_usage() - what cannot be read stays 0. */
void process_usage(struct process_usage *ret);
