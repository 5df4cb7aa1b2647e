#include "execsvc/keep.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define BUCKETS 1024

struct keep_tenant {
    struct keep_tenant *hash_next;
    struct keep_entry *first, *last;
    struct keep_counts counts;
    char name[];
};

struct keep_table {
    struct keep_limits limits;
    void (*drop)(struct keep_entry *entry);
    struct keep_counts counts;
    struct keep_tenant *tenants[BUCKETS];
    struct keep_entry *ids[BUCKETS];
};

static size_t bucket_of(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return (hash >> 32) % BUCKETS;
}

int keep_new(const struct keep_limits *limits, void (*drop)(struct keep_entry *entry),
             struct keep_table **ret, struct err *err)
{
    struct keep_table *table = calloc(1, sizeof(*table));
    if (!table)
        return err_set(err, -ENOMEM, "table of runs: %m");
    table->limits = *limits;
    table->drop = drop;
    *ret = table;
    return 0;
}

struct keep_table *keep_free(struct keep_table *table)
{
    assert(!table || table->counts.runs == 0);
    free(table);
    return NULL;
}

/* ---- tenants ---- */

static struct keep_tenant *tenant_find(const struct keep_table *table, const char *name)
{
    struct keep_tenant *t = table->tenants[bucket_of(name)];
    while (t && strcmp(t->name, name) != 0)
        t = t->hash_next;
    return t;
}

static struct keep_tenant *tenant_get(struct keep_table *table, const char *name)
{
    struct keep_tenant *t = tenant_find(table, name);
    if (t)
        return t;
    size_t len = strlen(name);
    t = calloc(1, sizeof(*t) + len + 1);
    if (!t)
        return NULL;
    memcpy(t->name, name, len);
    struct keep_tenant **bucket = &table->tenants[bucket_of(name)];
    t->hash_next = *bucket;
    *bucket = t;
    return t;
}

static void tenant_forget(struct keep_table *table, struct keep_tenant *t)
{
    struct keep_tenant **at = &table->tenants[bucket_of(t->name)];
    while (*at != t)
        at = &(*at)->hash_next;
    *at = t->hash_next;
    free(t);
}

/* ---- room ---- */

/* The first of @t that may go; with @holding only one whose bytes are worth it. */
static struct keep_entry *spare_of(const struct keep_tenant *t, bool holding)
{
    struct keep_entry *oldest = NULL;
    for (struct keep_entry *e = t->first; e; e = e->next) {
        if (!e->idle || (holding && e->bytes == 0))
            continue;
        if (e->taken)
            return e;
        if (!oldest)
            oldest = e;
    }
    return oldest;
}

/* Of the tenant that has most of what is short (@bytes, or runs). */
static struct keep_entry *spare_of_all(const struct keep_table *table, bool bytes)
{
    struct keep_entry *best = NULL;
    uint64_t most = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct keep_tenant *t = table->tenants[i]; t; t = t->hash_next) {
            uint64_t has = bytes ? t->counts.bytes : t->counts.runs;
            struct keep_entry *spare = has > most ? spare_of(t, bytes) : NULL;
            if (!spare)
                continue;
            best = spare;
            most = has;
        }
    }
    return best;
}

/* The newcomer is counted already, so that its tenant stays while others go. */
static int make_room_for_run(struct keep_table *table, const struct keep_tenant *t)
{
    struct keep_entry *spare;
    while (t->counts.runs > table->limits.runs_per_tenant) {
        if (!(spare = spare_of(t, false)))
            return KEEP_E_TENANT_FULL;
        table->drop(spare);
    }
    while (table->counts.runs > table->limits.runs_max) {
        if (!(spare = spare_of_all(table, false)))
            return KEEP_E_FULL;
        table->drop(spare);
    }
    return 0;
}

static bool too_many(uint64_t have, uint64_t more, uint64_t limit)
{
    return more > limit || have > limit - more;
}

static int make_room_for_bytes(struct keep_table *table, const struct keep_tenant *t, uint64_t more)
{
    struct keep_entry *spare;
    while (too_many(t->counts.bytes, more, table->limits.bytes_per_tenant)) {
        if (!(spare = spare_of(t, true)))
            return KEEP_E_TENANT_FULL;
        table->drop(spare);
    }
    while (too_many(table->counts.bytes, more, table->limits.bytes_max)) {
        if (!(spare = spare_of_all(table, true)))
            return KEEP_E_FULL;
        table->drop(spare);
    }
    return 0;
}

/* ---- entries ---- */

static void uncount_run(struct keep_table *table, struct keep_tenant *t)
{
    table->counts.runs--;
    if (--t->counts.runs == 0)
        tenant_forget(table, t);
}

int keep_add(struct keep_table *table, struct keep_entry *entry, const char *id, const char *tenant)
{
    struct keep_tenant *t = tenant_get(table, tenant);
    if (!t)
        return -ENOMEM;
    t->counts.runs++;
    table->counts.runs++;
    int r = make_room_for_run(table, t);
    if (r != 0) {
        uncount_run(table, t);
        return r;
    }
    *entry = (struct keep_entry){.id = id, .tenant = t, .prev = t->last};
    *(t->last ? &t->last->next : &t->first) = entry;
    t->last = entry;
    struct keep_entry **bucket = &table->ids[bucket_of(id)];
    entry->hash_next = *bucket;
    *bucket = entry;
    return 0;
}

void keep_remove(struct keep_table *table, struct keep_entry *entry)
{
    struct keep_tenant *t = entry->tenant;
    if (!t)
        return;
    struct keep_entry **at = &table->ids[bucket_of(entry->id)];
    while (*at != entry)
        at = &(*at)->hash_next;
    *at = entry->hash_next;
    *(entry->prev ? &entry->prev->next : &t->first) = entry->next;
    *(entry->next ? &entry->next->prev : &t->last) = entry->prev;
    t->counts.bytes -= entry->bytes;
    table->counts.bytes -= entry->bytes;
    *entry = (struct keep_entry){0};
    uncount_run(table, t);
}

struct keep_entry *keep_find(const struct keep_table *table, const char *id, const char *tenant)
{
    struct keep_entry *entry = table->ids[bucket_of(id)];
    while (entry && strcmp(entry->id, id) != 0)
        entry = entry->hash_next;
    return entry && strcmp(entry->tenant->name, tenant) == 0 ? entry : NULL;
}

int keep_charge(struct keep_table *table, struct keep_entry *entry, uint64_t bytes)
{
    struct keep_tenant *t = entry->tenant;
    if (bytes > entry->bytes) {
        int r = make_room_for_bytes(table, t, bytes - entry->bytes);
        if (r != 0)
            return r;
    }
    t->counts.bytes += bytes - entry->bytes;
    table->counts.bytes += bytes - entry->bytes;
    entry->bytes = bytes;
    return 0;
}

void keep_idle(struct keep_entry *entry, bool taken)
{
    entry->idle = true;
    entry->taken = taken;
}

void keep_busy(struct keep_entry *entry)
{
    entry->idle = false;
}

void keep_counts(const struct keep_table *table, struct keep_counts *ret)
{
    *ret = table->counts;
}
