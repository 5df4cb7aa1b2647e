#include "api/rpc_cq.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include <grpc/support/log.h>

#include "base/cleanup.h"
#include "base/err.h"

struct rpc_cq {
    grpc_completion_queue *queue;
    pthread_t thread;
    pthread_mutex_t lock; /* over head and tail */
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
        struct rpc_tag *tag = event.tag;
        RPC_TAG_TAKE(tag);
        tag->ok = event.success;
        tag->next = NULL;
        pthread_mutex_lock(&cq->lock);
        bool was_empty = !cq->head;
        if (was_empty)
            cq->head = tag;
        else
            cq->tail->next = tag;
        cq->tail = tag;
        pthread_mutex_unlock(&cq->lock);
        if (was_empty)
            cq_wake(cq);
    }
}

/* gRPC's threads inherit the mask, so everything is blocked before the first of them is made. */
static int cq_start_threads(struct rpc_cq *cq, struct err *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    gpr_set_log_function(on_grpc_log);
    grpc_init();
    cq->queue = grpc_completion_queue_create_for_next(NULL);
    int rc = pthread_create(&cq->thread, NULL, cq_thread, cq);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        return 0;
    grpc_completion_queue_shutdown(cq->queue);
    grpc_completion_queue_destroy(cq->queue);
    grpc_shutdown_blocking();
    return err_set(err, -rc, "start the gRPC thread: %m");
}

int rpc_cq_new(struct rpc_cq **ret, struct err *err)
{
    struct rpc_cq *cq = calloc(1, sizeof(*cq));
    if (!cq)
        return err_set(err, -ENOMEM, "completion queue: %m");
    cq->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (cq->wake_fd < 0) {
        int code = -errno;
        free(cq);
        return err_set(err, code, "eventfd: %m");
    }
    pthread_mutex_init(&cq->lock, NULL);
    int rc = cq_start_threads(cq, err);
    if (rc < 0) {
        pthread_mutex_destroy(&cq->lock);
        fd_close(cq->wake_fd);
        free(cq);
        return rc;
    }
    *ret = cq;
    return 0;
}

struct rpc_cq *rpc_cq_free(struct rpc_cq *cq)
{
    if (!cq)
        return NULL;
    grpc_completion_queue_shutdown(cq->queue);
    pthread_join(cq->thread, NULL);
    rpc_cq_dispatch(cq);
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

int rpc_cq_fd(const struct rpc_cq *cq)
{
    return cq->wake_fd;
}

void rpc_cq_dispatch(struct rpc_cq *cq)
{
    uint64_t count;
    ssize_t n;
    do {
        n = read(cq->wake_fd, &count, sizeof(count));
    } while (n < 0 && errno == EINTR);
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

void rpc_cq_wait(struct rpc_cq *cq, int timeout_ms)
{
    struct pollfd pfd = {.fd = cq->wake_fd, .events = POLLIN};
    (void)poll(&pfd, 1, timeout_ms);
    rpc_cq_dispatch(cq);
}

bool rpc_cq_start(grpc_call *call, const grpc_op *ops, size_t n_ops, struct rpc_tag *tag)
{
    RPC_TAG_GIVE(tag);
    if (grpc_call_start_batch(call, ops, n_ops, tag, NULL) == GRPC_CALL_OK)
        return true;
    /* A refused batch may leave its slot taken: nothing more can be done with this call. */
    grpc_call_cancel(call, NULL);
    return false;
}
