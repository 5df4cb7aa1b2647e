#include "sandbox/verdict.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sandbox/init_proto.h"
#include "sandbox/spec.h"

static bool killed_by(const struct verdict_facts *f, int signo)
{
    return !f->have_status || (WIFSIGNALED(f->status) && WTERMSIG(f->status) == signo);
}

static bool failed(const struct verdict_facts *f)
{
    return !f->have_status || f->status != 0;
}

static uint64_t cpu_us(const struct verdict_facts *f)
{
    return f->cg.cpu_user_us + f->cg.cpu_system_us;
}

static bool over_cpu(const struct verdict_facts *f)
{
    return f->tree_cpu_counted && cpu_us(f) >= f->limits.v[LIMIT_CPU] * 1000;
}

/* Without accounting: whether so much can have been used since it began, on every processor. */
static bool may_be_over_cpu(const struct verdict_facts *f)
{
    return !f->cpus || f->wall_us * f->cpus >= f->limits.v[LIMIT_CPU] * 1000;
}

/* RLIMIT_CPU's signal, which lies beyond the limit; anybody may send it, too. */
static bool cpu_backstop(const struct verdict_facts *f)
{
    return f->have_status && killed_by(f, SIGXCPU) &&
           (f->tree_cpu_counted ? over_cpu(f) : may_be_over_cpu(f));
}

static uint32_t refused_calls(const struct verdict_facts *f)
{
    uint32_t n = 0;
    for (int i = 0; i < REFUSAL_COUNT; i++)
        n += f->refusals[i] > UINT32_MAX - n ? UINT32_MAX - n : f->refusals[i];
    return n;
}

static uint32_t limits_hit(const struct verdict_facts *f)
{
    uint32_t hit = 0;
    if (f->cg.oom_kills && f->cg.oom_own)
        hit |= 1u << LIMIT_MEMORY;
    if (f->cause == END_CPU || over_cpu(f) || cpu_backstop(f))
        hit |= 1u << LIMIT_CPU;
    if (f->cause == END_WALL)
        hit |= 1u << LIMIT_WALL;
    if (f->cause == END_IDLE)
        hit |= 1u << LIMIT_IDLE;
    if (f->cause == END_OUTPUT)
        hit |= 1u << LIMIT_OUTPUT;
    if ((f->fs_hits & INIT_HIT_FILE_SIZE) || (f->have_status && killed_by(f, SIGXFSZ)))
        hit |= 1u << LIMIT_FILE_SIZE;
    if (f->fs_hits & INIT_HIT_WORKSPACE)
        hit |= 1u << LIMIT_WORKSPACE;
    if (f->fs_hits & INIT_HIT_INODES)
        hit |= 1u << LIMIT_INODES;
    if (f->cg.pids_refused)
        hit |= 1u << LIMIT_PROCESSES;
    return hit;
}

/* A kill that the node's own cap caused is our failure, never the student's. */
static bool node_ran_out(const struct verdict_facts *f)
{
    return f->cg.oom_kills && !f->cg.oom_own && failed(f);
}

static enum verdict decide(const struct verdict_facts *f, uint32_t hit)
{
    if (f->have_status && f->status == 0)
        return VERDICT_EXITED;
    if (node_ran_out(f))
        return VERDICT_INTERNAL;
    if (!f->have_status && (f->cause == END_NONE || f->cause == END_INTERNAL) && f->cg.oom_kills)
        return VERDICT_MEMORY_LIMIT; /* the OOM killer took init or the file helper */
    if (f->cause == END_INTERNAL)
        return VERDICT_INTERNAL;
    if (f->no_program)
        return f->cause == END_CANCELLED ? VERDICT_CANCELLED : VERDICT_EXITED;
    if (!f->have_status && f->cause == END_NONE)
        return VERDICT_INTERNAL;
    bool ended_by_us = killed_by(f, SIGKILL);
    if (f->cause == END_CANCELLED && ended_by_us)
        return VERDICT_CANCELLED;
    if (hit & 1u << LIMIT_MEMORY)
        return VERDICT_MEMORY_LIMIT;
    if ((f->cause == END_CPU && ended_by_us) || cpu_backstop(f))
        return VERDICT_CPU_TIME_LIMIT;
    if ((hit & 1u << LIMIT_CPU) && ended_by_us && f->cause == END_NONE)
        return VERDICT_CPU_TIME_LIMIT; /* RLIMIT_CPU's SIGKILL */
    if (f->cause == END_WALL && ended_by_us)
        return VERDICT_WALL_TIME_LIMIT;
    if ((f->cause == END_IDLE || f->cause == END_MAX_AGE) && ended_by_us)
        return VERDICT_IDLE_LIMIT;
    if (f->cause == END_OUTPUT && ended_by_us)
        return VERDICT_OUTPUT_LIMIT;
    if (hit & 1u << LIMIT_FILE_SIZE)
        return VERDICT_FILE_SIZE_LIMIT;
    if (hit & 1u << LIMIT_PROCESSES)
        return VERDICT_PROCESS_LIMIT;
    if (refused_calls(f) || (f->have_status && killed_by(f, SIGSYS)))
        return VERDICT_POLICY_VIOLATION;
    return f->have_status && WIFSIGNALED(f->status) ? VERDICT_SIGNALED : VERDICT_EXITED;
}

static void set_limit(struct run_explanation *e, const struct verdict_facts *f, enum limit_id id,
                      uint64_t observed, const char *detected_by)
{
    e->limit = (int)id;
    e->configured = f->limits.v[id];
    e->observed = observed;
    snprintf(e->detected_by, sizeof(e->detected_by), "%s", detected_by);
}

/* Numbers and source; the words are base's (result_explain). */
static void explain(const struct verdict_facts *f, struct run_result *ret)
{
    static const char *const plain[VERDICT_COUNT] = {
        [VERDICT_CANCELLED] = "caller",
        [VERDICT_POLICY_VIOLATION] = "seccomp",
        [VERDICT_SIGNALED] = "wait status",
        [VERDICT_EXITED] = "wait status",
    };
    struct run_explanation *e = &ret->explanation;
    e->limit = -1;
    if (plain[ret->verdict])
        snprintf(e->detected_by, sizeof(e->detected_by), "%s", plain[ret->verdict]);
    switch (ret->verdict) {
    case VERDICT_INTERNAL:
        ret->err = f->err;
        if (node_ran_out(f))
            err_set(&ret->err, -ENOMEM, "the node ran out of memory");
        else if (!ret->err.code)
            err_set(&ret->err, -EIO, "the sandbox's pid 1 ended without a word");
        snprintf(e->detected_by, sizeof(e->detected_by), "%s",
                 node_ran_out(f) ? DETECTED_BY_NODE_MEMORY : "spawner");
        break;
    case VERDICT_MEMORY_LIMIT:
        set_limit(e, f, LIMIT_MEMORY, f->cg.memory_peak_bytes, "cgroup oom_kill");
        break;
    case VERDICT_CPU_TIME_LIMIT:
        set_limit(e, f, LIMIT_CPU, cpu_us(f) / 1000,
                  f->cause == END_CPU ? "cgroup cpu time" : "RLIMIT_CPU");
        break;
    case VERDICT_WALL_TIME_LIMIT:
        set_limit(e, f, LIMIT_WALL, f->wall_us / 1000, "wall timer");
        break;
    case VERDICT_IDLE_LIMIT:
        set_limit(e, f, LIMIT_IDLE, f->limits.v[LIMIT_IDLE], "idle timer");
        break;
    case VERDICT_OUTPUT_LIMIT:
        set_limit(e, f, LIMIT_OUTPUT, f->limits.v[LIMIT_OUTPUT] * LIMIT_OUTPUT_KILL_FACTOR,
                  "output counter");
        break;
    case VERDICT_FILE_SIZE_LIMIT:
        set_limit(e, f, LIMIT_FILE_SIZE, f->limits.v[LIMIT_FILE_SIZE], "RLIMIT_FSIZE");
        break;
    case VERDICT_PROCESS_LIMIT:
        set_limit(e, f, LIMIT_PROCESSES, f->cg.pids_peak, "pids cgroup");
        break;
    default:
        break;
    }
    result_explain(ret);
    if (f->no_program) /* better words than "ended with exit status 127" */
        snprintf(e->message, sizeof(e->message), "%s", f->err.text);
}

void verdict_decide(const struct verdict_facts *facts, struct run_result *ret)
{
    ret->limits_hit = limits_hit(facts);
    memcpy(ret->refusals, facts->refusals, sizeof(ret->refusals));
    ret->verdict = decide(facts, ret->limits_hit);
    ret->exit_code = -1;
    ret->term_signal = 0;
    if (facts->no_program)
        ret->exit_code = facts->err.code == -ENOENT || facts->err.code == -ENOTDIR ? 127 : 126;
    else if (facts->have_status && WIFEXITED(facts->status))
        ret->exit_code = WEXITSTATUS(facts->status);
    else if (facts->have_status)
        ret->term_signal = WTERMSIG(facts->status);
    else
        ret->term_signal = SIGKILL;
    explain(facts, ret);
}
