/*
 * A program of yours that runs a program of nobody you trust, through the C client (api/client.h).
 * cc -o ask examples/client.c $(pkg-config --cflags --libs cloister)
 */

#include <stdio.h>
#include <stdlib.h>

#include "api/client.h"

struct outcome {
    bool over;
    int exit_status;
};

static void on_output(void *arg, int stream, uint64_t offset, const uint8_t *data, size_t len)
{
    (void)arg;
    (void)offset;
    fwrite(data, 1, len, stream == 2 ? stderr : stdout);
}

static void on_result(void *arg, const struct run_report *report)
{
    struct outcome *outcome = arg;
    outcome->exit_status = result_exit_status(&report->result);
    printf("%s: %s\n", verdict_name(report->result.verdict), run_message(&report->result));
}

static void on_end(void *arg, const struct rpc_status *status)
{
    struct outcome *outcome = arg;
    outcome->over = true;
    if (status->code != RPC_OK)
        fprintf(stderr, "%s: %s\n", rpc_code_name((int)status->code), status->message);
}

int main(void)
{
    static const char code[] = "print('hello from inside')\n"
                               "x = bytearray(300_000_000)\n";
    const struct model_file file = {.path = "main.py",
                                    .content = (const uint8_t *)code,
                                    .size = sizeof(code) - 1};
    struct run_request request = {.runtime = "python3", .entry = "", .files = &file, .n_files = 1};
    request.limits.v[LIMIT_MEMORY] = 64 << 20;

    const char *socket = getenv("CLOISTER_SOCKET");
    struct client_options options = {.socket = socket ? socket : CLIENT_SOCKET_DEFAULT};
    struct client *client = NULL;
    struct err err = {0};
    if (client_new(&options, &client, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    static const struct client_events events = {.on_output = on_output,
                                                .on_result = on_result,
                                                .on_end = on_end};
    struct outcome outcome = {.exit_status = 125};
    struct client_run *run = NULL;
    struct model_fault fault = {0};
    if (client_execute(client, &request, &events, &outcome, &run, &fault) < 0) {
        fprintf(stderr, "%s\n", fault.err.text); /* names the field that is wrong */
        outcome.over = true;
    }
    while (!outcome.over)
        client_wait(client, -1); /* or poll client_fd() in a loop of your own */
    client_free(client);
    return outcome.exit_status;
}
