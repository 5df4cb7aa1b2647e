#include "cli/run_runtime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "api/client_node.h"
#include "base/err.h"

#define TIMEOUT_MS 5000
#define REPLY_CAP  ((size_t)4 << 20)

/* With its dot; NULL: there is none. */
static const char *extension_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return strrchr(slash ? slash + 1 : file, '.');
}

const char *run_runtime_of(const char *file)
{
    static const struct {
        const char *extension, *runtime;
    } known[] = {{".py", "python3"}, {".sh", "bash"},  {".bash", "bash"}, {".c", "c"},
                 {".js", "node"},    {".mjs", "node"}, {".cjs", "node"}};
    const char *dot = extension_of(file);
    for (size_t i = 0; dot && i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(dot, known[i].extension) == 0)
            return known[i].runtime;
    }
    return NULL;
}

static bool has_extension(const Cloister__Exec__V1__RuntimeInfo *runtime, const char *extension)
{
    for (size_t i = 0; i < runtime->n_extensions; i++) {
        if (strcmp(runtime->extensions[i], extension) == 0)
            return true;
    }
    return false;
}

static int not_known(const char *file, const Cloister__Exec__V1__RuntimesResponse *runtimes,
                     struct err *err)
{
    char names[160] = "";
    size_t at = 0;
    struct stat st;
    if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(err, -EINVAL,
                       "%s is a directory: name the file to run; --file %s brings the rest along",
                       file, file);
    for (size_t i = 0; i < runtimes->n_runtimes && at < sizeof(names); i++) {
        int n = snprintf(names + at, sizeof(names) - at, "%s%s", i > 0 ? ", " : "",
                         runtimes->runtimes[i]->name);
        at += n > 0 ? (size_t)n : 0;
    }
    return err_set(err, -EINVAL,
                   "what runs %s? Its name does not say: use --runtime NAME; there are %s", file,
                   names);
}

int run_runtime_ask(struct client *client, const char *file, char *name, size_t size,
                    struct rpc_status *status, struct err *err)
{
    const Cloister__Exec__V1__RuntimesResponse *runtimes;
    AUTO_ARENA struct arena arena;
    arena_init(&arena, REPLY_CAP);
    int rc = client_node_runtimes(client, TIMEOUT_MS, &arena, &runtimes, status);
    if (rc < 0)
        return rc == -EINVAL ? -EREMOTEIO : rc;
    const char *extension = extension_of(file);
    for (size_t i = 0; extension && i < runtimes->n_runtimes; i++) {
        if (!has_extension(runtimes->runtimes[i], extension))
            continue;
        snprintf(name, size, "%s", runtimes->runtimes[i]->name);
        return 0;
    }
    return not_known(file, runtimes, err);
}
