#pragma once
/*
 * The event loop of a single-threaded process (or of one thread): epoll, timerfd, signalfd.
 * A loop and everything on it belong to the thread that runs it. Sources are embedded in their
 * owner's struct, zeroed before first use; `container_of` finds the owner. A callback may add,
 * change, remove and free any source, its own included; it may not free the loop or step it.
 *
 * A shared loop lets other threads in, one at a time: whoever is inside owns the loop and all that
 * hangs on it as if there were one thread. A library with threads of its own can so call back
 * without waking the loop's thread first, which costs more than most of what it has to say.
 */

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct err;
struct loop;
struct loop_io;
struct loop_timer;
struct loop_task;

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

typedef void loop_io_fn(struct loop_io *io, uint32_t events);
typedef void loop_timer_fn(struct loop_timer *timer);
typedef void loop_task_fn(struct loop_task *task);

struct loop_io {
    struct loop *loop; /* NULL: not watched */
    int fd;            /* borrowed */
    uint32_t events;
    loop_io_fn *fn;
};

struct loop_timer {
    struct loop *loop; /* NULL: not armed */
    uint64_t due_us;   /* CLOCK_MONOTONIC */
    size_t heap_index;
    loop_timer_fn *fn;
};

struct loop_task {
    struct loop *loop; /* NULL: not waiting */
    struct loop_task *prev, *next;
    loop_task_fn *fn;
};

int loop_new(struct loop **ret, struct err *err);
/** loop_free() - timers and tasks are disarmed; descriptors that are still watched stay their
 * owners'. NULL.
 */
struct loop *loop_free(struct loop *loop);

/** loop_run() - until loop_stop(). Return: 0 or the fault of epoll. */
int loop_run(struct loop *loop, struct err *err);
/** loop_step() - wait at most @timeout_ms (-1: for ever), dispatch what is ready. */
int loop_step(struct loop *loop, int timeout_ms, struct err *err);
/**
 * loop_fd() - readable when loop_step() has something to do, for a caller who polls for more than
 * this loop. Timers count from the last step on, or loop_arm(): call that before each wait.
 */
int loop_fd(const struct loop *loop);
int loop_arm(struct loop *loop, struct err *err);
void loop_stop(struct loop *loop);

int loop_io_add(struct loop *loop, struct loop_io *io, int fd, uint32_t events, loop_io_fn *fn,
                struct err *err);
int loop_io_change(struct loop_io *io, uint32_t events);
/**
 * loop_io_remove() - safe on one that is not watched, and from within any callback: an event that
 * was already fetched for it is not delivered. Remove before the descriptor is closed.
 */
void loop_io_remove(struct loop_io *io);

/** loop_timer_set() - arm or re-arm at an absolute time; 0, or -ENOMEM. It fires once. */
int loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t due_us, loop_timer_fn *fn);
void loop_timer_cancel(struct loop_timer *timer);

/**
 * loop_soon() - call @fn once, after the callback that is going on and before the loop sleeps (a
 * guest: before it leaves). For what may not be done in the middle of something else.
 */
void loop_soon(struct loop *loop, struct loop_task *task, loop_task_fn *fn);
void loop_task_cancel(struct loop_task *task);

/**
 * loop_share() - from now on other threads may enter. The caller, who runs the loop, is inside
 * except while loop_step() waits. Again: nothing. Return: 0 or -errno of the lock.
 */
int loop_share(struct loop *loop, struct err *err);
/**
 * loop_enter(), loop_leave() - for other threads, and for the loop's own in the order leave, enter
 * around something that waits for another thread. Not nested. Nothing on a loop of one thread.
 */
void loop_enter(struct loop *loop);
void loop_leave(struct loop *loop);

/** loop_signals() - block @set in this thread; @fn is called with each signal. Once per loop. */
typedef void loop_signal_fn(struct loop *loop, int signo, void *arg);
int loop_signals(struct loop *loop, const sigset_t *set, loop_signal_fn *fn, void *arg,
                 struct err *err);
