#include "execsvc/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/loop.h"

struct work_list {
    struct work *head, *tail;
};

struct worker {
    struct loop_io wake_io;
    int wake_fd;
    pthread_t thread;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    struct work_list given, finished;
    unsigned under_way; /* given, and not told yet */
    bool stop;
};

static void append(struct work_list *list, struct work *work)
{
    work->next = NULL;
    if (list->head)
        list->tail->next = work;
    else
        list->head = work;
    list->tail = work;
}

static struct work *take_first(struct work_list *list)
{
    struct work *work = list->head;
    list->head = work->next;
    return work;
}

static void wake_loop(struct worker *worker)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(worker->wake_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR); /* EAGAIN: it is readable already */
}

static void *thread_main(void *arg)
{
    struct worker *worker = arg;
    pthread_mutex_lock(&worker->lock);
    for (;;) {
        while (!worker->given.head && !worker->stop)
            pthread_cond_wait(&worker->changed, &worker->lock);
        if (!worker->given.head)
            break;
        struct work *work = take_first(&worker->given);
        pthread_mutex_unlock(&worker->lock);
        work->run(work);
        pthread_mutex_lock(&worker->lock);
        append(&worker->finished, work);
        pthread_cond_broadcast(&worker->changed);
        wake_loop(worker);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

static void tell(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->finished.head) {
        struct work *work = take_first(&worker->finished);
        pthread_mutex_unlock(&worker->lock);
        work->done(work);
        pthread_mutex_lock(&worker->lock);
        worker->under_way--;
    }
    pthread_mutex_unlock(&worker->lock);
}

static void on_wake(struct loop_io *io, uint32_t events)
{
    struct worker *worker = container_of(io, struct worker, wake_io);
    uint64_t count;
    (void)events;
    while (read(worker->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
        ;
    tell(worker);
}

static int start_thread(struct worker *worker, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&worker->thread, NULL, thread_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code ? err_set(err, -code, "start a thread for files: %m") : 0;
}

int worker_new(struct loop *loop, struct worker **ret, struct err *err)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return err_set(err, -ENOMEM, "no memory for a thread");
    pthread_mutex_init(&worker->lock, NULL);
    pthread_cond_init(&worker->changed, NULL);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = worker->wake_fd < 0 ? err_set(err, -errno, "eventfd: %m") : 0;
    if (r == 0)
        r = loop_io_add(loop, &worker->wake_io, worker->wake_fd, EPOLLIN, on_wake, err);
    if (r == 0)
        r = start_thread(worker, err);
    if (r < 0) {
        loop_io_remove(&worker->wake_io);
        fd_close(worker->wake_fd);
        free(worker);
        return r;
    }
    *ret = worker;
    return 0;
}

static void finish_all(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    while (worker->under_way) {
        while (!worker->finished.head)
            pthread_cond_wait(&worker->changed, &worker->lock);
        pthread_mutex_unlock(&worker->lock);
        tell(worker);
        pthread_mutex_lock(&worker->lock);
    }
    worker->stop = true;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

struct worker *worker_free(struct worker *worker)
{
    if (!worker)
        return NULL;
    finish_all(worker);
    pthread_join(worker->thread, NULL);
    loop_io_remove(&worker->wake_io);
    fd_close(worker->wake_fd);
    pthread_cond_destroy(&worker->changed);
    pthread_mutex_destroy(&worker->lock);
    free(worker);
    return NULL;
}

void worker_give(struct worker *worker, struct work *work)
{
    pthread_mutex_lock(&worker->lock);
    append(&worker->given, work);
    worker->under_way++;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}
