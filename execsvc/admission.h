#pragma once
/*
 * Who may run next. Pure bookkeeping: no clock, no descriptors, no threads of its own (the loop's
 * thread owns it); the caller brings the time.
 *
 * Theory of operation. A run needs a permit (`running_max`), and while its sandbox exists a slot
 * (`slots_max`) and a part of the memory budget. What can't start waits in its tenant's line.
 * Interactive lines are served before batch lines; within a class the tenant that has used the
 * least permit time is next. Permit time is virtual: a tenant that comes (back) starts at the
 * virtual time of the last service, so that nobody saves up credit by staying away and nobody pays
 * for a flood of others. Order alone does not help who comes when every permit has gone to one
 * tenant's long runs: while others have been seen within ADM_SHARING_US, a tenant holds at most
 * `running_per_tenant` permits. It never holds more than `slots_per_tenant` sandboxes, those
 * without a permit included.
 *
 * Batch can't be starved, nor starve others: while batch runs wait, the permit time of interactive
 * ones earns them `batch_share` percent of it. A batch run goes first when its expected time has
 * been earned, and is charged its real time; `batch_max` leaves a permit to interactive runs.
 *
 * A run is charged the mean of its tenant's earlier runs when it starts, its
 * real time as soon as that is longer, and its real time when it is over. So the place of a waiting
 * run can be told in closed form: how many runs of other lines come before the virtual time at
 * which it is served.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct adm;
struct adm_tenant;

enum adm_class { ADM_INTERACTIVE, ADM_BATCH, ADM_CLASS_COUNT };

enum {
    ADM_E_QUEUE_FULL = 1, /* the node's queue, and the tenant has something in hand already */
    ADM_E_TENANT_FULL,    /* the tenant's own line */
};

#define ADM_SHARING_US UINT64_C(60000000) /* who had a run within this time counts as there */

/* 0 in the lower part: adm_new() takes what the comment says. */
struct adm_config {
    uint32_t running_max, slots_max;
    uint32_t queue_max, queue_per_tenant;
    uint64_t memory_budget_bytes; /* of the limits of all sandboxes together; 0: none */
    uint32_t batch_share;         /* percent of permit time, at most 50; 0: none */

    uint32_t running_per_tenant; /* half of running_max, rounded up */
    uint32_t slots_per_tenant;   /* three quarters of slots_max, rounded up */
    uint32_t batch_max;          /* running_max - 1, at least 1 */
};

enum adm_state { ADM_OUT, ADM_WAITING, ADM_RUNNING, ADM_PAUSED };

/* Embedded in a run; zeroed memory is a ticket that is out. Must be out before its memory goes. */
struct adm_ticket {
    enum adm_state state;
    enum adm_class class;
    uint64_t memory_bytes; /* set by the caller before adm_submit() */
    uint64_t started_us;   /* of its permit; while it waits: since when */
    uint64_t lent_us;      /* what the account of batch was charged when it started; 0: nothing */
    struct adm_tenant *tenant;
    struct adm_ticket *prev, *next; /* in the tenant's line */
};

struct adm_counts {
    uint32_t waiting, running, paused, tenants;
    uint64_t memory_bytes;
};

struct adm_place {
    uint32_t ahead;            /* runs that are served before this one */
    uint64_t expected_wait_ms; /* an estimate from the means so far */
};

int adm_new(const struct adm_config *config, struct adm **ret, struct err *err);
/** adm_free() - every ticket must be out. */
struct adm *adm_free(struct adm *adm);

/**
 * adm_submit() - @ticket joins the line of @tenant
 * Return: 0, ADM_E_*, or -ENOMEM. A tenant with nothing in hand is always taken in.
 */
int adm_submit(struct adm *adm, struct adm_ticket *ticket, const char *tenant, enum adm_class class,
               uint64_t now_us);

/** adm_next() - the run to start now, its permit taken; NULL: nothing may start. Call until NULL.
 */
struct adm_ticket *adm_next(struct adm *adm, uint64_t now_us);

/** adm_pause() - the sandbox stays, the permit goes back (it waits for a person). */
void adm_pause(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us);
/** adm_resume() - go on at once, even above running_max: a person who types does not queue again.
 */
void adm_resume(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us);

/** adm_done() - from any state to out. */
void adm_done(struct adm *adm, struct adm_ticket *ticket, uint64_t now_us);

/** adm_place() - of a waiting ticket; all zero for any other. */
void adm_place(const struct adm *adm, const struct adm_ticket *ticket, uint64_t now_us,
               struct adm_place *ret);

/** adm_retry_ms() - when a refused tenant may try again with a chance: 100 ms to 60 s. */
uint64_t adm_retry_ms(const struct adm *adm, const char *tenant, uint64_t now_us);

void adm_counts(const struct adm *adm, struct adm_counts *ret);

/** adm_each_waiting() - in no particular order; @fn must not change the queue. */
void adm_each_waiting(const struct adm *adm, void (*fn)(struct adm_ticket *ticket, void *arg),
                      void *arg);
