/* What the operator may set for the spawner, and whose file it must be. */

#include "tests/support/unit.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "sandbox/spawner_config.h"

static struct spawner_config config;
static struct err err;

static int parsed(const char *text)
{
    memset(&err, 0, sizeof(err));
    return spawner_config_text(&config, text, strlen(text), "test.conf", &err);
}

static void assert_refused(const char *text, const char *words)
{
    int r = parsed(text);
    if (r >= 0 || !strstr(err.text, words))
        fail_msg("'%s': %d '%s', without '%s'", text, r, err.text, words);
}

static void an_empty_file_gives_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(parsed(""), 0);
    struct limits defaults, ceilings;
    limits_default(&defaults);
    limits_ceiling(&ceilings);
    assert_memory_equal(&config.node.defaults, &defaults, sizeof(defaults));
    assert_memory_equal(&config.node.ceilings, &ceilings, sizeof(ceilings));
    assert_string_equal(config.node.instance, "default");
    assert_string_equal(config.socket, "/run/cloister/execsvc.sock");
    assert_int_equal(config.drain_ms, 30000);
    assert_true(config.node.caps.memory_bytes > 0); /* the node is never without a cap */
    assert_true(config.node.caps.pids > 0);
    assert_true(config.uid != 0);
    assert_int_equal(config.node.allow_missing, 0);
    assert_true(config.node.layers == LAYERS_ALL && !config.node.one_shot);
    size_t len = strlen(config.execsvc);
    assert_true(len > 8 && strcmp(config.execsvc + len - 8, "/execsvc") == 0);
}

static void the_cache_is_named_after_the_instance_or_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(parsed("[spawner]\ninstance = seven\n"), 0);
    assert_string_equal(config.node.cache_dir, "/var/cache/cloister/seven");
    assert_int_equal(parsed("[spawner]\ncache_dir = none\n"), 0);
    assert_string_equal(config.node.cache_dir, "");
}

static void every_key_is_taken(void **state)
{
    (void)state;
    assert_int_equal(parsed("[spawner]\n"
                            "instance = class-7\n"
                            "user = 4711\n"
                            "group = 4712\n"
                            "execsvc = /opt/execsvc\n"
                            "run_dir = /run/seven\n"
                            "cache_dir = /var/seven\n"
                            "slots_max = 12\n"
                            "ready_max = 5\n"
                            "watchdog = 3s\n"
                            "memory = 3G\n"
                            "processes = 900\n"
                            "cpu_percent = 150\n"
                            "allow_missing = net-namespace, cgroup-cpu\n"
                            "uid_base = 1800000000\n"
                            "[ceilings]\nmemory = 512M\n"
                            "[limits]\nmemory = 64M\nwall = 5m\n"
                            "[execsvc]\nsocket = /run/seven/s.sock\ndrain = 2m\n"),
                     0);
    const struct node_config *n = &config.node;
    assert_string_equal(n->instance, "class-7");
    assert_int_equal(config.uid, 4711);
    assert_int_equal(config.gid, 4711);
    assert_int_equal(config.socket_gid, 4712);
    assert_string_equal(config.execsvc, "/opt/execsvc");
    assert_string_equal(config.run_dir, "/run/seven");
    assert_string_equal(n->cache_dir, "/var/seven");
    assert_int_equal(n->cache_uid, 4711);
    assert_int_equal(n->slots_max, 12);
    assert_int_equal(n->ready_max, 5);
    assert_int_equal(config.watchdog_ms, 3000);
    assert_true(n->caps.memory_bytes == UINT64_C(3) << 30);
    assert_int_equal(n->caps.pids, 900);
    assert_int_equal(n->caps.cpu_percent, 150);
    assert_int_equal(n->allow_missing, LAYER_BIT(LAYER_NET_NS) | LAYER_BIT(LAYER_CG_CPU));
    assert_int_equal(n->uid_base, 1800000000);
    assert_int_equal(n->ceilings.v[LIMIT_MEMORY], 512 << 20);
    assert_int_equal(n->defaults.v[LIMIT_MEMORY], 64 << 20);
    assert_int_equal(n->defaults.v[LIMIT_WALL], 300000);
    assert_string_equal(config.socket, "/run/seven/s.sock");
    assert_int_equal(config.drain_ms, 120000);
}

static void other_programs_sections_are_passed_over(void **state)
{
    (void)state;
    assert_int_equal(parsed("[frontgw]\nanything = x\n[runtime \"c\"]\nargv = gcc\n"
                            "[identity \"uid:0\"]\nact_for = x\n[execsvc]\nqueue_max = 9\n"),
                     0);
    assert_refused("[spawnr]\nmemory = 3G\n", "no section [spawnr]");
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    assert_refused("[spawner]\nmemroy = 3G\n", "no key 'memroy'");
    assert_refused("\n[spawner]\nslots_max = 0\n", "test.conf:3");
    assert_refused("[spawner]\nslots_max = 513\n", "from 1 to 512");
    assert_refused("[spawner]\nready_max = 65\n", "from 0 to 64");
    assert_refused("[spawner]\nwatchdog = 100ms\n", "500ms to 1h");
    assert_refused("[spawner]\nwatchdog = 2h\n", "500ms to 1h");
    assert_refused("[spawner]\nwatchdog = soon\n", "is not a time");
    assert_refused("[spawner]\nmemory = lots\n", "test.conf:2");
    assert_refused("[spawner]\nprocesses = -1\n", "test.conf:2");
    assert_refused("[spawner]\nallow_missing = seccomp, selinux\n", "'selinux'");
    assert_refused("[spawner]\nuser = nobody-of-that-name\n", "no user");
    assert_refused("[spawner]\ngroup = nobody-of-that-name\n", "no group");
    assert_refused("[spawner]\nslotsmax = 3\n", "Did you mean 'slots_max'?");
    assert_refused("[spwaner]\nslots_max = 3\n", "Did you mean 'spawner'?");
    assert_refused("[limits]\nmemmory = 1M\n", "no limit 'memmory'");
    assert_refused("[ceilings]\ncpu = 10x\n", "cpu");
}

static void execsvc_is_never_root(void **state)
{
    (void)state;
    assert_refused("[spawner]\nuser = root\n", "root");
    assert_refused("[spawner]\nuser = 0\n", "no user");
}

static void uids_of_the_host_are_not_given_to_sandboxes(void **state)
{
    (void)state;
    assert_refused("[spawner]\nuid_base = 1000\n", "from 65536");
    assert_refused("[spawner]\nuid_base = 2147483647\n", "from 65536");
    assert_refused("[spawner]\nuid_base = 4294967296\n", "from 65536");
}

static void an_instance_is_a_plain_name(void **state)
{
    (void)state;
    assert_refused("[spawner]\ninstance = ../other\n", "instance");
    assert_refused("[spawner]\ninstance = a b\n", "instance");
    assert_refused("[spawner]\ninstance =\n", "instance");
    char text[128];
    snprintf(text, sizeof(text), "[spawner]\ninstance = %070d\n", 1);
    assert_refused(text, "longer than 63");
}

static void paths_are_absolute(void **state)
{
    (void)state;
    assert_refused("[spawner]\nrun_dir = run\n", "absolute");
    assert_refused("[spawner]\ncache_dir = cache\n", "absolute");
    assert_refused("[execsvc]\nsocket = execsvc.sock\n", "absolute");
}

static void a_default_above_its_ceiling_is_refused(void **state)
{
    (void)state;
    assert_refused("[ceilings]\nmemory = 64M\n[limits]\nmemory = 65M\n", "memory");
    assert_refused("[limits]\nwall = 2h\n", "wall");
}

static void what_the_supervisor_waits_for_is_a_time(void **state)
{
    (void)state;
    assert_refused("[execsvc]\ndrain = soon\n", "drain");
    assert_refused("[execsvc]\ndrain = 2h\n", "drain");
}

static void an_alias_beats_the_file_and_not_the_ceiling(void **state)
{
    (void)state;
    setenv("MEMORY_LIMIT_MB", "32", 1);
    assert_int_equal(spawner_config_load(&config, NULL, &err), 0);
    assert_int_equal(config.node.defaults.v[LIMIT_MEMORY], 32 << 20);
    setenv("MEMORY_LIMIT_MB", "4096", 1);
    assert_true(spawner_config_load(&config, NULL, &err) < 0);
    assert_non_null(strstr(err.text, "memory"));
    setenv("MEMORY_LIMIT_MB", "much", 1);
    assert_true(spawner_config_load(&config, NULL, &err) < 0);
    assert_non_null(strstr(err.text, "MEMORY_LIMIT_MB"));
    unsetenv("MEMORY_LIMIT_MB");
}

/* The file's owner is checked before a byte of it is believed. */
static void only_roots_own_file_is_believed(void **state)
{
    (void)state;
    skip_unless(geteuid() == 0, "needs root to make files of root's and of somebody else's");
    char *dir = test_dir_new(), path[256];
    snprintf(path, sizeof(path), "%s/cloister.conf", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("[spawner]\ninstance = mine\n", file);
    fclose(file);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(spawner_config_load(&config, path, &err), 0);
    assert_string_equal(config.node.instance, "mine");
    assert_string_equal(config.config_path, path);
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(spawner_config_load(&config, path, &err), -EPERM);
    assert_int_equal(chmod(path, 0646), 0);
    assert_int_equal(spawner_config_load(&config, path, &err), -EPERM);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chown(path, 4711, 0), 0);
    assert_int_equal(spawner_config_load(&config, path, &err), -EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(spawner_config_load(&config, path, &err), -ENOENT);
    test_dir_free(dir);
}

static void a_runtime_with_a_root_or_mounts_has_a_tree_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(parsed("[runtime \"plain\"]\ncommand = /bin/sh\nenv.A = b\nenabled = yes\n"
                            "[runtime \"lua\"]\nrootfs = /srv/lua\nmount.a = /srv/a:/opt/a\n"
                            "[runtime \"go\"]\nmount.go = /opt/go\n"
                            "[runtime \"off\"]\nenabled = no\nrootfs = /srv/off\n"),
                     0);
    const struct node_config *n = &config.node;
    assert_int_equal(n->n_trees, 4);
    assert_int_equal(n->n_binds, 4);
    const int lua = node_tree_find(n, "lua", &err), go = node_tree_find(n, "go", &err);
    assert_true(lua > 0 && go > 0 && n->trees[lua].rootfs && !n->trees[go].rootfs);
    assert_string_equal(n->binds[0].source, "/srv/lua");
    assert_string_equal(n->binds[0].target, "/");
    assert_string_equal(n->binds[1].target, "/opt/a");
    assert_int_equal(n->binds[1].tree, lua);
    assert_string_equal(n->binds[2].source, "/opt/go");
    assert_string_equal(n->binds[2].target, "/opt/go");
    assert_int_equal(n->binds[2].tree, go);
    for (uint32_t i = 0; i < n->n_binds; i++)
        assert_false(n->binds[i].writable);
}

/* What a request names comes from execsvc, which is distrusted. */
static void only_trees_of_the_operator_are_found(void **state)
{
    (void)state;
    assert_int_equal(parsed("[runtime \"lua\"]\nrootfs = /srv/lua\n"
                            "[runtime \"off\"]\nenabled = no\nrootfs = /srv/off\n"
                            "[runtime \"bad\"]\nrootfs = /srv/bad\n"),
                     0);
    struct node_config *n = &config.node;
    assert_int_equal(node_tree_find(n, "", &err), 0);
    static const char *const wrong[] = {"plain", "off", "/srv/lua", "../lua", "lua/", "LUA", "1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(node_tree_find(n, wrong[i], &err), -ENOENT);
    struct node_tree *bad = &n->trees[node_tree_find(n, "bad", &err)];
    snprintf(bad->fault, sizeof(bad->fault), "it is gone");
    assert_int_equal(node_tree_find(n, "bad", &err), -ENOENT);
    assert_non_null(strstr(err.text, "it is gone"));
}

static void what_a_runtime_may_not_show_is_refused(void **state)
{
    (void)state;
    assert_refused("[runtime \"a\"]\nrootfs = srv\n", "rootfs: must be an absolute path");
    assert_refused("[runtime \"a\"]\nmount.x = srv:/opt\n", "mount.x: must be an absolute path");
    assert_refused("[runtime \"a\"]\nmount.x = /srv:/dev/shm\n", "the sandbox's own");
    assert_refused("[runtime \"a\"]\nmount.x = /srv:/a/../b\n", "without ..");
    assert_refused("[runtime \"a\"]\nmount.x = /srv:\n", "absolute path");
    assert_refused("[runtime \"a\"]\nenabled = perhaps\n", "neither yes nor no");
}

int main(void)
{
    unsetenv("CLOISTER_SOCKET");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_gives_the_defaults),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(the_cache_is_named_after_the_instance_or_there_is_none),
        cmocka_unit_test(a_runtime_with_a_root_or_mounts_has_a_tree_of_its_own),
        cmocka_unit_test(only_trees_of_the_operator_are_found),
        cmocka_unit_test(what_a_runtime_may_not_show_is_refused),
        cmocka_unit_test(other_programs_sections_are_passed_over),
        cmocka_unit_test(what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(execsvc_is_never_root),
        cmocka_unit_test(uids_of_the_host_are_not_given_to_sandboxes),
        cmocka_unit_test(an_instance_is_a_plain_name),
        cmocka_unit_test(paths_are_absolute),
        cmocka_unit_test(what_the_supervisor_waits_for_is_a_time),
        cmocka_unit_test(an_alias_beats_the_file_and_not_the_ceiling),
        cmocka_unit_test(a_default_above_its_ceiling_is_refused),
        cmocka_unit_test(only_roots_own_file_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
