#include "execsvc/admission.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define TENANT_BUCKETS 1024
#define MEAN_FIRST_US  UINT64_C(1000000) /* what a run is taken to last before any has ended */
#define MEAN_FLOOR_US  UINT64_C(1000)
#define MEAN_WEIGHT    8 /* a new run counts one eighth */
#define RETRY_MIN_MS   UINT64_C(100)
#define RETRY_MAX_MS   UINT64_C(60000)
#define CREDIT_MAX_US  INT64_C(600000000) /* of batch, either way */
#define EARN_MAX_US    UINT64_C(60000000) /* what a batch run has to have earned at most */

struct adm_line {
    struct adm_ticket *first, *last;
    uint32_t n;
    struct adm_tenant *prev, *next; /* tenants that have someone in a line of this class */
};

struct adm_tenant {
    struct adm_tenant *hash_next;
    uint64_t hash;
    uint64_t seq;             /* when it last came with nothing in hand: breaks ties */
    uint64_t settled_us;      /* virtual permit time of what is over */
    uint64_t mean_us;         /* of its runs; 0: none has ended */
    uint64_t started_sum_us;  /* sum of started_us of what runs */
    uint64_t expected_sum_us; /* what those were taken to last */
    uint32_t running, paused;
    struct adm_line lines[ADM_CLASS_COUNT];
    char name[];
};

struct adm_seen {
    uint64_t hash, at_us; /* 0: nobody yet */
};

struct adm {
    struct adm_config config;
    struct adm_counts counts;
    uint64_t seq;
    uint64_t virtual_us; /* where the last one was served */
    uint64_t mean_us;    /* over all tenants */
    uint64_t
        interactive_since_us; /* since when interactive runs have been waiting without a pause */
    int64_t credit_us;        /* permit time that interactive runs owe to batch */
    uint32_t batch_running;
    struct adm_seen seen[2]; /* the tenant that came last, and the last one that was another */
    struct adm_tenant *lined_up[ADM_CLASS_COUNT];
    struct adm_tenant *buckets[TENANT_BUCKETS];
};

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t less_or_zero(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

int adm_new(const struct adm_config *config, struct adm **ret, struct err *err)
{
    assert(config->running_max > 0 && config->slots_max > 0);
    struct adm *adm = calloc(1, sizeof(*adm));
    if (!adm)
        return err_set(err, -ENOMEM, "admission: %m");
    adm->config = *config;
    struct adm_config *own = &adm->config;
    if (!own->running_per_tenant)
        own->running_per_tenant = (own->running_max + 1) / 2;
    if (!own->slots_per_tenant)
        own->slots_per_tenant = own->slots_max - own->slots_max / 4;
    if (!own->batch_max)
        own->batch_max = own->running_max > 1 ? own->running_max - 1 : 1;
    *ret = adm;
    return 0;
}

/* ---- tenants ---- */

static uint64_t hash_of(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
    return hash;
}

static struct adm_tenant **bucket_of(const struct adm *adm, uint64_t hash)
{
    return (struct adm_tenant **)&adm->buckets[(hash >> 32) % TENANT_BUCKETS];
}

static struct adm_tenant *tenant_find(const struct adm *adm, const char *name)
{
    struct adm_tenant *t = *bucket_of(adm, hash_of(name));
    while (t && strcmp(t->name, name) != 0)
        t = t->hash_next;
    return t;
}

static struct adm_tenant *tenant_get(struct adm *adm, const char *name)
{
    struct adm_tenant *t = tenant_find(adm, name);
    if (t)
        return t;
    size_t len = strlen(name);
    t = calloc(1, sizeof(*t) + len + 1);
    if (!t)
        return NULL;
    memcpy(t->name, name, len);
    t->hash = hash_of(name);
    struct adm_tenant **bucket = bucket_of(adm, t->hash);
    t->hash_next = *bucket;
    *bucket = t;
    adm->counts.tenants++;
    return t;
}

static bool tenant_idle(const struct adm_tenant *t)
{
    return t->running == 0 && t->paused == 0 && t->lines[ADM_INTERACTIVE].n == 0 &&
           t->lines[ADM_BATCH].n == 0;
}

static void tenants_forget(struct adm *adm, bool all)
{
    for (size_t i = 0; i < TENANT_BUCKETS; i++) {
        struct adm_tenant **slot = &adm->buckets[i];
        while (*slot) {
            struct adm_tenant *t = *slot;
            if (!tenant_idle(t) || (!all && t->settled_us > adm->virtual_us)) {
                slot = &t->hash_next;
                continue;
            }
            *slot = t->hash_next;
            adm->counts.tenants--;
            free(t);
        }
    }
}

/* Who has nothing in hand and is not ahead of its time carries no information; nor does anyone on
 * an idle node. */
static void tenant_leave(struct adm *adm, const struct adm_tenant *t)
{
    if (!tenant_idle(t))
        return;
    if (adm->counts.waiting + adm->counts.running + adm->counts.paused == 0) {
        tenants_forget(adm, true);
        adm->virtual_us = 0;
        adm->credit_us = 0;
    } else if (adm->counts.tenants > 2 * TENANT_BUCKETS || t->settled_us <= adm->virtual_us) {
        tenants_forget(adm, false);
    }
}

struct adm *adm_free(struct adm *adm)
{
    if (!adm)
        return NULL;
    assert(adm->counts.waiting + adm->counts.running + adm->counts.paused == 0);
    tenants_forget(adm, true);
    free(adm);
    return NULL;
}

/* ---- who else is there ---- */

static void tenant_seen(struct adm *adm, const struct adm_tenant *t, uint64_t now_us)
{
    if (adm->seen[0].at_us && adm->seen[0].hash != t->hash)
        adm->seen[1] = adm->seen[0];
    adm->seen[0] = (struct adm_seen){t->hash, now_us};
}

/* Others than @t. Who still runs or waits is there, too. */
static bool shared_with_others(const struct adm *adm, const struct adm_tenant *t, uint64_t now_us)
{
    const struct adm_counts *all = &adm->counts;
    uint32_t own_waiting = t->lines[ADM_INTERACTIVE].n + t->lines[ADM_BATCH].n;
    if (all->running > t->running || all->waiting > own_waiting)
        return true;
    const struct adm_seen *other = &adm->seen[adm->seen[0].hash == t->hash];
    return other->at_us && now_us - other->at_us < ADM_SHARING_US;
}

static bool may_start(const struct adm *adm, const struct adm_tenant *t, uint64_t now_us)
{
    if (t->running + t->paused >= adm->config.slots_per_tenant)
        return false;
    return t->running < adm->config.running_per_tenant || !shared_with_others(adm, t, now_us);
}

/* ---- virtual time ---- */

static uint64_t mean_of(const struct adm *adm, const struct adm_tenant *t)
{
    uint64_t mean = t->mean_us ? t->mean_us : adm->mean_us;
    return mean ? max_u64(mean, MEAN_FLOOR_US) : MEAN_FIRST_US;
}

static uint64_t elapsed_of(const struct adm_tenant *t, uint64_t now_us)
{
    return less_or_zero(t->running * now_us, t->started_sum_us);
}

/* The virtual time at which the first of its line is served. */
static uint64_t key_of(const struct adm_tenant *t, uint64_t now_us)
{
    return t->settled_us + max_u64(elapsed_of(t, now_us), t->expected_sum_us);
}

static void mean_add(uint64_t *mean, uint64_t sample)
{
    *mean = *mean ? (*mean * (MEAN_WEIGHT - 1) + sample) / MEAN_WEIGHT : sample;
}

/* ---- lines ---- */

static void line_up(struct adm *adm, struct adm_ticket *ticket)
{
    struct adm_tenant *t = ticket->tenant;
    struct adm_line *line = &t->lines[ticket->class];
    ticket->prev = line->last;
    ticket->next = NULL;
    if (line->last)
        line->last->next = ticket;
    else
        line->first = ticket;
    line->last = ticket;
    adm->counts.waiting++;
    if (line->n++ > 0)
        return;
    struct adm_tenant **head = &adm->lined_up[ticket->class];
    if (!*head && ticket->class == ADM_INTERACTIVE)
        adm->interactive_since_us = ticket->started_us;
    line->prev = NULL;
    line->next = *head;
    if (*head)
        (*head)->lines[ticket->class].prev = t;
    *head = t;
}

static void step_out(struct adm *adm, struct adm_ticket *ticket)
{
    struct adm_tenant *t = ticket->tenant;
    struct adm_line *line = &t->lines[ticket->class];
    *(ticket->prev ? &ticket->prev->next : &line->first) = ticket->next;
    *(ticket->next ? &ticket->next->prev : &line->last) = ticket->prev;
    ticket->prev = ticket->next = NULL;
    adm->counts.waiting--;
    if (--line->n > 0)
        return;
    *(line->prev ? &line->prev->lines[ticket->class].next : &adm->lined_up[ticket->class]) =
        line->next;
    if (line->next)
        line->next->lines[ticket->class].prev = line->prev;
    line->prev = line->next = NULL;
    if (!adm->lined_up[ADM_BATCH] && adm->credit_us > 0)
        adm->credit_us = 0; /* nobody saves up */
}

int adm_submit(struct adm *adm, struct adm_ticket *ticket, const char *tenant, enum adm_class class,
               uint64_t now_us)
{
    assert(ticket->state == ADM_OUT);
    struct adm_tenant *t = tenant_get(adm, tenant);
    if (!t)
        return -ENOMEM;
    bool idle = tenant_idle(t);
    uint32_t waiting = t->lines[ADM_INTERACTIVE].n + t->lines[ADM_BATCH].n;
    if (!idle && waiting >= adm->config.queue_per_tenant)
        return ADM_E_TENANT_FULL;
    if (!idle && adm->counts.waiting >= adm->config.queue_max)
        return ADM_E_QUEUE_FULL;
    if (idle) {
        t->settled_us = max_u64(t->settled_us, adm->virtual_us);
        t->seq = ++adm->seq;
    }
    tenant_seen(adm, t, now_us);
    ticket->tenant = t;
    ticket->class = class;
    ticket->lent_us = 0;
    ticket->started_us = now_us;
    ticket->state = ADM_WAITING;
    line_up(adm, ticket);
    return 0;
}

/* ---- service ---- */

static void credit_add(struct adm *adm, int64_t us)
{
    adm->credit_us += us;
    if (adm->credit_us > CREDIT_MAX_US)
        adm->credit_us = CREDIT_MAX_US;
    if (adm->credit_us < -CREDIT_MAX_US)
        adm->credit_us = -CREDIT_MAX_US;
}

/* What interactive runs use while batch waits earns batch its share; what batch was lent is
 * corrected by what it has used. */
static void credit_settle(struct adm *adm, struct adm_ticket *ticket, uint64_t used_us)
{
    const uint64_t share = adm->config.batch_share, most = (uint64_t)CREDIT_MAX_US;
    uint64_t used = used_us < most ? used_us : most;
    if (ticket->class == ADM_INTERACTIVE && adm->lined_up[ADM_BATCH])
        credit_add(adm, (int64_t)(used * share / (100 - share)));
    else if (ticket->lent_us)
        credit_add(adm, (int64_t)ticket->lent_us - (int64_t)used);
    ticket->lent_us = 0;
}

static void permit_take(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us)
{
    struct adm_tenant *t = ticket->tenant;
    t->running++;
    t->started_sum_us += now_us;
    t->expected_sum_us += mean_of(adm, t);
    ticket->started_us = now_us;
    ticket->state = ADM_RUNNING;
    adm->counts.running++;
    adm->batch_running += ticket->class == ADM_BATCH;
}

static void permit_return(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us)
{
    struct adm_tenant *t = ticket->tenant;
    uint64_t used_us = less_or_zero(now_us, ticket->started_us);
    t->expected_sum_us -= t->expected_sum_us / t->running;
    t->running--;
    t->started_sum_us -= ticket->started_us;
    t->settled_us += used_us;
    mean_add(&t->mean_us, used_us);
    mean_add(&adm->mean_us, used_us);
    adm->counts.running--;
    adm->batch_running -= ticket->class == ADM_BATCH;
    credit_settle(adm, ticket, used_us);
}

static struct adm_ticket *first_in_order(const struct adm *adm, enum adm_class class,
                                         uint64_t now_us)
{
    const struct adm_tenant *best = NULL;
    uint64_t best_key = 0;
    for (const struct adm_tenant *t = adm->lined_up[class]; t; t = t->lines[class].next) {
        uint64_t key = key_of(t, now_us);
        if (!may_start(adm, t, now_us))
            continue;
        if (!best || key < best_key || (key == best_key && t->seq < best->seq)) {
            best = t;
            best_key = key;
        }
    }
    return best ? best->lines[class].first : NULL;
}

static bool batch_has_earned(const struct adm *adm, const struct adm_ticket *ticket)
{
    uint64_t mean = mean_of(adm, ticket->tenant);
    return adm->credit_us >= (int64_t)(mean < EARN_MAX_US ? mean : EARN_MAX_US);
}

struct adm_ticket *adm_next(struct adm *adm, uint64_t now_us)
{
    uint32_t exist = adm->counts.running + adm->counts.paused;
    if (adm->counts.running >= adm->config.running_max || exist >= adm->config.slots_max)
        return NULL;
    struct adm_ticket *batch =
        adm->batch_running < adm->config.batch_max ? first_in_order(adm, ADM_BATCH, now_us) : NULL;
    struct adm_ticket *ticket = first_in_order(adm, ADM_INTERACTIVE, now_us);
    bool lent = batch && ticket && batch_has_earned(adm, batch);
    if (lent || !ticket)
        ticket = batch;
    if (!ticket)
        return NULL;
    /* A big one waits at the head until there is room (nobody overtakes it), and runs alone if need
     * be. */
    uint64_t budget = adm->config.memory_budget_bytes;
    if (budget && exist > 0 && adm->counts.memory_bytes + ticket->memory_bytes > budget)
        return NULL;
    adm->virtual_us = max_u64(adm->virtual_us, key_of(ticket->tenant, now_us));
    step_out(adm, ticket);
    if (lent) {
        ticket->lent_us = mean_of(adm, ticket->tenant);
        credit_add(adm, -(int64_t)ticket->lent_us);
    }
    permit_take(adm, ticket, now_us);
    adm->counts.memory_bytes += ticket->memory_bytes;
    return ticket;
}

void adm_pause(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us)
{
    if (ticket->state != ADM_RUNNING)
        return;
    permit_return(adm, ticket, now_us);
    ticket->tenant->paused++;
    adm->counts.paused++;
    ticket->state = ADM_PAUSED;
}

void adm_resume(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us)
{
    if (ticket->state != ADM_PAUSED)
        return;
    ticket->tenant->paused--;
    adm->counts.paused--;
    permit_take(adm, ticket, now_us);
}

void adm_done(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us)
{
    struct adm_tenant *t = ticket->tenant;
    switch (ticket->state) {
    case ADM_OUT:
        return;
    case ADM_WAITING:
        step_out(adm, ticket);
        break;
    case ADM_RUNNING:
        permit_return(adm, ticket, now_us);
        adm->counts.memory_bytes -= ticket->memory_bytes;
        break;
    case ADM_PAUSED:
        t->paused--;
        adm->counts.paused--;
        adm->counts.memory_bytes -= ticket->memory_bytes;
        break;
    }
    ticket->state = ADM_OUT;
    ticket->tenant = NULL;
    tenant_leave(adm, t);
}

/* ---- what is told to those who wait ---- */

/* How many of @t's line are served before virtual time @at (@tie: also those at @at itself). */
static uint64_t served_before(const struct adm *adm, const struct adm_tenant *t,
                              enum adm_class class, uint64_t at, bool tie, uint64_t now_us)
{
    uint64_t key = key_of(t, now_us), mean = mean_of(adm, t);
    uint64_t n = t->lines[class].n;
    if (key > at || (key == at && !tie))
        return 0;
    uint64_t before = (at - key) / mean + (tie || (at - key) % mean ? 1 : 0);
    return before < n ? before : n;
}

static uint64_t residual_us(const struct adm *adm, uint64_t now_us)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < TENANT_BUCKETS; i++)
        for (const struct adm_tenant *t = adm->buckets[i]; t; t = t->hash_next)
            sum += less_or_zero(t->expected_sum_us, elapsed_of(t, now_us));
    return sum;
}

/* What comes before @ticket. */
struct before {
    uint64_t runs, cost_us; /* all */
    uint64_t own_us;        /* of its tenant */
    uint64_t class_us;      /* of its class */
};

static void before_class(const struct adm *adm, const struct adm_ticket *ticket, uint64_t now_us,
                         struct before *ret)
{
    const struct adm_tenant *own = ticket->tenant;
    const enum adm_class class = ticket->class;
    for (const struct adm_ticket *p = ticket->prev; p; p = p->prev)
        ret->runs++;
    ret->own_us = ret->class_us = ret->runs * mean_of(adm, own);
    const uint64_t at = key_of(own, now_us) + ret->own_us;
    for (const struct adm_tenant *t = adm->lined_up[class]; t; t = t->lines[class].next) {
        if (t == own)
            continue;
        uint64_t n = served_before(adm, t, class, at, t->seq < own->seq, now_us);
        ret->runs += n;
        ret->class_us += n * mean_of(adm, t);
    }
    ret->cost_us = ret->class_us;
}

/*
 * Interactive runs come before it as long as there are any: they are taken to go on coming as long
 * as they have been waiting already. Its share is an end to that. The place is the worst that can
 * come.
 */
static void before_batch(const struct adm *adm, const struct adm_ticket *ticket, uint64_t now_us,
                         struct before *ret)
{
    if (!adm->lined_up[ADM_INTERACTIVE])
        return;
    for (const struct adm_tenant *t = adm->lined_up[ADM_INTERACTIVE]; t;
         t = t->lines[ADM_INTERACTIVE].next) {
        ret->runs += t->lines[ADM_INTERACTIVE].n;
        ret->cost_us += t->lines[ADM_INTERACTIVE].n * mean_of(adm, t);
    }
    ret->cost_us += less_or_zero(now_us, adm->interactive_since_us) * adm->config.running_max;
    if (adm->config.batch_share) {
        uint64_t by_share_us =
            (ret->class_us + mean_of(adm, ticket->tenant)) * 100 / adm->config.batch_share;
        ret->cost_us = by_share_us < ret->cost_us ? by_share_us : ret->cost_us;
    }
}

void adm_place(const struct adm *adm, const struct adm_ticket *ticket, uint64_t now_us,
               struct adm_place *ret)
{
    struct before before = {0};
    *ret = (struct adm_place){0};
    if (ticket->state != ADM_WAITING)
        return;
    before_class(adm, ticket, now_us, &before);
    if (ticket->class == ADM_BATCH)
        before_batch(adm, ticket, now_us, &before);
    uint64_t wait_us = (before.cost_us + residual_us(adm, now_us)) / adm->config.running_max;
    if (shared_with_others(adm, ticket->tenant, now_us))
        wait_us = max_u64(wait_us, before.own_us / adm->config.running_per_tenant);
    ret->ahead = (uint32_t)before.runs;
    ret->expected_wait_ms = wait_us / 1000;
}

uint64_t adm_retry_ms(const struct adm *adm, const char *tenant, uint64_t now_us)
{
    const struct adm_tenant *t = tenant_find(adm, tenant);
    struct adm_place place = {0};
    for (int class = 0; t && class < ADM_CLASS_COUNT; class ++) {
        if (!t->lines[class].first)
            continue;
        adm_place(adm, t->lines[class].first, now_us, &place);
        break;
    }
    uint64_t one_ms = max_u64(adm->mean_us, MEAN_FLOOR_US) / 1000 / adm->config.running_max;
    uint64_t ms = max_u64(place.expected_wait_ms + one_ms, RETRY_MIN_MS);
    return ms < RETRY_MAX_MS ? ms : RETRY_MAX_MS;
}

void adm_counts(const struct adm *adm, struct adm_counts *ret)
{
    *ret = adm->counts;
}

void adm_each_waiting(const struct adm *adm, void (*fn)(struct adm_ticket *ticket, void *arg),
                      void *arg)
{
    for (int class = 0; class < ADM_CLASS_COUNT; class ++)
        for (struct adm_tenant *t = adm->lined_up[class]; t; t = t->lines[class].next)
            for (struct adm_ticket *i = t->lines[class].first; i; i = i->next)
                fn(i, arg);
}
