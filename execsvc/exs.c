#include "execsvc/exs.h"

#include "base/clock.h"
#include "execsvc/compile_cache.h"
#include "execsvc/run.h"
#include "execsvc/run_keep.h"
#include "execsvc/spawner.h"

#define PLACES_EVERY_US UINT64_C(500000)
#define PLACES_MANY     500 /* telling each its place takes time by the square of their number */

int exs_admission(struct exs *exs, struct err *err)
{
    uint32_t slots = spawner_node(exs->spawner)->slots_max;
    const struct adm_config config = {
        .running_max = (uint32_t)exs->config->running_max,
        .slots_max = slots > 0 ? slots : 1,
        .queue_max = (uint32_t)exs->config->queue_max,
        .queue_per_tenant = (uint32_t)exs->config->queue_per_tenant,
        .memory_budget_bytes = exs->config->memory_budget,
        .batch_share = (uint32_t)exs->config->batch_share,
        .running_per_tenant = (uint32_t)exs->config->running_per_tenant,
        .slots_per_tenant = (uint32_t)exs->config->slots_per_tenant,
        .batch_max = (uint32_t)exs->config->batch_max,
    };
    int r = adm_new(&config, &exs->adm, err);
    if (r == 0)
        r = compile_cache_new(exs->config->compile_cache, exs->config->compile_cache_entries,
                              &exs->compiled, err);
    return r < 0 ? r : run_keep_table(exs, err);
}

static void tell_place(struct adm_ticket *ticket, void *arg)
{
    struct exs *exs = arg;
    struct adm_place place;
    adm_place(exs->adm, ticket, clock_us(), &place);
    run_on_place(container_of(ticket, struct run, ticket), &place);
}

static void on_places(struct loop_timer *timer);

static void tell_places_later(struct exs *exs, uint32_t waiting)
{
    uint64_t times = 1 + waiting / PLACES_MANY;
    loop_timer_set(exs->loop, &exs->places, clock_us() + times * PLACES_EVERY_US, on_places);
}

static void on_places(struct loop_timer *timer)
{
    struct exs *exs = container_of(timer, struct exs, places);
    struct adm_counts counts;
    adm_each_waiting(exs->adm, tell_place, exs);
    adm_counts(exs->adm, &counts);
    if (counts.waiting > 0)
        tell_places_later(exs, counts.waiting);
}

void exs_schedule(struct exs *exs)
{
    struct adm_ticket *ticket;
    struct adm_counts counts;
    exs->schedule_again = true;
    if (exs->scheduling) /* a run that ended at once: the loop below sees to it */
        return;
    exs->scheduling = true;
    while (exs->schedule_again && !exs->draining) {
        exs->schedule_again = false;
        while ((ticket = adm_next(exs->adm, clock_us())))
            run_begin(container_of(ticket, struct run, ticket));
    }
    exs->scheduling = false;
    adm_counts(exs->adm, &counts);
    if (counts.waiting > 0 && !exs->places.loop)
        tell_places_later(exs, counts.waiting);
}

void exs_check_stalls(struct exs *exs)
{
    uint64_t now = clock_us();
    for (struct run *run = exs->runs, *next; run; run = next) {
        next = run->next;
        run_check_stall(run, now);
    }
}

void exs_drain(struct exs *exs)
{
    exs->draining = true;
    for (struct run *run = exs->runs, *next; run; run = next) {
        next = run->next;
        run_on_drain(run, exs->config->drain_ms);
    }
}

bool exs_has_work(const struct exs *exs)
{
    for (const struct run *run = exs->runs; run; run = run->next)
        if (run->state != RUN_ENDED || run->listener)
            return true;
    return false;
}

void exs_close(struct exs *exs)
{
    exs->closing = true;
    for (struct run *run = exs->runs, *next; run; run = next) {
        next = run->next;
        if (!run->listener)
            run_abandon(run);
    }
}

void exs_forget_runs(struct exs *exs)
{
    exs->draining = true;
    while (exs->runs)
        run_free(exs->runs);
}

void exs_limits(const struct exs *exs, const struct limits *runtime_limits, struct limits *ret)
{
    *ret = exs->defaults;
    for (int id = 0; runtime_limits && id < LIMIT_COUNT; id++)
        if (runtime_limits->v[id])
            ret->v[id] = runtime_limits->v[id];
}
