/* Input sets below a workspace, through the spawner itself: on the host, and on cgroup v2 in the
 * virtual machine (tests/vm). What execsvc makes of them is in
 * tests/integration/execsvc/test_blobs.py. */

#include "tests/integration/sandbox/world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

#define OWNER  4242
#define SET    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LINK   "11112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define FILE_  "22112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ABSENT "33112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

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

static void start_node(struct world *w, const char *cache_dir)
{
    world_config(w, "inputs");
    snprintf(w->config.cache_dir, sizeof(w->config.cache_dir), "%s", cache_dir);
    w->config.cache_uid = w->config.cache_gid = OWNER;
    world_start(w);
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
    world_stop(w);
    nftw(w->dir, test_dir_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* Return: whether there was a program. */
static bool run(struct world *w, const char *inputs, const char *script)
{
    return world_run(w, &(struct sbx_spec){.inputs = inputs}, script);
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
        world_attend(w, &none, &too);
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
    world_stop(w);
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
    int status = world_main(argc, argv);
    if (status >= 0)
        return status;
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
