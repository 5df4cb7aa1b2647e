/* Files of a request that are blobs: its input set, from the request to the end of the run. */

#include "execsvc/run_inputs.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "execsvc/exs.h"
#include "execsvc/run.h"
#include "execsvc/services.h"

static void on_ready(struct blob_pin *pin, const struct err *err)
{
    struct run *run = container_of(pin, struct run, inputs);
    (void)err; /* run_inputs_ready() finds it */
    if (!run->awaits_inputs)
        return;
    run->awaits_inputs = false;
    run_start_step(run);
}

static int refuse(const struct run *run, const size_t *indices, size_t missing, int why,
                  struct rpc_status *status)
{
    if (why == BLOB_E_MISSING) {
        size_t at = indices[missing];
        rpc_status_set(status, RPC_FAILED_PRECONDITION, "BLOB_MISSING",
                       "you have not put the blob of '%.200s' on this node, or it has gone: put it "
                       "(Blobs.Missing says which)",
                       run->request.files[at].path);
        rpc_status_field(status, "files[%zu].sha256", at);
        return -ENOENT;
    }
    if (why < 0) {
        rpc_status_set(status, RPC_RESOURCE_EXHAUSTED, "NO_MEMORY", "no memory for the request");
        return why;
    }
    service_blobs_full(status);
    return -EAGAIN;
}

static int pin(struct run *run, size_t n, struct rpc_status *status)
{
    const struct run_request *request = &run->request;
    struct blob_set_file *files = arena_zalloc(&run->scratch, n, sizeof(*files));
    size_t *indices = arena_zalloc(&run->scratch, n, sizeof(*indices));
    size_t missing = 0, at = 0;
    if (!files || !indices)
        return refuse(run, NULL, 0, -ENOMEM, status);
    for (size_t i = 0; i < request->n_files; i++) {
        const struct model_file *file = &request->files[i];
        if (!file->sha256)
            continue;
        files[at] = (struct blob_set_file){.path = file->path, .executable = file->executable};
        blob_store_key(run->tenant, file->sha256, &files[at].key);
        indices[at++] = i;
    }
    int r = blob_pin_set(run->exs->blobs, files, n, &run->inputs, on_ready, &missing);
    return r ? refuse(run, indices, missing, r, status) : 0;
}

int run_inputs_take(struct run *run, struct rpc_status *status)
{
    const struct run_request *request = &run->request;
    size_t n = 0;
    for (size_t i = 0; i < request->n_files; i++)
        n += request->files[i].sha256 != NULL;
    if (n == 0)
        return 0;
    if (run->exs->blobs)
        return pin(run, n, status);
    service_blobs_off(run->exs, status);
    return -EOPNOTSUPP;
}

bool run_inputs_ready(struct run *run)
{
    const struct err *fault = blob_pin_fault(&run->inputs);
    if (!run->inputs.set || blob_pin_is_ready(&run->inputs))
        return true;
    if (!fault) {
        run->awaits_inputs = true;
        return false;
    }
    struct rpc_status status;
    if (fault->code == -ENOENT) {
        rpc_status_set(&status, RPC_FAILED_PRECONDITION, "BLOB_MISSING",
                       "a blob of this run has gone from this node: put them again (Blobs.Missing "
                       "says which)");
        run_fail(run, &status);
        return false;
    }
    log_error("inputs.failed", fault->text, LOG_RUN(run));
    rpc_status_of_fault(fault, &status);
    if (status.code != RPC_RESOURCE_EXHAUSTED)
        rpc_status_set(&status, RPC_INTERNAL, "CACHE_FAULT", "%s", fault->text);
    run_fail(run, &status);
    return false;
}
