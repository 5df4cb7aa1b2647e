#pragma once
/*
 * The link to the spawner on the loop, and which of its runs belongs to which step (step.h).
 * Belongs to the loop's thread.
 */

#include <stdint.h>

#include "base/loop.h"
#include "sandbox/spawn_client.h"

struct err;
struct spawner;
struct step;

struct spawner_events {
    /* The spawner is gone: every run with it. The process ends and is started again. */
    void (*on_lost)(void *arg, const struct err *err);
    void (*on_node_stats)(void *arg, const struct spawn_node_stats *stats);
};

/** spawner_new() - on the socket @fd (ownership moves in); waits for its hello. */
int spawner_new(struct loop *loop, int fd, const struct spawner_events *events, void *arg,
                struct spawner **ret, struct err *err);
struct spawner *spawner_free(struct spawner *spawner);

const struct spawn_node *spawner_node(const struct spawner *spawner);
int spawner_query_node(struct spawner *spawner, struct err *err);

/**
 * spawner_run() - order @spec for @step; its events then go to the step until the last one
 * Return: 0; -EAGAIN when the socket is full (try again soon); or a fault of the spec.
 */
int spawner_run(struct spawner *spawner, struct step *step, const struct sbx_spec *spec,
                const struct spawn_fds *fds, struct err *err);
void spawner_end(struct spawner *spawner, uint64_t number, enum spawn_end why);
void spawner_signal(struct spawner *spawner, uint64_t number, int signo);
void spawner_query(struct spawner *spawner, uint64_t number);
