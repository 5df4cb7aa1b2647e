#include "api/rpc_cq.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <grpc/support/log.h>
#include <grpc/support/time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/loop.h"

struct rpc_cq {
    grpc_completion_queue *queue;
    struct loop *loop; /* NULL: one of the other two ways */
    pthread_t thread;
    bool threaded;
    bool waiting;          /* with a loop: its owner is in rpc_cq_wait() */
    struct loop_task task; /* with a loop: there is something on the list */
    pthread_mutex_t lock;  /* over head and tail */
    struct rpc_tag *head, *tail;
    int wake_fd;
};

static _Atomic(void (*)(bool, const char *)) log_fn;

static void on_grpc_log(gpr_log_func_args *args)
{
    void (*fn)(bool, const char *) = atomic_load(&log_fn);
    if (fn && args->severity >= GPR_LOG_SEVERITY_INFO)
        fn(args->severity == GPR_LOG_SEVERITY_ERROR, args->message);
}

void rpc_log_hook(void (*fn)(bool error, const char *message))
{
    atomic_store(&log_fn, fn);
}

static void cq_wake(struct rpc_cq *cq)
{
    uint64_t one = 1;
    ssize_t n;
    do {
        n = write(cq->wake_fd, &one, sizeof(one));
    } while (n < 0 && errno == EINTR); /* EAGAIN: it is readable already */
}

static void run_in_loop(struct rpc_cq *cq, struct rpc_tag *tag)
{
    loop_enter(cq->loop);
    tag->fn(tag, tag->ok);
    if (cq->waiting)
        cq_wake(cq);
    loop_leave(cq->loop);
}

/* Return: it is the first. */
static bool put_on_list(struct rpc_cq *cq, struct rpc_tag *tag)
{
    tag->next = NULL;
    pthread_mutex_lock(&cq->lock);
    bool was_empty = !cq->head;
    if (was_empty)
        cq->head = tag;
    else
        cq->tail->next = tag;
    cq->tail = tag;
    pthread_mutex_unlock(&cq->lock);
    return was_empty;
}

static void run_list(struct rpc_cq *cq)
{
    pthread_mutex_lock(&cq->lock);
    struct rpc_tag *tag = cq->head;
    cq->head = cq->tail = NULL;
    pthread_mutex_unlock(&cq->lock);
    while (tag) {
        struct rpc_tag *next = tag->next; /* the function may free the tag's owner */
        tag->fn(tag, tag->ok);
        tag = next;
    }
}

static struct rpc_tag *tag_of(const grpc_event *event)
{
    struct rpc_tag *tag = event->tag;
    RPC_TAG_TAKE(tag);
    tag->ok = event->success;
    return tag;
}

static void *cq_thread(void *arg)
{
    struct rpc_cq *cq = arg;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(cq->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type != GRPC_OP_COMPLETE)
            continue;
        if (cq->loop)
            run_in_loop(cq, tag_of(&event));
        else if (put_on_list(cq, tag_of(&event)))
            cq_wake(cq);
    }
}

/* gRPC's threads inherit the mask: they are all made with every signal blocked. */
static int cq_start_thread(struct rpc_cq *cq)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&cq->thread, NULL, cq_thread, cq);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    cq->threaded = rc == 0;
    return -rc;
}

/*
 * Abseil as Debian builds it (without NDEBUG) writes down which lock is taken while which others
 * are held, in search of deadlocks: a graph of some hundred KiB that all threads share, asked and
 * added to at each turn of a lock. It can be told not to. Where the function is not there or has
 * another name, all is as it was.
 */
static void no_graph_of_locks(void)
{
    enum { IGNORE };
    void (*set_mode)(int);
    *(void **)&set_mode =
        dlsym(RTLD_DEFAULT,
              "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE");
    if (set_mode)
        set_mode(IGNORE);
}

static void cq_init_grpc(struct rpc_cq *cq)
{
    no_graph_of_locks();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    gpr_set_log_function(on_grpc_log);
    grpc_init();
    cq->queue = grpc_completion_queue_create_for_next(NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int rpc_cq_new(struct loop *loop, struct rpc_cq **ret, struct err *err)
{
    int rc = loop ? loop_share(loop, err) : 0;
    if (rc < 0)
        return rc;
    struct rpc_cq *cq = calloc(1, sizeof(*cq));
    if (!cq)
        return err_set(err, -ENOMEM, "completion queue: %m");
    cq->loop = loop;
    cq->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cq->wake_fd < 0) {
        rc = err_set(err, -errno, "eventfd: %m");
        free(cq);
        return rc;
    }
    pthread_mutex_init(&cq->lock, NULL);
    cq_init_grpc(cq);
    rc = loop ? cq_start_thread(cq) : 0;
    if (rc < 0) {
        rpc_cq_free(cq);
        return err_set(err, rc, "start the gRPC thread: %m");
    }
    *ret = cq;
    return 0;
}

/* Without a thread: what the shutdown finishes is taken here. */
static void cq_drain(struct rpc_cq *cq)
{
    grpc_event event;
    do {
        event = grpc_completion_queue_next(cq->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_OP_COMPLETE) {
            struct rpc_tag *tag = tag_of(&event);
            tag->fn(tag, tag->ok);
        }
    } while (event.type != GRPC_QUEUE_SHUTDOWN);
}

static void cq_join(struct rpc_cq *cq)
{
    if (cq->loop)
        loop_leave(cq->loop);
    pthread_join(cq->thread, NULL);
    if (cq->loop)
        loop_enter(cq->loop);
    loop_task_cancel(&cq->task);
    rpc_cq_dispatch(cq);
}

struct rpc_cq *rpc_cq_free(struct rpc_cq *cq)
{
    if (!cq)
        return NULL;
    grpc_completion_queue_shutdown(cq->queue);
    if (cq->threaded)
        cq_join(cq);
    else
        cq_drain(cq);
    grpc_completion_queue_destroy(cq->queue);
    grpc_shutdown_blocking();
    pthread_mutex_destroy(&cq->lock);
    fd_close(cq->wake_fd);
    free(cq);
    return NULL;
}

grpc_completion_queue *rpc_cq_queue(const struct rpc_cq *cq)
{
    return cq->queue;
}

int rpc_cq_fd(struct rpc_cq *cq)
{
    int rc = cq->threaded ? 0 : cq_start_thread(cq);
    return rc < 0 ? rc : cq->wake_fd;
}

static void cq_take_wakes(struct rpc_cq *cq)
{
    uint64_t count;
    ssize_t n;
    do {
        n = read(cq->wake_fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
}

void rpc_cq_dispatch(struct rpc_cq *cq)
{
    cq_take_wakes(cq);
    run_list(cq);
}

static void wait_for_loop(struct rpc_cq *cq, int timeout_ms)
{
    struct pollfd pfd = {.fd = cq->wake_fd, .events = POLLIN};
    cq->waiting = true;
    loop_leave(cq->loop);
    (void)poll(&pfd, 1, timeout_ms);
    loop_enter(cq->loop);
    cq->waiting = false;
    cq_take_wakes(cq);
}

static void wait_alone(struct rpc_cq *cq, int timeout_ms)
{
    gpr_timespec until = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (timeout_ms >= 0)
        until = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                             gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    grpc_event event = grpc_completion_queue_next(cq->queue, until, NULL);
    if (event.type != GRPC_OP_COMPLETE)
        return;
    struct rpc_tag *tag = tag_of(&event);
    tag->fn(tag, tag->ok);
}

void rpc_cq_wait(struct rpc_cq *cq, int timeout_ms)
{
    struct pollfd pfd = {.fd = cq->wake_fd, .events = POLLIN};
    if (cq->loop) {
        wait_for_loop(cq, timeout_ms);
    } else if (!cq->threaded) {
        wait_alone(cq, timeout_ms);
    } else {
        (void)poll(&pfd, 1, timeout_ms);
        rpc_cq_dispatch(cq);
    }
}

/* ---- starting ---- */

static void on_task(struct loop_task *task)
{
    struct rpc_cq *cq = container_of(task, struct rpc_cq, task);
    run_list(cq);
    if (cq->waiting)
        cq_wake(cq);
}

/*
 * What libgrpc has finished within the call that started it (a message that went into the socket at
 * once) it would put on the queue and wake the queue's thread for. Asked to, it keeps one such
 * event in the thread that is here anyway.
 */
static void take_finished(struct rpc_cq *cq)
{
    grpc_event event = {.type = GRPC_OP_COMPLETE};
    if (!grpc_completion_queue_thread_local_cache_flush(cq->queue, &event.tag, &event.success))
        return;
    bool first = put_on_list(cq, tag_of(&event));
    if (cq->loop)
        loop_soon(cq->loop, &cq->task, on_task);
    else if (first)
        cq_wake(cq);
}

bool rpc_cq_start(struct rpc_cq *cq, grpc_call *call, const grpc_op *ops, size_t n_ops,
                  struct rpc_tag *tag)
{
    RPC_TAG_GIVE(tag);
    if (cq->threaded)
        grpc_completion_queue_thread_local_cache_init(cq->queue);
    grpc_call_error fault = grpc_call_start_batch(call, ops, n_ops, tag, NULL);
    if (cq->threaded)
        take_finished(cq);
    if (fault == GRPC_CALL_OK)
        return true;
    /* A refused batch may leave its slot taken: nothing more can be done with this call. */
    grpc_call_cancel(call, NULL);
    return false;
}
