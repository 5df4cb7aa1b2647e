#pragma once
/*
 * A gRPC completion queue, and how what is finished comes to its owner. There are three ways; in
 * all of them one tag's function runs at a time, so that the state of servers, clients and calls
 * needs no lock of its own:
 *
 *   with a loop   a thread takes finished operations, enters the loop (base/loop.h) and runs their
 *                 functions there itself: nobody is woken for them.
 *   rpc_cq_fd()   for owners who wait for other things too: a thread puts what is finished on a
 *                 list, and the owner's thread runs it in rpc_cq_dispatch().
 *   rpc_cq_wait() alone: no thread; the caller polls gRPC's connections itself.
 */

#include <stdbool.h>
#include <stdint.h>

#include <grpc/grpc.h>

struct err;
struct loop;
struct rpc_cq;

/* What is given to gRPC as a tag; embedded in its owner. Set @fn before the operation is started.
 */
struct rpc_tag {
    void (*fn)(struct rpc_tag *tag, bool ok);
    struct rpc_tag *next;
    bool ok;
};

/**
 * rpc_cq_new() - initialise gRPC, make the queue
 * With @loop (borrowed; it becomes shared) its thread is made at once. Threads, gRPC's own too, are
 * made with all signals blocked. Never fork afterwards without an immediate exec.
 */
int rpc_cq_new(struct loop *loop, struct rpc_cq **ret, struct err *err);
/** rpc_cq_free() - after everything that uses the queue is destroyed; runs the tags that are left.
 */
struct rpc_cq *rpc_cq_free(struct rpc_cq *cq);

grpc_completion_queue *rpc_cq_queue(const struct rpc_cq *cq);

/** rpc_cq_fd() - readable when there is something to dispatch; the first call makes the thread.
 * Return: the descriptor (borrowed), or -errno. */
int rpc_cq_fd(struct rpc_cq *cq);
void rpc_cq_dispatch(struct rpc_cq *cq);
/** rpc_cq_wait() - block until there is something, at most @timeout_ms (-1: for ever), and dispatch
 * it. With a loop: until something was dispatched; the caller is inside of the loop. */
void rpc_cq_wait(struct rpc_cq *cq, int timeout_ms);

/** rpc_cq_start() - grpc_call_start_batch() with @tag. Return: true when the tag will come back
 * (never from within this call); else the call is cancelled. */
bool rpc_cq_start(struct rpc_cq *cq, grpc_call *call, const grpc_op *ops, size_t n_ops,
                  struct rpc_tag *tag);

/** rpc_arg_int() - of a channel or a server; @key is borrowed */
static inline grpc_arg rpc_arg_int(const char *key, int value)
{
    return (
        grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

/** rpc_log_hook() - where gRPC's own messages go; by default nowhere. @fn is called on any thread.
 */
void rpc_log_hook(void (*fn)(bool error, const char *message));

/*
 * ThreadSanitizer does not see the hand-over of a tag inside libgrpc (it is not instrumented), so
 * that it is told of it; nothing in other builds.
 */
#if defined(__SANITIZE_THREAD__)
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define RPC_TAG_GIVE(tag) __tsan_release(tag)
#define RPC_TAG_TAKE(tag) __tsan_acquire(tag)
#else
#define RPC_TAG_GIVE(tag) ((void)(tag))
#define RPC_TAG_TAKE(tag) ((void)(tag))
#endif
