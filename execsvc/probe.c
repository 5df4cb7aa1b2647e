#include "execsvc/probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/text.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "execsvc/exs.h"
#include "execsvc/step.h"

#define TEXT_MAX 255
#define AGAIN_US UINT64_C(50000)

struct probe {
    struct exs *exs;
    void (*on_done)(struct exs *exs);
    struct step *step;
    struct loop_timer next;
    size_t index;
    unsigned tries;
    char text[TEXT_MAX + 1];
    size_t len;
};

static void on_next(struct loop_timer *timer);

static struct runtime *current(const struct probe *probe)
{
    return probe->exs->config->runtimes.v[probe->index];
}

static void again(struct probe *probe, uint64_t after_us)
{
    loop_timer_set(probe->exs->loop, &probe->next, clock_us() + after_us, on_next);
}

static void settle(struct probe *probe, const char *detail)
{
    struct runtime *runtime = current(probe);
    runtime->available = !*detail;
    snprintf(runtime->detail, sizeof(runtime->detail), "%s", detail);
    text_clean(runtime->detail);
    if (runtime->available)
        log_info("runtime.ready", "runtime answers", LOG_STR("runtime", runtime->name),
                 LOG_STR("version", runtime->version));
    else
        log_warn("runtime.failed", runtime->detail, LOG_STR("runtime", runtime->name));
    probe->index++;
    again(probe, 0);
}

static void on_output(struct step *step, int stream, const uint8_t *bytes, size_t len)
{
    struct probe *probe = step->owner;
    (void)stream; /* some name their version on stderr */
    size_t room = TEXT_MAX - probe->len, n = len < room ? len : room;
    memcpy(probe->text + probe->len, bytes, n);
    probe->len += n;
}

static void take_version(struct probe *probe)
{
    struct runtime *runtime = current(probe);
    probe->text[probe->len] = 0;
    probe->text[strcspn(probe->text, "\r\n")] = 0;
    snprintf(runtime->version, sizeof(runtime->version), "%.*s", (int)sizeof(runtime->version) - 1,
             probe->text);
    text_clean(runtime->version);
}

static void on_ended(struct step *step)
{
    struct probe *probe = step->owner;
    const struct run_result *r = &step->result;
    char detail[sizeof(current(probe)->detail)] = "";
    if (step->refused && r->err.code == -EAGAIN) {
        again(probe, AGAIN_US);
        return;
    }
    if (r->verdict == VERDICT_INTERNAL)
        snprintf(detail, sizeof(detail), "%.*s", (int)sizeof(detail) - 1, r->err.text);
    else if (r->verdict != VERDICT_EXITED || r->exit_code != 0)
        snprintf(detail, sizeof(detail), "its version command ended with %s, status %d",
                 verdict_name(r->verdict), r->exit_code);
    else
        take_version(probe);
    probe->step = step_free(step);
    settle(probe, detail);
}

static const struct step_ops ops = {.on_output = on_output, .on_ended = on_ended};

static int ask(struct probe *probe, struct err *err)
{
    struct exs *exs = probe->exs;
    const struct runtime *runtime = current(probe);
    const char *env[RUNTIME_ENV_MAX + 1] = {NULL};
    memcpy(env, exs->config->env, exs->config->n_env * sizeof(*env));
    struct sbx_spec spec = {.argv = runtime->version_command.v,
                            .envp = env,
                            .layers = LAYERS_ALL,
                            .tree = runtime_tree(runtime),
                            .tenant = "cloister"};
    exs_limits(exs, &runtime->limits, &spec.limits);
    const struct step_order order = {.spec = &spec};
    probe->len = 0;
    if (!probe->step) {
        probe->step = step_new(exs->spawner, exs->loop, false, &ops, probe);
        if (!probe->step)
            return err_set(err, -ENOMEM, "no memory for the probe");
        step_input_close(probe->step);
    }
    return step_start(probe->step, &order, err);
}

void probe_stop(struct exs *exs)
{
    struct probe *probe = exs->probe;
    if (!probe)
        return;
    loop_timer_cancel(&probe->next);
    step_free(probe->step);
    free(probe);
    exs->probe = NULL;
}

static void finish(struct probe *probe)
{
    struct exs *exs = probe->exs;
    void (*on_done)(struct exs *) = probe->on_done;
    probe_stop(exs);
    on_done(exs);
}

static void on_next(struct loop_timer *timer)
{
    struct probe *probe = container_of(timer, struct probe, next);
    struct err err = {0};
    const struct runtimes *runtimes = &probe->exs->config->runtimes;
    if (probe->exs->lost) /* without the spawner nothing answers, and the process ends */
        return;
    while (probe->index < runtimes->n && current(probe)->disabled)
        probe->index++;
    if (probe->index == runtimes->n) {
        finish(probe);
        return;
    }
    if (current(probe)->version_command.n == 0) {
        settle(probe, "");
        return;
    }
    int r = ask(probe, &err);
    if (r == -EAGAIN) {
        again(probe, AGAIN_US);
    } else if (r < 0) {
        probe->step = step_free(probe->step);
        settle(probe, err.text);
    }
}

int probe_start(struct exs *exs, void (*on_done)(struct exs *exs), struct err *err)
{
    struct probe *probe = calloc(1, sizeof(*probe));
    if (!probe)
        return err_set(err, -ENOMEM, "no memory for the probe");
    probe->exs = exs;
    probe->on_done = on_done;
    exs->probe = probe;
    again(probe, 0);
    return 0;
}
