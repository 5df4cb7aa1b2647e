/* Input sets below a workspace, through the spawner itself: on the host, and on cgroup v2 in the
 * virtual machine (tests/vm). What execsvc makes of them is in
 * tests/integration/execsvc/test_blobs.py. */

#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "sandbox/node.h"
#include "sandbox/spawn_client.h"

#define OWNER   4242
#define SET     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LINK    "11112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define FILE_   "22112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ABSENT  "33112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OUT_MAX 65536

struct world {
    char dir[64];
    struct node_config config;
    struct node *node;
    struct spawn_client *client;
    bool done;
    struct run_result result;
    struct err refused;
    char out[OUT_MAX]; /* stdout and stderr of the last run */
    size_t out_len;
    char files[OUT_MAX]; /* what it sent back, as a stream */
    size_t files_len;
    uint64_t runs;
};

/* ---- the set ---- */

static void put(const struct world *w, const char *path, const char *text, mode_t mode)
{
    char full[300];
    snprintf(full, sizeof(full), "%s/%s", w->dir, path);
    AUTO_CLOSE int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(fchown(fd, OWNER, OWNER), 0);
}

static void make_dir(const struct world *w, const char *path, mode_t mode)
{
    char full[300];
    snprintf(full, sizeof(full), "%s/%s", w->dir, path);
    assert_int_equal(mkdir(full, mode), 0);
    assert_int_equal(chown(full, OWNER, OWNER), 0);
}

static void make_sets(const struct world *w)
{
    char full[300];
    make_dir(w, "sets", 0700);
    make_dir(w, "sets/" SET, 0755);
    make_dir(w, "sets/" SET "/data", 0755);
    put(w, "sets/" SET "/data/kept.txt", "kept\n", 0644);
    put(w, "sets/" SET "/data/changed.txt", "before\n", 0644);
    put(w, "sets/" SET "/data/removed.txt", "removed\n", 0644);
    put(w, "sets/" SET "/tool", "#!/bin/sh\necho tool\n", 0755);
    put(w, "sets/" FILE_, "a file\n", 0644);
    snprintf(full, sizeof(full), "%s/sets/%s", w->dir, LINK);
    assert_int_equal(symlink("/etc", full), 0);
}

/* ---- the spawner ---- */

static void on_started(void *arg, uint64_t run, int pty_master)
{
    (void)arg, (void)run;
    fd_close(pty_master);
}

static void on_result(void *arg, uint64_t run, const struct run_result *result)
{
    struct world *w = arg;
    (void)run;
    w->result = *result;
    w->done = true;
}

static void on_refused(void *arg, uint64_t run, const struct err *err)
{
    struct world *w = arg;
    (void)run;
    w->refused = *err;
    w->done = true;
}

static void start_node(struct world *w, const char *cache_dir)
{
    static const struct spawn_events events = {.on_started = on_started,
                                               .on_result = on_result,
                                               .on_refused = on_refused};
    struct err err = {0};
    int pair[2];
    node_config_default(&w->config);
    snprintf(w->config.instance, sizeof(w->config.instance), "inputs-%d", getpid());
    snprintf(w->config.cache_dir, sizeof(w->config.cache_dir), "%s", cache_dir);
    w->config.cache_uid = w->config.cache_gid = OWNER;
    w->config.slots_max = 8; /* a slot is free a moment after its result */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    AUTO_CLOSE int spawner_end = pair[0];
    if (node_start(&w->config, spawner_end, &w->node, &err) < 0 ||
        spawn_client_new(pair[1], &events, w, &w->client, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    /* A file system of the disk: not every kernel's tmpfs has mapped mounts. */
    snprintf(w->dir, sizeof(w->dir), "/var/tmp/cloister-inputs-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    assert_int_equal(chown(w->dir, OWNER, OWNER), 0);
    make_sets(w);
    start_node(w, w->dir);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    spawn_client_free(w->client);
    node_stop(w->node);
    nftw(w->dir, test_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

static void read_some(int *fd, char *into, size_t *len)
{
    ssize_t n = read(*fd, into + *len, OUT_MAX - 1 - *len);
    if (n <= 0)
        *fd = fd_close(*fd);
    else
        *len += (size_t)n;
    into[*len] = 0;
}

/* Until all pipes are at their end and the result is there. */
static void attend(struct world *w, int *out, int *files)
{
    while (*out >= 0 || *files >= 0 || !w->done) {
        struct pollfd p[] = {{.fd = *out, .events = POLLIN},
                             {.fd = *files, .events = POLLIN},
                             {.fd = spawn_client_fd(w->client), .events = POLLIN}};
        if (poll(p, 3, 60000) <= 0)
            fail_msg("the run does not end: %s", w->out);
        if (p[0].revents)
            read_some(out, w->out, &w->out_len);
        if (p[1].revents)
            read_some(files, w->files, &w->files_len);
        if (p[2].revents && spawn_client_dispatch(w->client, NULL) < 0)
            fail_msg("the spawner is gone");
        if (w->refused.code) {
            *out = fd_close(*out);
            *files = fd_close(*files);
        }
    }
}

/* Return: whether there was a program. */
static bool run(struct world *w, const char *inputs, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL}, *envp[] = {"PATH=/usr/bin:/bin", NULL};
    struct sbx_spec spec = {.argv = argv,
                            .envp = envp,
                            .layers = w->config.layers,
                            .collect = true,
                            .tenant = "test",
                            .inputs = inputs};
    struct err err = {0};
    int out[2], files[2];
    AUTO_CLOSE int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(files, O_CLOEXEC), 0);
    const struct spawn_fds fds = {.stdin_fd = null,
                                  .stdout_fd = out[1],
                                  .stderr_fd = out[1],
                                  .files_in_fd = -1,
                                  .files_out_fd = files[1]};
    w->done = false;
    w->out_len = w->files_len = 0;
    w->refused = (struct err){0};
    if (spawn_client_run(w->client, ++w->runs, &spec, &fds, &err) < 0)
        fail_msg("%s", err.text);
    fd_close(out[1]);
    fd_close(files[1]);
    attend(w, &out[0], &files[0]);
    return w->refused.code == 0 && w->result.verdict != VERDICT_INTERNAL;
}

static bool came_back(const struct world *w, const char *text)
{
    return memmem(w->files, w->files_len, text, strlen(text)) != NULL;
}

/* ---- the cases ---- */

static void the_files_are_the_programs_and_can_be_read(void **state)
{
    struct world *w = *state;
    assert_true(run(w, SET,
                    "cat data/kept.txt; ./tool; for f in data/kept.txt tool data .; do "
                    "test -O $f && stat -c %a $f; done"));
    assert_string_equal(w->out, "kept\ntool\n644\n755\n755\n755\n");
    assert_int_equal(w->result.verdict, VERDICT_EXITED);
}

static void what_is_changed_comes_back_and_the_set_stays_as_it_was(void **state)
{
    struct world *w = *state;
    char path[300], text[64];
    assert_true(run(w, SET,
                    "echo after >>data/changed.txt; rm data/removed.txt; echo new >data/new.txt; "
                    "chmod 600 tool; "
                    "ls data; cat data/changed.txt"));
    assert_string_equal(w->out, "changed.txt\nkept.txt\nnew.txt\nbefore\nafter\n");
    assert_true(came_back(w, "data/changed.txt"));
    assert_true(came_back(w, "before\nafter\n"));
    assert_true(came_back(w, "data/new.txt"));
    assert_true(came_back(w, "tool"));
    assert_false(came_back(w, "kept.txt"));
    assert_false(came_back(w, "removed.txt"));
    snprintf(path, sizeof(path), "%s/sets/%s/data/changed.txt", w->dir, SET);
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fd_pread_text(fd, text, sizeof(text)), 6);
    assert_string_equal(text, "before");
    assert_true(run(w, SET, "cat data/changed.txt data/removed.txt"));
    assert_string_equal(w->out, "before\nremoved\n");
    assert_false(came_back(w, "data"));
}

static void only_a_set_can_be_named(void **state)
{
    static const char *const names[] = {
        "..", "/etc", SET "/data", "../../../../../../../../etc",
        "AA112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *argv[] = {"/bin/true", NULL}, *envp[] = {NULL};
        struct sbx_spec spec = {.argv = argv,
                                .envp = envp,
                                .layers = w->config.layers,
                                .inputs = names[i]};
        struct err err = {0};
        const struct spawn_fds fds = {0, 1, 2, -1, -1};
        w->done = false;
        w->refused = (struct err){0};
        /* Longer ones end the connection: a client of this build can't say them. */
        if (strlen(names[i]) > SBX_INPUTS_NAME)
            continue;
        assert_int_equal(spawn_client_run(w->client, ++w->runs, &spec, &fds, &err), 0);
        int none = -EBADF, too = -EBADF;
        attend(w, &none, &too);
        assert_int_equal(w->refused.code, -EINVAL);
    }
    static const char *const others[] = {LINK, FILE_, ABSENT};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_false(run(w, others[i], "ls -l"));
        assert_string_equal(w->result.err.text, "the input set is not there");
        assert_int_equal(w->out_len, 0);
    }
    assert_true(run(w, SET, "cat data/kept.txt")); /* nothing is worse for it */
    assert_string_equal(w->out, "kept\n");
}

static void nothing_of_the_host_shows_in_the_mounts(void **state)
{
    struct world *w = *state;
    const char *script =
        "while read a b c root at rest; do case $at in /workspace) echo $root $rest;; esac; "
        "done </proc/self/mountinfo";
    assert_true(run(w, SET, script));
    assert_non_null(strstr(w->out, "overlay"));
    assert_true(run(w, NULL, script));
    assert_null(strstr(w->out, "overlay"));
    assert_true(run(w, SET, "cat /proc/self/mountinfo"));
    assert_null(strstr(w->out, "/var/tmp"));
    assert_null(strstr(w->out, SET));
}

static void a_cache_of_somebody_else_shows_nothing(void **state)
{
    struct world *w = *state;
    spawn_client_free(w->client);
    node_stop(w->node);
    assert_int_equal(chown(w->dir, 0, 0), 0);
    start_node(w, w->dir);
    assert_non_null(strstr(spawn_client_node(w->client)->inputs_fault, "belongs to uid 0"));
    assert_false(run(w, SET, "ls"));
    assert_non_null(strstr(w->result.err.text, "shows no input sets"));
    assert_true(run(w, NULL, "echo works"));
    assert_string_equal(w->out, "works\n");
}

int main(int argc, char **argv)
{
    if (node_is_inner(argc, argv))
        return node_inner_main();
    if (geteuid() != 0) {
        const char *must = getenv("TESTS_MUST_RUN");
        printf("skipped: only root can start a node with a cache\n");
        return must && strcmp(must, "1") == 0 ? 1 : 77;
    }
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(the_files_are_the_programs_and_can_be_read),
        CASE(what_is_changed_comes_back_and_the_set_stays_as_it_was),
        CASE(only_a_set_can_be_named),
        CASE(nothing_of_the_host_shows_in_the_mounts),
        CASE(a_cache_of_somebody_else_shows_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
