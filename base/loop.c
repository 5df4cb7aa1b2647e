#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

/*
 * Theory of operation. One epoll set. Timers stand in a binary heap, earliest first; one timerfd is
 * armed for the heap's top just before the loop sleeps, which gives microseconds where epoll_wait()
 * has milliseconds. A step fetches a batch of events and keeps it in the loop, so that
 * loop_io_remove() can take back what was fetched for a source and not yet delivered: a callback
 * may free any source, its own included.
 *
 * A shared loop's lock is held by its thread except in epoll_wait(). Whoever enters meanwhile may
 * remove a source for which the kernel is just writing an event into the batch: the whole batch is
 * then fetched again (events are level-triggered, so none is lost). A timer that became the
 * earliest is armed on leaving, and a stop is told through the same descriptor.
 *
 * Tasks are run by whoever is inside, at the end of a step or of a visit. They may ask for tasks
 * again; so that these do not keep descriptors waiting, only so many are run at a time, and the
 * rest is the next step's.
 */

#define BATCH_MAX 64
#define TASKS_MAX 64

struct loop {
    int epoll_fd;
    int timer_fd;
    uint64_t armed_us; /* what timer_fd is set to; 0: nothing */
    bool stopped;

    struct loop_timer **heap;
    size_t n_timers, heap_size;
    struct loop_task *tasks, *last_task;

    struct epoll_event batch[BATCH_MAX];
    int n_batch, next_batch; /* [next_batch, n_batch) is still to be delivered */

    bool shared, asleep; /* asleep: in epoll_wait() without the lock ... */
    bool removed;        /* ... and a source was removed meanwhile */
    pthread_mutex_t lock;

    struct loop_io timer_io, signal_io;
    int signal_fd;
    loop_signal_fn *signal_fn;
    void *signal_arg;
};

/* ---- timers ---- */

static void heap_place(struct loop *loop, size_t i, struct loop_timer *timer)
{
    loop->heap[i] = timer;
    timer->heap_index = i;
}

static void heap_sift_up(struct loop *loop, size_t i, struct loop_timer *timer)
{
    while (i > 0 && loop->heap[(i - 1) / 2]->due_us > timer->due_us) {
        heap_place(loop, i, loop->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_place(loop, i, timer);
}

static void heap_sift_down(struct loop *loop, size_t i, struct loop_timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < loop->n_timers && loop->heap[child + 1]->due_us < loop->heap[child]->due_us)
            child++;
        if (child >= loop->n_timers || loop->heap[child]->due_us >= timer->due_us)
            break;
        heap_place(loop, i, loop->heap[child]);
        i = child;
    }
    heap_place(loop, i, timer);
}

static int heap_reserve(struct loop *loop)
{
    if (loop->n_timers < loop->heap_size)
        return 0;
    size_t size = loop->heap_size ? loop->heap_size * 2 : 16;
    struct loop_timer **heap = reallocarray(loop->heap, size, sizeof(struct loop_timer *));
    if (!heap)
        return -ENOMEM;
    loop->heap = heap;
    loop->heap_size = size;
    return 0;
}

int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_us, loop_timer_fn *fn)
{
    loop_timer_cancel(timer);
    int r = heap_reserve(loop);
    if (r < 0)
        return r;
    timer->loop = loop;
    timer->due_us = due_us;
    timer->fn = fn;
    heap_sift_up(loop, loop->n_timers++, timer);
    return 0;
}

void loop_timer_cancel(struct loop_timer *timer)
{
    struct loop *loop = timer->loop;
    if (!loop)
        return;
    timer->loop = NULL;
    size_t hole = timer->heap_index;
    struct loop_timer *last = loop->heap[--loop->n_timers];
    if (last == timer)
        return;
    if (hole > 0 && loop->heap[(hole - 1) / 2]->due_us > last->due_us)
        heap_sift_up(loop, hole, last);
    else
        heap_sift_down(loop, hole, last);
}

/* At most as many as there are now: a timer that re-arms itself for the past cannot starve the
 * rest. */
static void run_due_timers(struct loop *loop)
{
    uint64_t now = clock_us();
    for (size_t most = loop->n_timers; most > 0 && loop->n_timers > 0; most--) {
        struct loop_timer *timer = loop->heap[0];
        if (timer->due_us > now || loop->stopped)
            break;
        loop_timer_cancel(timer);
        timer->fn(timer);
    }
}

int loop_arm(struct loop *loop, struct err *err)
{
    uint64_t due = loop->n_timers ? loop->heap[0]->due_us : 0;
    if (loop->tasks || (loop->n_timers && due == 0))
        due = 1; /* at once; 0 would disarm it */
    /* To program a clock costs a virtual machine as much as a process switch. What is armed too
     * soon is left to go off for nothing: most of what is set here is cancelled before it is due,
     * and set again for the next request. */
    if (due == loop->armed_us || (loop->armed_us && (!due || due > loop->armed_us)))
        return 0;
    struct itimerspec spec = {
        .it_value = {.tv_sec = (time_t)(due / 1000000), .tv_nsec = (long)(due % 1000000) * 1000}};
    if (timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
        return err_set(err, -errno, "timerfd_settime: %m");
    loop->armed_us = due;
    return 0;
}

static void on_timer_fd(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct loop *loop = container_of(io, struct loop, timer_io);
    uint64_t expirations;
    if (read(loop->timer_fd, &expirations, sizeof(expirations)) > 0)
        loop->armed_us = 0;
}

/* ---- tasks ---- */

void loop_soon(struct loop *loop, struct loop_task *task, loop_task_fn *fn)
{
    loop_task_cancel(task);
    *task = (struct loop_task){.loop = loop, .prev = loop->last_task, .fn = fn};
    if (task->prev)
        task->prev->next = task;
    else
        loop->tasks = task;
    loop->last_task = task;
}

void loop_task_cancel(struct loop_task *task)
{
    struct loop *loop = task->loop;
    if (!loop)
        return;
    task->loop = NULL;
    if (task->prev)
        task->prev->next = task->next;
    else
        loop->tasks = task->next;
    if (task->next)
        task->next->prev = task->prev;
    else
        loop->last_task = task->prev;
}

static void run_tasks(struct loop *loop)
{
    for (int n = 0; n < TASKS_MAX && loop->tasks && !loop->stopped; n++) {
        struct loop_task *task = loop->tasks;
        loop_task_cancel(task);
        task->fn(task);
    }
}

/* ---- descriptors ---- */

int loop_io_add(struct loop *loop, struct loop_io *io, int fd, uint32_t events, loop_io_fn *fn,
                struct err *err)
{
    struct epoll_event event = {.events = events, .data.ptr = io};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        return err_set(err, -errno, "watch descriptor %d: %m", fd);
    *io = (struct loop_io){.loop = loop, .fd = fd, .events = events, .fn = fn};
    return 0;
}

int loop_io_change(struct loop_io *io, uint32_t events)
{
    if (io->events == events)
        return 0;
    struct epoll_event event = {.events = events, .data.ptr = io};
    if (epoll_ctl(io->loop->epoll_fd, EPOLL_CTL_MOD, io->fd, &event) < 0)
        return -errno;
    io->events = events;
    return 0;
}

void loop_io_remove(struct loop_io *io)
{
    struct loop *loop = io->loop;
    if (!loop)
        return;
    io->loop = NULL;
    loop->removed = true;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
    for (int i = loop->next_batch; i < loop->n_batch; i++)
        if (loop->batch[i].data.ptr == io)
            loop->batch[i].data.ptr = NULL;
}

/* ---- signals ---- */

static void on_signal_fd(struct loop_io *io, uint32_t events)
{
    (void)events;
    struct loop *loop = container_of(io, struct loop, signal_io);
    struct signalfd_siginfo info;
    while (!loop->stopped && read(loop->signal_fd, &info, sizeof(info)) == sizeof(info))
        loop->signal_fn(loop, (int)info.ssi_signo, loop->signal_arg);
}

int loop_signals(struct loop *loop, const sigset_t *set, loop_signal_fn *fn, void *arg,
                 struct err *err)
{
    if (loop->signal_fd >= 0)
        return err_set(err, -EBUSY, "this loop watches signals already");
    int r = pthread_sigmask(SIG_BLOCK, set, NULL);
    if (r)
        return err_set(err, -r, "block signals: %m");
    AUTO_CLOSE int fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_set(err, -errno, "signalfd: %m");
    r = loop_io_add(loop, &loop->signal_io, fd, EPOLLIN, on_signal_fd, err);
    if (r < 0)
        return r;
    loop->signal_fd = take_fd(&fd);
    loop->signal_fn = fn;
    loop->signal_arg = arg;
    return 0;
}

/* ---- the loop ---- */

int loop_new(struct loop **ret, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (!loop)
        return err_set(err, -ENOMEM, "out of memory");
    loop->signal_fd = -EBADF;
    loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int r = 0;
    if (loop->timer_fd < 0 || loop->epoll_fd < 0)
        r = err_set(err, -errno, "make an event loop: %m");
    else
        r = loop_io_add(loop, &loop->timer_io, loop->timer_fd, EPOLLIN, on_timer_fd, err);
    if (r < 0) {
        loop_free(loop);
        return r;
    }
    *ret = loop;
    return 0;
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;
    while (loop->n_timers > 0)
        loop_timer_cancel(loop->heap[loop->n_timers - 1]);
    while (loop->tasks)
        loop_task_cancel(loop->tasks);
    free(loop->heap);
    if (loop->shared) {
        pthread_mutex_unlock(&loop->lock);
        pthread_mutex_destroy(&loop->lock);
    }
    fd_close(loop->signal_fd);
    fd_close(loop->timer_fd);
    fd_close(loop->epoll_fd);
    free(loop);
    return NULL;
}

static void deliver_batch(struct loop *loop)
{
    while (loop->next_batch < loop->n_batch && !loop->stopped) {
        struct epoll_event event = loop->batch[loop->next_batch++];
        struct loop_io *io = event.data.ptr;
        if (io)
            io->fn(io, event.events);
    }
    loop->n_batch = loop->next_batch = 0;
}

/* Return: how many, or -errno. */
static int fetch(struct loop *loop, int timeout_ms)
{
    int n;
    if (loop->shared) {
        loop->removed = false;
        loop->asleep = true;
        pthread_mutex_unlock(&loop->lock);
    }
    n = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX, timeout_ms);
    n = n < 0 ? -errno : n;
    if (!loop->shared)
        return n;
    pthread_mutex_lock(&loop->lock);
    loop->asleep = false;
    if (n <= 0 || !loop->removed)
        return n;
    n = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX, 0);
    return n < 0 ? -errno : n;
}

int loop_step(struct loop *loop, int timeout_ms, struct err *err)
{
    int r = loop_arm(loop, err);
    if (r < 0)
        return r;
    int n = fetch(loop, timeout_ms);
    if (n < 0 && n != -EINTR)
        return err_set(err, n, "epoll_wait: %m");
    loop->n_batch = n > 0 ? n : 0;
    loop->next_batch = 0;
    deliver_batch(loop);
    run_due_timers(loop);
    run_tasks(loop);
    return 0;
}

int loop_fd(const struct loop *loop)
{
    return loop->epoll_fd;
}

int loop_run(struct loop *loop, struct err *err)
{
    int r = 0;
    while (!loop->stopped && r == 0)
        r = loop_step(loop, -1, err);
    loop->stopped = false;
    return r;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

/* ---- sharing ---- */

int loop_share(struct loop *loop, struct err *err)
{
    if (loop->shared)
        return 0;
    int r = pthread_mutex_init(&loop->lock, NULL);
    if (r)
        return err_set(err, -r, "share an event loop: %m");
    pthread_mutex_lock(&loop->lock);
    loop->shared = true;
    return 0;
}

void loop_enter(struct loop *loop)
{
    if (loop->shared)
        pthread_mutex_lock(&loop->lock);
}

void loop_leave(struct loop *loop)
{
    static const struct itimerspec at_once = {.it_value.tv_nsec = 1};
    if (!loop->shared)
        return;
    run_tasks(loop);
    if (loop->asleep && loop->stopped)
        timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &at_once, NULL);
    else if (loop->asleep)
        loop_arm(loop, NULL);
    pthread_mutex_unlock(&loop->lock);
}
