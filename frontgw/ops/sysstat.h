#pragma once
/* What the machine and this process use: read from /proc and statvfs. */

#include <stdint.h>

#include "base/process.h"

struct sysstat {
    unsigned cores;
    double load1;
    double cpu_pressure, memory_pressure,
        io_pressure;                         /* PSI "some", % of the last 60 s; -1: unknown */
    uint64_t memory_total, memory_available; /* bytes; a cgroup's limit counts */
    uint64_t disk_total, disk_free;          /* of the data directory */
    struct process_usage process;
};

/** sysstat_read() - what cannot be read stays 0 (or -1). */
void sysstat_read(const char *data_directory, struct sysstat *ret);
