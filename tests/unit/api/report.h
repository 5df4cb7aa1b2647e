#pragma once
/* A report with something in every place. */

#include <signal.h>

#include "api/model.h"

static const struct run_output report_outputs[] = {
    {.path = "plot.png", .size = 4, .sha256 = {0xde, 0xad}, .content = (const uint8_t *)"\x89PNG"},
    {.path = "dir/\xff.bin", .size = 0, .content = (const uint8_t *)""},
};
static const struct run_skipped report_skipped[] = {
    {.path = "huge", .size = 1ull << 33, .reason = "too many bytes"}};

static inline struct run_report report_full(void)
{
    struct run_report r = {
        .run_id = "01HZXYZ",
        .runtime_name = "python3",
        .runtime_version = "3.11.2",
        .node = "node-1",
        .dropped_stdout = 5,
        .dropped_stderr = 6,
        .outputs = report_outputs,
        .n_outputs = 2,
        .skipped = report_skipped,
        .n_skipped = 1,
        .result =
            {
                .verdict = VERDICT_MEMORY_LIMIT,
                .exit_code = -1,
                .term_signal = SIGKILL,
                .limits_hit = 1u << LIMIT_MEMORY | 1u << LIMIT_PROCESSES,
                .explanation = {.limit = LIMIT_MEMORY,
                                .configured = 64 << 20,
                                .observed = (64 << 20) - 4096,
                                .detected_by = "cgroup oom_kill",
                                .message = "your program used more memory than the 64M it may use"},
                .usage = {1234567, 89012, 2000999, 67104768, 12, 0},
                .timing = {1, 2, 3, 4, 5, 6, 21, 7},
                .start = RUN_START_WARM,
                .layers = LAYERS_ALL & ~LAYER_BIT(LAYER_NET_NS) & ~LAYER_BIT(LAYER_SECCOMP),
                .layers_missing = LAYER_BIT(LAYER_NET_NS),
                .launcher = "native",
            },
    };
    r.result.refusals[REFUSAL_SUBPROCESS] = 3;
    return r;
}
