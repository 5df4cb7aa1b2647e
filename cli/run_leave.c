/*
 * Runs that go on without us: begun and left (--detach), left later (a signal that means us, or
 * Enter ~ . at a terminal), or lost with the connection, to which we then come back by ourselves.
 */

#include "cli/run_session.h"

#include <stdio.h>
#include <string.h>

#include "api/result_json.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/commands.h"

#define AGAIN_US         UINT64_C(300000)
#define UNKNOWN_GRACE_MS UINT64_C(30000) /* of a run that somebody else has begun */

bool run_may_leave(const struct run_session *s)
{
    return s->options.attach || s->options.grace_ms > 0;
}

/* With --json: the object that is printed in every case. */
static void print_left(struct run_session *s, const char *run_id)
{
    struct run_report report;
    struct err err = {0};
    result_json_failure(RUN_NO_VERDICT, "it goes on: cloister run --attach comes back to it",
                        &report);
    report.run_id = run_id;
    if (result_json_print(stdout, &report, &(struct run_streams){0}, &err) == 0)
        return;
    run_say(s, "%s", err.text);
    s->exit_status = CLI_EXIT_OURS;
}

static void go(struct run_session *s, int exit_status)
{
    s->left = true;
    s->exit_status = exit_status;
    client_run_drop(s->run);
}

void run_leave(struct run_session *s, int exit_status)
{
    struct client_attach place;
    if (!client_run_place(s->run, &place)) {
        client_run_cancel(s->run); /* nobody could come back to it */
        return;
    }
    run_terminal_restore(&s->terminal);
    run_say(s, "it goes on without you: cloister run --attach %s", place.run_id);
    go(s, exit_status);
    if (s->options.json)
        print_left(s, place.run_id);
}

void run_detached(struct run_session *s, const char *run_id)
{
    go(s, 0);
    if (s->options.json)
        print_left(s, run_id);
    else if (printf("%s\n", run_id) < 0 || fflush(stdout) != 0)
        s->exit_status = CLI_EXIT_OURS;
}

/* ---- a lost connection ---- */

static void on_again(struct loop_timer *timer)
{
    struct run_session *s = container_of(timer, struct run_session, again);
    struct model_fault fault = {0};
    if (client_attach(s->client, &s->come, &run_session_events, s, &s->run, &fault) == 0)
        return;
    run_fail(s, VERDICT_INTERNAL, CLI_EXIT_OURS, fault.err.text);
    loop_stop(s->loop);
}

bool run_come_back(struct run_session *s, const struct rpc_status *status)
{
    struct client_attach place;
    bool lost =
        status->code == RPC_UNAVAILABLE && !*status->reason; /* not the service's own word */
    if (!lost || s->left || s->options.detach || !run_may_leave(s) ||
        !client_run_place(s->run, &place))
        return false;
    uint64_t now = clock_us();
    uint64_t grace_ms = s->options.attach ? UNKNOWN_GRACE_MS : s->options.grace_ms;
    if (s->give_up_us == 0) {
        s->give_up_us = now + grace_ms * 1000;
        run_say(s, "the connection is lost; trying to come back");
    }
    if (now >= s->give_up_us)
        return false;
    snprintf(s->run_id, sizeof(s->run_id), "%s", place.run_id);
    s->come = place;
    s->come.run_id = s->run_id;
    s->lost = *status;
    loop_io_remove(&s->stdin_io); /* its end would be told again and again */
    return loop_timer_set(s->loop, &s->again, now + AGAIN_US, on_again) == 0;
}
