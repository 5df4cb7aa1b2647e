#pragma once
/*
 * The table of runs that may outlive their connection, and what they may cost: their number and the
 * bytes that are kept for them, per tenant and in all. Pure bookkeeping; the loop's thread owns it.
 *
 * An entry is `idle` when its run is over and nobody listens to it. When a limit is reached, idle
 * entries make room: the tenant's own for a tenant's limit; for the node's limit those of the
 * tenant that has most of what is short, so that nobody pays for another's hoard. Within a tenant
 * what a client has taken whole goes first, then the oldest.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct keep_table;
struct keep_tenant;

enum {
    KEEP_E_FULL = 1,    /* the node's limit */
    KEEP_E_TENANT_FULL, /* the tenant's */
};

struct keep_limits {
    uint64_t runs_max, runs_per_tenant;
    uint64_t bytes_max, bytes_per_tenant;
};

/* Embedded in its owner, zeroed before keep_add(). */
struct keep_entry {
    struct keep_entry *hash_next;
    struct keep_entry *prev, *next; /* of its tenant, oldest first */
    struct keep_tenant *tenant;     /* NULL: not in a table */
    const char *id;                 /* borrowed */
    uint64_t bytes;                 /* charged */
    bool idle, taken;
};

struct keep_counts {
    uint64_t runs, bytes;
};

/** keep_new() - @drop throws an idle entry out to make room: keep_remove() before it returns. */
int keep_new(const struct keep_limits *limits, void (*drop)(struct keep_entry *entry),
             struct keep_table **ret, struct err *err);
/** keep_free() - when it is empty. */
struct keep_table *keep_free(struct keep_table *table);

/** keep_add() - Return: 0, KEEP_E_*, or -ENOMEM. @tenant is copied. */
int keep_add(struct keep_table *table, struct keep_entry *entry, const char *id,
             const char *tenant);
/** keep_remove() - with all that is charged to it. Nothing happens when it is not in the table. */
void keep_remove(struct keep_table *table, struct keep_entry *entry);

/** keep_find() - @tenant's entry @id, or NULL. */
struct keep_entry *keep_find(const struct keep_table *table, const char *id, const char *tenant);

/** keep_charge() - @bytes are kept for @entry from now on, in all. Less than before is always
 * right. Return: 0, or KEEP_E_*, and what was charged before still is. */
int keep_charge(struct keep_table *table, struct keep_entry *entry, uint64_t bytes);

/** keep_idle() - over, and nobody listens: may make room for others. @taken: a client had it all.
 */
void keep_idle(struct keep_entry *entry, bool taken);
void keep_busy(struct keep_entry *entry);

void keep_counts(const struct keep_table *table, struct keep_counts *ret);
