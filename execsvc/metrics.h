#pragma once
/* Everything that execsvc tells Prometheus. docs/OPERATIONS.md lists it; its labels are bounded. */

#include <stdio.h>

struct exs;

/** metrics_write() - all families, as text; on the loop's thread. */
void metrics_write(const struct exs *exs, FILE *out);
