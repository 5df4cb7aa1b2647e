#pragma once
/*
 * One thread beside the loop's, for what may wait for a disk. Work is done one by one in the order
 * in which it was given, and told to the loop in the same order.
 */

struct err;
struct loop;
struct worker;

/* Embedded in its owner, which lives until `done`. */
struct work {
    void (*run)(struct work *work);  /* on the worker's thread: nothing of the loop's is touched */
    void (*done)(struct work *work); /* on the loop's thread; may free the owner */
    struct work *next;
};

/** worker_new() - its thread has all signals blocked */
int worker_new(struct loop *loop, struct worker **ret, struct err *err);
/** worker_free() - what was given is done, and told, first; telling may give more. NULL is fine. */
struct worker *worker_free(struct worker *worker);

/** worker_give() - from the loop's thread. Never fails. */
void worker_give(struct worker *worker, struct work *work);
