#include "execsvc/spawner.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "execsvc/step.h"

#define BUCKETS 256

struct spawner {
    struct spawn_client *client;
    struct loop_io io;
    struct spawner_events events;
    void *arg;
    uint64_t last_number;
    struct step *buckets[BUCKETS];
};

static struct step **slot_of(struct spawner *spawner, uint64_t number)
{
    struct step **slot = &spawner->buckets[number % BUCKETS];
    while (*slot && (*slot)->number != number)
        slot = &(*slot)->next_hash;
    return slot;
}

static struct step *take(struct spawner *spawner, uint64_t number)
{
    struct step **slot = slot_of(spawner, number);
    struct step *step = *slot;
    if (step)
        *slot = step->next_hash;
    return step;
}

static void on_started(void *arg, uint64_t number, int pty_master)
{
    AUTO_CLOSE int fd = pty_master;
    struct step *step = *slot_of(arg, number);
    if (step)
        step_on_started(step, take_fd(&fd));
}

static void on_result(void *arg, uint64_t number, const struct run_result *result)
{
    struct step *step = take(arg, number);
    if (step)
        step_on_result(step, result);
}

static void on_refused(void *arg, uint64_t number, const struct err *err)
{
    struct step *step = take(arg, number);
    if (step)
        step_on_refused(step, err);
}

static void on_usage(void *arg, uint64_t number, const struct run_usage *usage, bool waits)
{
    struct step *step = *slot_of(arg, number);
    if (step)
        step_on_usage(step, usage, waits);
}

static void on_node_stats(void *arg, const struct spawn_node_stats *stats)
{
    struct spawner *spawner = arg;
    spawner->events.on_node_stats(spawner->arg, stats);
}

static void lost(struct spawner *spawner, const struct err *err)
{
    if (!spawner->io.loop)
        return;
    loop_io_remove(&spawner->io);
    spawner->events.on_lost(spawner->arg, err);
}

static void on_io(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct spawner *spawner = container_of(io, struct spawner, io);
    struct err err = {0};
    if (spawn_client_dispatch(spawner->client, &err) < 0)
        lost(spawner, &err);
}

int spawner_new(struct loop *loop, int fd, const struct spawner_events *events, void *arg,
                struct spawner **ret, struct err *err)
{
    static const struct spawn_events own = {.on_started = on_started,
                                            .on_result = on_result,
                                            .on_refused = on_refused,
                                            .on_usage = on_usage,
                                            .on_node_stats = on_node_stats};
    AUTO_CLOSE int sock = fd;
    struct spawner *spawner = calloc(1, sizeof(*spawner));
    if (!spawner)
        return err_set(err, -ENOMEM, "link to the spawner: %m");
    spawner->events = *events;
    spawner->arg = arg;
    int r = spawn_client_new(take_fd(&sock), &own, spawner, &spawner->client, err);
    if (r == 0)
        r = loop_io_add(loop, &spawner->io, spawn_client_fd(spawner->client), EPOLLIN, on_io, err);
    if (r < 0) {
        spawner_free(spawner);
        return r;
    }
    *ret = spawner;
    return 0;
}

struct spawner *spawner_free(struct spawner *spawner)
{
    if (!spawner)
        return NULL;
    loop_io_remove(&spawner->io);
    spawn_client_free(spawner->client);
    free(spawner);
    return NULL;
}

const struct spawn_node *spawner_node(const struct spawner *spawner)
{
    return spawn_client_node(spawner->client);
}

int spawner_query_node(struct spawner *spawner, struct err *err)
{
    return spawn_client_query_node(spawner->client, err);
}

int spawner_run(struct spawner *spawner, struct step *step, const struct sbx_spec *spec,
                const struct spawn_fds *fds, struct err *err)
{
    uint64_t number = spawner->last_number + 1;
    int r = spawn_client_run(spawner->client, number, spec, fds, err);
    if (r < 0)
        return r;
    spawner->last_number = step->number = number;
    struct step **bucket = &spawner->buckets[number % BUCKETS];
    step->next_hash = *bucket;
    *bucket = step;
    return 0;
}

/* An order that can't be sent because the socket is full is lost; a socket that broke is seen by
 * on_io. */
void spawner_end(struct spawner *spawner, uint64_t number, enum spawn_end why)
{
    spawn_client_end(spawner->client, number, why, NULL);
}

void spawner_signal(struct spawner *spawner, uint64_t number, int signo)
{
    spawn_client_signal(spawner->client, number, signo, NULL);
}

void spawner_query(struct spawner *spawner, uint64_t number)
{
    spawn_client_query(spawner->client, number, NULL);
}
