#pragma once
/* The parts of init (see init.c). Freestanding. */

#include <linux/capability.h>
#include <linux/prctl.h>
#if !__STDC_HOSTED__
#include <linux/resource.h>
#include <linux/time.h>
#endif
#include <stddef.h>
#include <stdint.h>

#include "sandbox/init_proto.h"
#include "sandbox/raw.h"

/* The kernel's own layouts, where the libc headers are out of reach. */
#if !__STDC_HOSTED__
struct iovec {
    void *iov_base;
    size_t iov_len;
};

struct msghdr {
    void *msg_name;
    int msg_namelen;
    struct iovec *msg_iov;
    size_t msg_iovlen;
    void *msg_control;
    size_t msg_controllen;
    unsigned msg_flags;
};

#define MSG_CTRUNC 8
#endif

#define INIT_STRINGS_MAX 1040

struct init_state {
    const struct init_config *config;
    const struct sock_filter *insns;
    const char *cwd;
    const char *argv[INIT_STRINGS_MAX];
    const char *const *envp; /* into argv[], after its NULL */
    int signals;             /* signalfd for SIGCHLD */
    int listener;            /* of the program's seccomp filter, or -EBADF */
    int main_pid;
    int main_status;
    int main_over;
    int alone; /* no process is left but init */
    uint64_t files_in_us;
    uint64_t files_before;                /* in the writable places when the program starts */
    uint64_t waited_us, waiting_since_us; /* terminal: time spent waiting for a person */
    int waiting_call;                     /* .../syscall of the task that waits, or -EBADF */
    int waiting_looks;                    /* since all tasks were looked at */
    uint64_t watch_us, cpu_us;            /* our own processor time: for looking; all */
    uint32_t refusals[INIT_OPS_MAX];
};

uint64_t init_clock_us(int clock);
uint64_t init_now_us(void); /* CLOCK_MONOTONIC */

/* init_config_strings() - find argv and envp behind the fixed part; @end is one past the message.
 */
int init_config_strings(struct init_state *s, const uint8_t *end);

/* Reports to the spawner. */
int init_report_send(const struct init_report *report);
void init_report_failure(struct init_state *s, int stage, int code, const char *text);

/* init_prepare() - signals, descriptors, not dumpable. Each reports its own failure. */
int init_prepare(struct init_state *s);
int init_files_in(struct init_state *s);
/* init_note_room() - what the program finds in the writable places. */
void init_note_room(struct init_state *s);
int init_start_program(struct init_state *s);

/* init_watch() - until the main process has ended and everything else is dead. */
int init_watch(struct init_state *s);
/* init_finish() - report, collect when told to. */
int init_finish(struct init_state *s);

/* init_become_slot() - in a child: uid, gid, capabilities, as the layers say. */
int init_become_slot(const struct init_state *s);
/* init_filter_load() - the seccomp filter; Return: listener (with INIT_NOTIFY and @listen), 0, or
 * negative errno. */
int init_filter_load(const struct init_state *s, int listen);

/* init_answer_refusal() - one notification of the filter: count it, answer with its errno. */
void init_answer_refusal(struct init_state *s);
/* Terminal runs: does the program wait for input? */
void init_waits_begin(struct init_state *s);
/* init_waits_tick() - when to look next. */
struct timespec init_waits_tick(const struct init_state *s);
/* init_waits_look() - @due: the tick is over; otherwise something else has woken init. */
void init_waits_look(struct init_state *s, int due);
