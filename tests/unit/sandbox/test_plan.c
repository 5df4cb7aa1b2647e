/* The plan of a run: pure, so every order and every layer can be looked at without root. */

#include "tests/support/unit.h"

#include <errno.h>
#include <linux/sched.h>
#include <sys/mount.h>

#include "base/err.h"
#include "sandbox/init_proto.h"
#include "sandbox/plan.h"

enum {
    JOIN_A = 40,
    JOIN_B,
    MOUNT_FD,
    NET_FD,
    INIT_FD,
    CONTROL_FD,
    CGROUP_FD,
    IN_FD,
    OUT_FD,
    INPUTS_FD
};

static const char *const argv[] = {"prog", "an argument", NULL};
static const char *const envp[] = {"PATH=/usr/bin", NULL};
static const char *const masks[] = {"/proc/keys", "/proc/acpi/", NULL};
static const int joins[] = {JOIN_A, JOIN_B};

static struct sbx_spec spec_of(uint32_t layers)
{
    struct sbx_spec spec = {.argv = argv, .envp = envp, .layers = layers};
    limits_default(&spec.limits);
    return spec;
}

static struct plan_facts facts_of_v1(void)
{
    return (struct plan_facts){.available = LAYERS_ALL,
                               .join_fds = joins,
                               .n_join_fds = 2,
                               .cgroup_clone_fd = -1,
                               .mount_fd = MOUNT_FD,
                               .net_fd = NET_FD,
                               .init_fd = INIT_FD,
                               .control_fd = CONTROL_FD,
                               .stdio = {10, 11, 12},
                               .files_in_fd = -EBADF,
                               .files_out_fd = -EBADF,
                               .uid = 1007,
                               .gid = 1007,
                               .masks = masks,
                               .tmpfs_owner = true,
                               .proc = true};
}

static const struct plan *built(const struct sbx_spec *spec, const struct plan_facts *facts)
{
    static struct plan plan;
    struct err err = {0};
    if (plan_build(spec, facts, &plan, &err) < 0)
        fail_msg("plan_build: %s", err.text);
    return &plan;
}

static const struct plan *built_without(uint32_t layers)
{
    struct sbx_spec spec = spec_of(LAYERS_ALL & ~layers);
    struct plan_facts facts = facts_of_v1();
    return built(&spec, &facts);
}

/* Index of the first such operation from @from on, or -1. */
static int find(const struct plan *plan, enum plan_kind kind, int from)
{
    for (int i = from; i < (int)plan->n_ops; i++)
        if (plan->ops[i].kind == kind)
            return i;
    return -1;
}

static int find_mount(const struct plan *plan, const char *target)
{
    for (int i = 0; i < (int)plan->n_ops; i++)
        if (plan->ops[i].kind == PLAN_MOUNT && strcmp(plan->ops[i].target, target) == 0)
            return i;
    return -1;
}

static int count(const struct plan *plan, enum plan_kind kind)
{
    int n = 0;
    for (int i = find(plan, kind, 0); i >= 0; i = find(plan, kind, i + 1))
        n++;
    return n;
}

static void the_cgroup_is_joined_before_its_namespace_is_cut(void **state)
{
    (void)state;
    const struct plan *plan = built_without(0);
    assert_int_equal(plan->ops[0].kind, PLAN_JOIN_CGROUP);
    assert_int_equal(plan->ops[0].fd, JOIN_A);
    assert_int_equal(plan->ops[1].fd, JOIN_B);
    int unshare = find(plan, PLAN_UNSHARE, 0);
    assert_true(unshare > 1);
    assert_true(plan->ops[unshare].flags == (CLONE_NEWNS | CLONE_NEWCGROUP));
}

static void the_slots_tree_is_entered_before_the_copy_is_made(void **state)
{
    (void)state;
    const struct plan *plan = built_without(0);
    int enter = find(plan, PLAN_ENTER, 0), unshare = find(plan, PLAN_UNSHARE, 0);
    assert_int_equal(plan->ops[enter].fd, MOUNT_FD);
    assert_true(plan->ops[enter].flags == CLONE_NEWNS);
    assert_true(enter < unshare);
    int net = find(plan, PLAN_ENTER, enter + 1);
    assert_int_equal(plan->ops[net].fd, NET_FD);
    assert_true(find(plan, PLAN_MOUNT, 0) > unshare);
}

static void init_is_the_last_operation(void **state)
{
    (void)state;
    const struct plan *plan = built_without(0);
    assert_int_equal(plan->ops[plan->n_ops - 1].kind, PLAN_INIT);
    assert_int_equal(plan->ops[plan->n_ops - 1].fd, INIT_FD);
    assert_int_equal(find(plan, PLAN_INIT, 0), (int)plan->n_ops - 1);
}

static void on_v2_the_child_is_born_in_its_group(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    facts.cgroup_clone_fd = CGROUP_FD;
    const struct plan *plan = built(&spec, &facts);
    assert_true(plan->clone_flags & CLONE_INTO_CGROUP);
    assert_int_equal(plan->clone_cgroup_fd, CGROUP_FD);
    assert_int_equal(count(plan, PLAN_JOIN_CGROUP), 0);
}

static void proc_is_fresh_read_only_and_masked(void **state)
{
    (void)state;
    const struct plan *plan = built_without(0);
    int proc = find_mount(plan, "/proc");
    assert_true(proc >= 0);
    assert_true(plan->ops[proc].flags == (MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY));
    assert_int_equal(count(plan, PLAN_MASK), 2);
    int mask = find(plan, PLAN_MASK, 0);
    assert_true(mask > proc);
    assert_string_equal(plan->ops[mask].target, "/proc/keys");
    assert_string_equal(plan->ops[mask + 1].target, "/proc/acpi/");
}

static void one_tmpfs_carries_the_limits_of_all_writable_places(void **state)
{
    (void)state;
    const struct plan *plan = built_without(0);
    int tmpfs = find_mount(plan, "/tmp"), n = 0;
    assert_string_equal(plan->ops[tmpfs].type, "tmpfs");
    assert_true(plan->ops[tmpfs].flags == (MS_NOSUID | MS_NODEV | MS_NOATIME));
    assert_non_null(strstr(plan->ops[tmpfs].data, "size=67108864"));
    assert_non_null(strstr(plan->ops[tmpfs].data, "uid=1007"));
    for (size_t i = 0; i < plan->n_ops; i++)
        n += plan->ops[i].kind == PLAN_MOUNT && strcmp(plan->ops[i].type, "tmpfs") == 0;
    assert_int_equal(n, 1);
    assert_true(find_mount(plan, "/workspace") > tmpfs);
    assert_true(find_mount(plan, "/dev/shm") > tmpfs);
}

static void files_are_made_by_root_again_after_the_places(void **state)
{
    (void)state;
    const struct plan *plan = built_without(0);
    int slot = find(plan, PLAN_FSUID, 0), root = find(plan, PLAN_FSUID, slot + 1);
    assert_true(plan->ops[slot].flags == 1007);
    assert_true(plan->ops[root].flags == 0);
    for (int i = find(plan, PLAN_MKDIR, 0); i >= 0; i = find(plan, PLAN_MKDIR, i + 1))
        assert_true(slot < i && i < root);
}

static void a_layer_left_out_takes_its_operations_away(void **state)
{
    (void)state;
    const uint32_t cgroups =
        LAYER_BIT(LAYER_CG_MEMORY) | LAYER_BIT(LAYER_CG_PIDS) | LAYER_BIT(LAYER_CG_CPU);
    assert_int_equal(count(built_without(cgroups), PLAN_JOIN_CGROUP), 0);
    assert_int_equal(count(built_without(LAYER_BIT(LAYER_NET_NS)), PLAN_ENTER), 1);
    assert_int_equal(count(built_without(LAYER_BIT(LAYER_PROC_MASK)), PLAN_MASK), 0);

    const struct plan *plan = built_without(LAYER_BIT(LAYER_PROC_MASK));
    assert_false(plan->ops[find_mount(plan, "/proc")].flags & MS_RDONLY);
    plan = built_without(LAYER_BIT(LAYER_TMPFS_LIMITS));
    assert_null(strstr(plan->ops[find_mount(plan, "/tmp")].data, "size="));
    plan = built_without(LAYER_BIT(LAYER_CGROUP_NS));
    assert_true(plan->ops[find(plan, PLAN_UNSHARE, 0)].flags == CLONE_NEWNS);
}

static void each_namespace_layer_is_one_flag_of_clone(void **state)
{
    (void)state;
    static const struct {
        enum layer layer;
        uint64_t flag;
    } cases[] = {{LAYER_PID_NS, CLONE_NEWPID},
                 {LAYER_IPC_NS, CLONE_NEWIPC},
                 {LAYER_UTS_NS, CLONE_NEWUTS}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(built_without(0)->clone_flags & cases[i].flag);
        const struct plan *plan = built_without(LAYER_BIT(cases[i].layer));
        assert_false(plan->clone_flags & cases[i].flag);
        assert_false(plan->layers & LAYER_BIT(cases[i].layer));
    }
}

static void layers_that_stand_on_a_missing_one_are_not_claimed(void **state)
{
    (void)state;
    const struct plan *plan = built_without(LAYER_BIT(LAYER_MOUNT_NS));
    assert_int_equal(count(plan, PLAN_MOUNT), 0);
    assert_false(plan->layers & (LAYER_BIT(LAYER_ROOT_OVERLAY) | LAYER_BIT(LAYER_PROC_MASK) |
                                 LAYER_BIT(LAYER_TMPFS_LIMITS)));
    plan = built_without(LAYER_BIT(LAYER_PID_NS));
    assert_false(plan->layers & LAYER_BIT(LAYER_PROC_MASK));
    assert_int_equal(find_mount(plan, "/proc"), -1);
}

static void what_the_node_can_not_give_is_not_planned(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    facts.available &= ~(LAYER_BIT(LAYER_NET_NS) | LAYER_BIT(LAYER_CGROUP_NS));
    const struct plan *plan = built(&spec, &facts);
    assert_int_equal(plan->layers, facts.available);
    assert_int_equal(count(plan, PLAN_ENTER), 1);
}

static void descriptors_get_their_numbers_and_absent_ones_none(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    assert_int_equal(count(built(&spec, &facts), PLAN_STDIO), 4);
    facts.files_in_fd = IN_FD;
    facts.files_out_fd = OUT_FD;
    const struct plan *plan = built(&spec, &facts);
    static const int expected[] = {10, 11, 12, CONTROL_FD, IN_FD, OUT_FD};
    int first = find(plan, PLAN_STDIO, 0);
    for (int number = 0; number < 6; number++) {
        assert_int_equal(plan->ops[first + number].fd, expected[number]);
        assert_int_equal(plan->ops[first + number].flags, number);
    }
    assert_true(plan->ops[first + INIT_FD_CONTROL].fd == CONTROL_FD);
}

static void too_many_operations_are_an_error(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    static const char *many[PLAN_OPS_MAX + 1];
    for (int i = 0; i < PLAN_OPS_MAX; i++)
        many[i] = "/proc/keys";
    facts.masks = many;
    static struct plan plan;
    struct err err = {0};
    assert_int_equal(plan_build(&spec, &facts, &plan, &err), -E2BIG);
    assert_non_null(strstr(err.text, "does not fit"));

    static int groups[PLAN_OPS_MAX];
    facts = facts_of_v1();
    facts.join_fds = groups;
    for (size_t n = 0; n <= PLAN_OPS_MAX; n++) { /* wherever the list becomes full */
        facts.n_join_fds = n;
        int r = plan_build(&spec, &facts, &plan, &err);
        assert_true(r == 0 || r == -E2BIG);
        assert_true(plan.n_ops <= PLAN_OPS_MAX);
        assert_int_equal(r == 0, plan.ops[plan.n_ops - 1].kind == PLAN_INIT);
    }
}

static void the_longest_numbers_fit_into_its_text(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    for (int i = 0; i < LIMIT_COUNT; i++)
        spec.limits.v[i] = UINT64_MAX - 16;
    struct plan_facts facts = facts_of_v1();
    facts.uid = facts.gid = UINT32_MAX;
    const struct plan *plan = built(&spec, &facts);
    assert_true(plan->text_used < PLAN_TEXT_MAX / 2);
}

static void a_plan_is_printed_one_operation_a_line(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    const struct plan *plan = built(&spec, &facts);
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    plan_print(plan, &spec, out);
    fclose(out);
    size_t lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, plan->n_ops + 5); /* clone3; init twice; limits; layers */
    assert_non_null(strstr(text, "mount tmpfs on /tmp"));
    assert_non_null(strstr(text, "init: run prog an argument\n"));
    assert_non_null(strstr(text, "memory=128M"));
    free(text);
}

static void bubblewrap_gets_its_arguments_and_no_claim_of_inode_limits(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    facts.launcher = SBX_LAUNCHER_BWRAP;
    const struct plan *plan = built(&spec, &facts);
    assert_false(plan->layers & LAYER_BIT(LAYER_TMPFS_LIMITS));
    const struct plan_op *last = &plan->ops[plan->n_ops - 1];
    assert_int_equal(last->kind, PLAN_EXEC);
    assert_true(plan->n_argv > 1 && plan->n_argv < PLAN_ARGS_MAX);
    assert_null(plan->argv[plan->n_argv]);
    assert_int_equal(plan->ops[0].kind, PLAN_JOIN_CGROUP);
}

static void an_input_set_lies_below_the_workspace(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    spec.inputs = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    facts.inputs_fd = INPUTS_FD;
    const struct plan *plan = built(&spec, &facts);
    int attach = find(plan, PLAN_ATTACH, 0), override = find(plan, PLAN_OVERRIDE, 0);
    int overlay = find_mount(plan, SBX_WORKSPACE), detach = find(plan, PLAN_DETACH, 0);
    int keep = find(plan, PLAN_KEEP, 0), hidden = find_mount(plan, "/tmp");
    assert_int_equal(plan->ops[attach].fd, INPUTS_FD);
    assert_string_equal(plan->ops[overlay].type, "overlay");
    assert_non_null(strstr(plan->ops[overlay].data, plan->ops[attach].target));
    assert_string_equal(plan->ops[detach].target, plan->ops[attach].target);
    assert_int_equal(plan->ops[keep].flags, INIT_FD_UPPER);
    assert_non_null(strstr(plan->ops[overlay].data, plan->ops[keep].target));
    /* The overlay is mounted as the slot's uid, and everything while its places can be reached. */
    int slot = find(plan, PLAN_FSUID, 0), root = find(plan, PLAN_FSUID, slot + 1);
    assert_int_equal(plan->ops[slot].flags, facts.uid);
    assert_int_equal(plan->ops[root].flags, 0);
    assert_true(slot < attach && attach < override && override < overlay && overlay < detach);
    assert_true(detach < keep && keep < root);
    int last = find(plan, PLAN_MOUNT, keep);
    while (find(plan, PLAN_MOUNT, last + 1) >= 0)
        last = find(plan, PLAN_MOUNT, last + 1);
    assert_string_equal(plan->ops[last].target, "/tmp");
    assert_true(hidden < attach); /* the tmpfs itself */
}

static void without_an_input_set_nothing_of_it_is_done(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    spec.inputs = "";
    const size_t n_ops = built(&spec, &facts)->n_ops;
    spec.inputs = NULL;
    const struct plan *plan = built(&spec, &facts);
    assert_int_equal(plan->n_ops, n_ops);
    assert_int_equal(find(plan, PLAN_ATTACH, 0), -1);
    assert_int_equal(find(plan, PLAN_OVERRIDE, 0), -1);
    assert_int_equal(find(plan, PLAN_KEEP, 0), -1);
    assert_string_not_equal(plan->ops[find_mount(plan, SBX_WORKSPACE)].type, "overlay");
}

static const char *const shown[] = {"/usr", "/etc/alternatives", NULL};

static struct plan_tree tree_of_a_direct_run(void)
{
    static const char *const hidden[] = {"/proc/keys", "/proc/scsi/", NULL};
    return (struct plan_tree){.place = "/mnt",
                              .root_fd = 60,
                              .dev_fd = 61,
                              .root_paths = shown,
                              .binds = {{62, "/data"}},
                              .n_binds = 1,
                              .masks = hidden,
                              .hostname = "cloister",
                              .init_caps = 0x11};
}

static size_t op_at(const struct plan *plan, enum plan_kind kind, const char *target)
{
    for (size_t i = 0; i < plan->n_ops; i++)
        if (plan->ops[i].kind == kind &&
            (!target || (plan->ops[i].target && strcmp(plan->ops[i].target, target) == 0)))
            return i;
    fail_msg("no operation %d on %s", kind, target ? target : "anything");
    return SIZE_MAX;
}

static void a_direct_run_builds_below_one_place_and_then_pivots_into_it(void **state)
{
    (void)state;
    static struct plan plan;
    struct plan_tree tree = tree_of_a_direct_run();
    assert_int_equal(plan_build_tree(&tree, &plan, NULL), 0);
    assert_int_equal(plan.clone_flags, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS);
    assert_int_equal(op_at(&plan, PLAN_ROOT, NULL), 0);
    assert_int_equal(op_at(&plan, PLAN_ATTACH, "/mnt"), 1);
    size_t pivot = op_at(&plan, PLAN_PIVOT, "/mnt");
    assert_int_equal(op_at(&plan, PLAN_MASK, "/proc/keys"), pivot + 1);
    assert_int_equal(op_at(&plan, PLAN_MASK, "/proc/scsi/"), pivot + 2);
    assert_int_equal(op_at(&plan, PLAN_CONTINUE, NULL), pivot + 3);
    assert_int_equal(pivot + 4, plan.n_ops);
    size_t usr = op_at(&plan, PLAN_MOUNT, "/mnt/usr");
    assert_string_equal(plan.ops[usr].data, "lowerdir=/usr:/mnt/run");
    assert_true(plan.ops[usr].flags & MS_RDONLY);
    assert_int_equal(plan.ops[op_at(&plan, PLAN_ATTACH, "/mnt/data")].fd, 62);
    assert_true(plan.ops[op_at(&plan, PLAN_MOUNT, "/mnt/proc")].flags & MS_RDONLY);
}

static void
the_rest_of_a_direct_run_enters_no_slot_and_gives_up_rights_before_its_descriptors(void **state)
{
    (void)state;
    struct sbx_spec spec = spec_of(LAYERS_ALL);
    struct plan_facts facts = facts_of_v1();
    struct plan_tree tree = tree_of_a_direct_run();
    facts.tree = &tree;
    const struct plan *plan = built(&spec, &facts);
    for (size_t i = 0; i < plan->n_ops; i++) {
        assert_int_not_equal(plan->ops[i].kind, PLAN_ENTER);
        assert_true(plan->ops[i].kind != PLAN_UNSHARE || plan->ops[i].flags == CLONE_NEWCGROUP);
        assert_true(plan->ops[i].kind != PLAN_MOUNT || strcmp(plan->ops[i].type, "proc") != 0);
        assert_int_not_equal(plan->ops[i].kind, PLAN_MASK); /* they are in the tree's part */
    }
    assert_int_equal(plan->ops[plan->n_ops - 1].kind, PLAN_INIT);
    assert_int_equal(plan->ops[plan->n_ops - 2].kind, PLAN_STDIO); /* child.c takes them together */
    size_t rights = op_at(plan, PLAN_RIGHTS, NULL);
    assert_int_equal(plan->ops[rights].flags, 0x11);
    while (++rights < plan->n_ops - 1)
        assert_int_equal(plan->ops[rights].kind, PLAN_STDIO);
    assert_int_equal(plan->layers, LAYERS_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cgroup_is_joined_before_its_namespace_is_cut),
        cmocka_unit_test(the_slots_tree_is_entered_before_the_copy_is_made),
        cmocka_unit_test(init_is_the_last_operation),
        cmocka_unit_test(on_v2_the_child_is_born_in_its_group),
        cmocka_unit_test(proc_is_fresh_read_only_and_masked),
        cmocka_unit_test(one_tmpfs_carries_the_limits_of_all_writable_places),
        cmocka_unit_test(files_are_made_by_root_again_after_the_places),
        cmocka_unit_test(a_layer_left_out_takes_its_operations_away),
        cmocka_unit_test(each_namespace_layer_is_one_flag_of_clone),
        cmocka_unit_test(layers_that_stand_on_a_missing_one_are_not_claimed),
        cmocka_unit_test(what_the_node_can_not_give_is_not_planned),
        cmocka_unit_test(descriptors_get_their_numbers_and_absent_ones_none),
        cmocka_unit_test(too_many_operations_are_an_error),
        cmocka_unit_test(the_longest_numbers_fit_into_its_text),
        cmocka_unit_test(an_input_set_lies_below_the_workspace),
        cmocka_unit_test(without_an_input_set_nothing_of_it_is_done),
        cmocka_unit_test(a_direct_run_builds_below_one_place_and_then_pivots_into_it),
        cmocka_unit_test(
            the_rest_of_a_direct_run_enters_no_slot_and_gives_up_rights_before_its_descriptors),
        cmocka_unit_test(a_plan_is_printed_one_operation_a_line),
        cmocka_unit_test(bubblewrap_gets_its_arguments_and_no_claim_of_inode_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
