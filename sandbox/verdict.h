#pragma once
/* From what was observed to a verdict and words for a beginner. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "base/result.h"
#include "cgroups/cgroup.h"

/* Who ended the run, if not the program itself. */
enum end_cause {
    END_NONE,
    END_CANCELLED,
    END_OUTPUT,
    END_IDLE,
    END_MAX_AGE,
    END_CPU,
    END_WALL,
    END_INTERNAL, /* the machinery broke: facts.err says how */
};

struct verdict_facts {
    enum end_cause cause;
    bool have_status;      /* init reported how the main process ended */
    int status;            /* wait status */
    bool no_program;       /* never executed: the caller's words are in err */
    struct cg_stats cg;    /* all zero without cgroups */
    bool tree_cpu_counted; /* cg has the CPU time of the whole tree */
    struct limits limits;
    uint32_t policy; /* enum sbx_policy */
    uint32_t refusals[REFUSAL_COUNT];
    uint32_t fs_hits; /* enum init_hit */
    uint64_t wall_us; /* without the time spent waiting for terminal input */
    unsigned cpus;    /* 0: not known */
    struct err err;
};

/** verdict_decide() - fills verdict, exit_code, term_signal, limits_hit, refusals, explanation and
 * err of @ret. */
void verdict_decide(const struct verdict_facts *facts, struct run_result *ret);
