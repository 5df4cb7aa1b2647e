#include "frontgw/people/password.h"

#include "frontgw/store/ulid.h"

#include <argon2.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#define COST_T   2
#define COST_M   19456
#define COST_P   1
#define SALT_LEN 16
#define HASH_LEN 32

struct work {
    struct work *next;
    const char *encoded; /* verify against this; NULL: hash into @out */
    const char *password;
    char *out;
    int code; /* of libargon2 */
    bool done;
    pthread_cond_t finished;
};

struct pw_pool {
    pthread_t threads[2];
    unsigned n_threads;
    pthread_mutex_t lock; /* guards all below and every work's done */
    pthread_cond_t posted;
    struct work *first, **last;
    unsigned queued, queue_max;
    bool stop;
};

static int hash_now(const char *password, char *out)
{
    unsigned char salt[SALT_LEN];
    if (getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt))
        return ARGON2_MEMORY_ALLOCATION_ERROR;
    return argon2id_hash_encoded(COST_T, COST_M, COST_P, password, strlen(password), salt,
                                 sizeof(salt), HASH_LEN, out, PASSWORD_HASH_MAX);
}

static void *serve(void *arg)
{
    struct pw_pool *pool = arg;
    setpriority(PRIO_PROCESS, 0,
                10); /* of this thread alone, on Linux: whoever waits for less goes first */
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->first && !pool->stop)
            pthread_cond_wait(&pool->posted, &pool->lock);
        struct work *work = pool->first;
        if (!work)
            break;
        pool->first = work->next;
        if (!pool->first)
            pool->last = &pool->first;
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        work->code = work->encoded
                         ? argon2id_verify(work->encoded, work->password, strlen(work->password))
                         : hash_now(work->password, work->out);
        pthread_mutex_lock(&pool->lock);
        work->done = true;
        pthread_cond_signal(&work->finished);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int pw_pool_new(unsigned threads, unsigned queue_max, struct pw_pool **ret, struct err *err)
{
    if (threads < 1 || threads > 2)
        return err_set(err, -EINVAL, "passwords are hashed by 1 or 2 threads, not %u", threads);
    struct pw_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return err_set(err, -ENOMEM, "password threads: %m");
    pool->queue_max = queue_max;
    pool->last = &pool->first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->posted, NULL);
    for (; pool->n_threads < threads; pool->n_threads++) {
        int code = pthread_create(&pool->threads[pool->n_threads], NULL, serve, pool);
        if (code) {
            pw_pool_free(pool);
            return err_set(err, -code, "password threads: %m");
        }
    }
    *ret = pool;
    return 0;
}

struct pw_pool *pw_pool_free(struct pw_pool *pool)
{
    if (!pool)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    pool->stop = true;
    pthread_cond_broadcast(&pool->posted);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->posted);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
    return NULL;
}

static int run(struct pw_pool *pool, struct work *work, struct err *err)
{
    int r = 0;
    pthread_cond_init(&work->finished, NULL);
    pthread_mutex_lock(&pool->lock);
    if (pool->queued >= pool->queue_max) {
        r = err_set(err, -EAGAIN, "%u logins are waiting already", pool->queued);
    } else {
        *pool->last = work;
        pool->last = &work->next;
        pool->queued++;
        pthread_cond_signal(&pool->posted);
        while (!work->done)
            pthread_cond_wait(&work->finished, &pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&work->finished);
    return r;
}

int pw_hash(struct pw_pool *pool, const char *password, char ret[PASSWORD_HASH_MAX],
            struct err *err)
{
    struct work work = {.password = password, .out = ret};
    int r = run(pool, &work, err);
    if (!r && work.code != ARGON2_OK)
        r = err_set(err, -ENOMEM, "argon2: %s", argon2_error_message(work.code));
    return r;
}

/* The hash of a password that nobody has: an unknown name costs as much time as a known one. */
static const char nobody[] = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"
                             "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

int pw_verify(struct pw_pool *pool, const char *encoded, const char *password, bool *ret_right,
              bool *ret_stale, struct err *err)
{
    static const char today[] = "$argon2id$v=19$m=19456,t=2,p=1$";
    struct work work = {.password = password, .encoded = encoded ? encoded : nobody};
    int r = run(pool, &work, err);
    if (r)
        return r;
    if (work.code != ARGON2_OK && work.code != ARGON2_VERIFY_MISMATCH)
        return err_set(err, -EIO, "argon2: %s", argon2_error_message(work.code));
    *ret_right = encoded && work.code == ARGON2_OK;
    *ret_stale = *ret_right && strncmp(encoded, today, sizeof(today) - 1) != 0;
    return 0;
}

void pw_one_time(char ret[PASSWORD_ONE_TIME_SIZE])
{
    char letters[17];
    random_text(letters, 16);
    snprintf(ret, PASSWORD_ONE_TIME_SIZE, "%.4s-%.4s-%.4s-%.4s", letters, letters + 4, letters + 8,
             letters + 12);
}
