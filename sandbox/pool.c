#include "sandbox/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

#define NETS_AFTER_US  UINT64_C(300) /* whoever waits for an answer asks again at once */
#define READY_AFTER_US UINT64_C(2000)

/* ---- which slot ---- */

bool pool_is_broken(const struct pool *pool, const struct slot *slot)
{
    return pool->tree && !slot->group;
}

void pool_count(const struct pool *pool, struct pool_counts *ret)
{
    *ret = (struct pool_counts){.made = pool->n_slots};
    for (uint32_t i = 0; i < pool->n_slots; i++) {
        ret->busy += pool->slots[i].busy;
        ret->ready += pool->slots[i].ready.made;
        ret->ready_used += pool->slots[i].n_ready_used;
    }
}

bool pool_is_full(const struct pool *pool)
{
    struct pool_counts counts;
    pool_count(pool, &counts);
    return counts.busy == pool->config->slots_max;
}

bool pool_is_quiet(const struct pool *pool)
{
    struct pool_counts counts;
    pool_count(pool, &counts);
    return counts.busy <= 1 && counts.busy < pool->config->slots_max;
}

static bool is_own(const struct slot *slot, const char *tenant)
{
    return slot->tenant[0] && strcmp(slot->tenant, tenant) == 0;
}

/* A ready sandbox is in its slot's network, which must be the tenant's own or nobody's. */
static bool is_ready_for(const struct slot *slot, const struct sbx_spec *spec, uint32_t tree)
{
    return launch_fits(slot, spec, tree) && (slot->fresh_net || is_own(slot, spec->tenant));
}

/* The higher the cheaper. */
enum suit {
    SUIT_NONE,
    SUIT_BROKEN,
    SUIT_READY_FOR_OTHERS,
    SUIT_ANY,
    SUIT_FRESH,
    SUIT_OWN,
    SUIT_READY
};

static enum suit suits(const struct pool *pool, const struct slot *slot,
                       const struct sbx_spec *spec, uint32_t tree)
{
    if (slot->busy)
        return SUIT_NONE;
    if (pool_is_broken(pool, slot))
        return SUIT_BROKEN;
    if (is_ready_for(slot, spec, tree))
        return SUIT_READY;
    if (slot->ready.made)
        return SUIT_READY_FOR_OTHERS;
    if (is_own(slot, spec->tenant))
        return SUIT_OWN;
    return slot->fresh_net ? SUIT_FRESH : SUIT_ANY;
}

static int choose(struct pool *pool, const struct sbx_spec *spec, uint32_t tree, struct slot **ret,
                  struct err *err)
{
    enum suit best = SUIT_NONE;
    for (uint32_t i = 0; i < pool->n_slots; i++) {
        enum suit suit = suits(pool, &pool->slots[i], spec, tree);
        if (suit <= best)
            continue;
        best = suit;
        *ret = &pool->slots[i];
    }
    if (best > SUIT_BROKEN || (best == SUIT_BROKEN && pool->n_slots == pool->config->slots_max))
        return 0;
    uint32_t missing = 0;
    struct slot *slot = &pool->slots[pool->n_slots];
    int r = slot_make(pool->config, pool->tree, pool->n_slots, &missing, slot, err);
    if (r < 0)
        return r;
    pool->n_slots++;
    *ret = slot;
    return 0;
}

/* Where tenants change, networks are made ahead. */
static void note_tenant(struct pool *pool, const struct slot *slot, const char *tenant)
{
    if (slot->tenant[0] && strcmp(slot->tenant, tenant) != 0)
        pool->nets_wanted = SPARE_NETS;
}

int pool_take(struct pool *pool, const struct sbx_spec *spec, uint32_t tree, struct slot **ret,
              struct err *err)
{
    struct slot *slot = NULL;
    int r = choose(pool, spec, tree, &slot, err);
    if (r < 0)
        return r;
    if (!is_ready_for(slot, spec, tree))
        launch_forget(slot);
    note_tenant(pool, slot, spec->tenant);
    r = slot_for_tree(pool->config, slot, tree, pool->env->missing, err);
    if (r == 0)
        r = slot_for_tenant(slot, spec->tenant, spec->layers & pool->env->available,
                            &pool->spare_nets, err);
    if (r < 0)
        return r;
    pool->likely.layers = spec->layers;
    pool->likely.limits = spec->limits;
    pool->likely_tree = tree;
    pool->quiet_since_us = clock_us();
    slot->busy = true;
    *ret = slot;
    return 0;
}

/* ---- while nobody waits ---- */

static bool wants_net(const struct pool *pool)
{
    return pool->spare_nets.n < pool->nets_wanted;
}

static struct slot *to_be_made_ready(struct pool *pool)
{
    for (uint32_t i = 0; i < pool->n_slots; i++) {
        struct slot *slot = &pool->slots[i];
        if (!slot->busy && !slot->ready.made && !pool_is_broken(pool, slot))
            return slot;
    }
    return NULL;
}

static bool wants_ready(const struct pool *pool)
{
    struct pool_counts counts;
    pool_count(pool, &counts);
    return pool->env->launcher == SBX_LAUNCHER_NATIVE && counts.ready < pool->config->ready_max;
}

static bool make_one_ready(struct pool *pool)
{
    struct slot *slot = wants_ready(pool) ? to_be_made_ready(pool) : NULL;
    if (!slot)
        return false;
    /* Of a tenant who may not come next it would be of no use: better one that fits anybody. */
    if (pool->nets_wanted > 0 && !slot->fresh_net &&
        slot_refresh_net(slot, &pool->spare_nets, NULL) < 0)
        return false;
    return slot_for_tree(pool->config, slot, pool->likely_tree, pool->env->missing, NULL) == 0 &&
           launch_ahead(pool->env, slot, &pool->likely, NULL) == 0;
}

static void on_timer(struct loop_timer *timer)
{
    struct pool *pool = container_of(timer, struct pool, timer);
    uint64_t quiet_us = pool->quiet_since_us + READY_AFTER_US;
    bool quiet = clock_us() >= quiet_us;
    bool net = wants_net(pool) && spare_nets_add(&pool->spare_nets, NULL) > 0;
    if (net || (quiet && make_one_ready(pool)))
        loop_timer_set(pool->loop, timer, clock_us(), on_timer);
    else if (!quiet && wants_ready(pool))
        loop_timer_set(pool->loop, timer, quiet_us, on_timer);
}

static void come_back_soon(struct pool *pool)
{
    uint64_t soon = clock_us() + (wants_net(pool) ? NETS_AFTER_US : READY_AFTER_US);
    if (pool->config->one_shot || (!wants_net(pool) && !wants_ready(pool)) ||
        (pool->timer.loop && pool->timer.due_us <= soon))
        return;
    loop_timer_set(pool->loop, &pool->timer, soon, on_timer);
}

void pool_give_back(struct pool *pool, struct slot *slot)
{
    slot->busy = false;
    pool->quiet_since_us = clock_us();
    /* At once: it takes less time than to set a clock for it, and whoever has waited for this run
     * is still reading its result. */
    if (!pool->config->one_shot && !slot->ready.made && !pool_is_broken(pool, slot))
        launch_tidy(pool->env, slot, &pool->config->defaults);
    come_back_soon(pool);
}

/* ---- its life ---- */

int pool_init(struct pool *pool, const struct node_config *config, struct cg_tree *tree,
              uint32_t *missing, struct err *err)
{
    *pool = (struct pool){.config = config, .tree = tree};
    pool->slots = calloc(config->slots_max, sizeof(*pool->slots));
    if (!pool->slots)
        return err_set(err, -ENOMEM, "no memory for %u slots", config->slots_max);
    int r = slot_make(config, tree, 0, missing, &pool->slots[0], err);
    pool->n_slots = r == 0;
    return r;
}

void pool_serve(struct pool *pool, const struct run_env *env, struct loop *loop)
{
    pool->env = env;
    pool->loop = loop;
    pool->likely.layers = pool->config->layers;
    pool->likely.limits = pool->config->defaults;
    come_back_soon(pool);
}
