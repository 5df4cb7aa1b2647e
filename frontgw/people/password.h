#pragma once
/*
 * Passwords: argon2id, t=2, m=19 MiB, p=1, in at most two threads of their own, so that a class
 * that logs in at the bell takes bounded memory and leaves the other cores (and other requests)
 * alone. Calls wait for their turn.
 */

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define PASSWORD_MIN      8
#define PASSWORD_MAX      128
#define PASSWORD_HASH_MAX 128

struct pw_pool;

/** pw_pool_new() - @threads 1 or 2; @queue_max calls may wait, more are refused with -EAGAIN. */
int pw_pool_new(unsigned threads, unsigned queue_max, struct pw_pool **ret, struct err *err);
/** pw_pool_free() - nobody may be waiting any more. */
struct pw_pool *pw_pool_free(struct pw_pool *pool);

int pw_hash(struct pw_pool *pool, const char *password, char ret[PASSWORD_HASH_MAX],
            struct err *err);
/**
 * pw_verify() - @encoded NULL: does the same work and says no (no such account)
 * @ret_stale: right, but hashed with other parameters than today's
 */
int pw_verify(struct pw_pool *pool, const char *encoded, const char *password, bool *ret_right,
              bool *ret_stale, struct err *err);

/** pw_one_time() - 16 letters in groups of four: 80 bits less the look-alikes. */
#define PASSWORD_ONE_TIME_SIZE 20
void pw_one_time(char ret[PASSWORD_ONE_TIME_SIZE]);
