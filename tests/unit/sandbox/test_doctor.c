#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cgroups/cgroup.h"
#include "sandbox/doctor.h"

/* A host where nothing is missing. */
static struct doctor_facts good_host(void)
{
    struct doctor_facts facts = {
        .uid = 0,
        .user = "root",
        .release = "6.1.0-56-cloud-amd64",
        .max_user_namespaces = 15000,
        .unprivileged_userns_clone = 1,
        .apparmor_restrict_userns = DOCTOR_ABSENT,
        .cgroup_version = "v2",
        .cgroup_controllers = CG_MEMORY | CG_PIDS | CG_CPU | CG_CPUACCT | CG_FREEZER,
        .newuidmap = true,
        .newgidmap = true,
        .subuids = 65536,
        .subgids = 65536,
        .memory_bytes = UINT64_C(4) << 30,
        .cpus = 2,
        .core_pattern = "core",
        .grpc = "30.0.0",
        .runtime = {"Python 3.11.2", "GNU bash", "cc 12.2", "v18.19.0"},
        .bwrap = "bubblewrap 0.8.0",
        .cache = "/var/cache",
    };
    return facts;
}

static const struct doctor_check *find(const struct doctor_report *report, const char *name)
{
    for (size_t i = 0; i < report->n; i++)
        if (strcmp(report->checks[i].name, name) == 0)
            return &report->checks[i];
    fail_msg("no check named %s", name);
    return NULL;
}

/* @name, and only it, is a shortfall of @facts, and says what to do. */
static void assert_only_shortfall(const struct doctor_facts *facts, const char *name)
{
    struct doctor_report report;
    doctor_judge(facts, &report);
    assert_false(doctor_healthy(&report));
    assert_int_equal(find(&report, name)->state, DOCTOR_SHORTFALL);
    for (size_t i = 0; i < report.n; i++) {
        const struct doctor_check *check = &report.checks[i];
        if (check->state == DOCTOR_SHORTFALL) {
            assert_string_equal(check->name, name);
            assert_int_not_equal(check->remedy[0], '\0');
        }
    }
}

static void a_complete_host_is_healthy_without_remedies(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    struct doctor_report report;
    doctor_judge(&facts, &report);
    assert_true(doctor_healthy(&report));
    for (size_t i = 0; i < report.n; i++) {
        assert_int_equal(report.checks[i].state, DOCTOR_OK);
        assert_string_equal(report.checks[i].remedy, "");
    }
}

static void without_blobs_the_service_runs_and_the_note_says_what_to_do(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    struct doctor_report report;
    facts.cache_idmap_error = EINVAL;
    doctor_judge(&facts, &report);
    assert_true(doctor_healthy(&report));
    assert_int_equal(find(&report, "blobs")->state, DOCTOR_NOTE);
    assert_string_equal(find(&report, "blobs")->found,
                        "no id-mapped mounts of /var/cache: Invalid argument");
    assert_non_null(strstr(find(&report, "blobs")->remedy, "ext4, xfs or btrfs"));

    facts = good_host();
    memcpy(facts.release, "5.18.19", 8);
    doctor_judge(&facts, &report);
    assert_true(doctor_healthy(&report));
    assert_int_equal(find(&report, "blobs")->state, DOCTOR_NOTE);
    assert_non_null(strstr(find(&report, "blobs")->remedy, "5.19"));
    memcpy(facts.release, "5.19", 5);
    doctor_judge(&facts, &report);
    assert_int_equal(find(&report, "blobs")->state, DOCTOR_OK);
}

static void each_missing_namespace_is_named(void **state)
{
    (void)state;
    static const char *const names[DOCTOR_NS_COUNT] = {
        "user-namespace", "pid-namespace", "mount-namespace",  "net-namespace",
        "ipc-namespace",  "uts-namespace", "cgroup-namespace",
    };
    for (int ns = 0; ns < DOCTOR_NS_COUNT; ns++) {
        struct doctor_facts facts = good_host();
        facts.ns_error[ns] = EPERM;
        assert_only_shortfall(&facts, names[ns]);
    }
}

static void a_mount_inside_usr_is_a_shortfall(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    memcpy(facts.inside_usr, "/usr/local", sizeof("/usr/local"));
    assert_only_shortfall(&facts, "root-overlay");
}

static void an_old_kernel_is_a_shortfall(void **state)
{
    (void)state;
    static const char *const old[] = {"5.13.19", "5.4.0-150-generic", "4.19.0", "3.10.0-1160.el7"};
    for (size_t i = 0; i < sizeof(old) / sizeof(*old); i++) {
        struct doctor_facts facts = good_host();
        memset(facts.release, 0, sizeof(facts.release));
        memcpy(facts.release, old[i], strlen(old[i]));
        assert_only_shortfall(&facts, "kernel");
    }
}

static void kernels_from_5_14_are_fine(void **state)
{
    (void)state;
    static const char *const recent[] = {"5.14.0-427.el9", "5.15.0", "6.1.0-56-cloud-amd64",
                                         "10.0"};
    for (size_t i = 0; i < sizeof(recent) / sizeof(*recent); i++) {
        struct doctor_facts facts = good_host();
        struct doctor_report report;
        memset(facts.release, 0, sizeof(facts.release));
        memcpy(facts.release, recent[i], strlen(recent[i]));
        doctor_judge(&facts, &report);
        assert_int_equal(find(&report, "kernel")->state, DOCTOR_OK);
    }
}

static void each_missing_controller_is_named(void **state)
{
    (void)state;
    static const struct {
        uint32_t bit;
        const char *name;
    } cases[] = {
        {CG_MEMORY, "cgroup-memory"},
        {CG_PIDS, "cgroup-pids"},
        {CG_CPU, "cgroup-cpu"},
        {CG_CPUACCT, "cgroup-cpu"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct doctor_facts facts = good_host();
        facts.cgroup_controllers &= ~cases[i].bit;
        assert_only_shortfall(&facts, cases[i].name);
    }
}

static void no_cgroups_at_all_is_one_shortfall(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    facts.cgroup_version[0] = '\0';
    assert_only_shortfall(&facts, "cgroups");
}

static void userns_switches_concern_ordinary_users_only(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    struct doctor_report report;
    facts.unprivileged_userns_clone = 0;
    doctor_judge(&facts, &report);
    assert_true(doctor_healthy(&report));

    facts.uid = 1000;
    assert_only_shortfall(&facts, "unprivileged-userns-clone");
    facts.unprivileged_userns_clone = 1;
    facts.apparmor_restrict_userns = 1;
    assert_only_shortfall(&facts, "apparmor-userns");
}

static void an_ordinary_user_needs_a_uid_range_and_its_tools(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    facts.uid = 1000;
    struct doctor_report report;
    doctor_judge(&facts, &report);
    assert_true(doctor_healthy(&report));

    facts.subgids = 100;
    assert_only_shortfall(&facts, "uid-range");
    facts.subgids = 65536;
    facts.newuidmap = false;
    assert_only_shortfall(&facts, "uid-range");
}

static void a_core_pipe_is_a_shortfall_only_when_programs_reach_it(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    memcpy(facts.core_pattern, "|/usr/share/apport/apport %p", 29);
    struct doctor_report report;
    doctor_judge(&facts, &report);
    assert_true(doctor_healthy(&report));
    const struct doctor_check *check = find(&report, "core-pattern");
    assert_int_equal(check->state, DOCTOR_NOTE);
    assert_non_null(strstr(check->remedy, "root on the host"));

    facts.core_limit_zero = true;
    assert_only_shortfall(&facts, "core-pattern");
}

static void absent_runtimes_are_notes_and_absent_grpc_is_a_shortfall(void **state)
{
    (void)state;
    struct doctor_facts facts = good_host();
    facts.runtime[DOCTOR_NODE][0] = '\0';
    struct doctor_report report;
    doctor_judge(&facts, &report);
    assert_int_equal(find(&report, "runtime-node")->state, DOCTOR_NOTE);
    assert_true(doctor_healthy(&report));
    facts.grpc[0] = '\0';
    assert_only_shortfall(&facts, "libgrpc");
}

static void this_host_can_be_examined(void **state)
{
    (void)state;
    struct doctor_facts facts;
    struct doctor_report report;
    assert_int_equal(doctor_examine(&facts, NULL), 0);
    doctor_judge(&facts, &report);
    assert_int_not_equal(facts.release[0], '\0');
    assert_int_equal(facts.openat2_error, 0);
    assert_int_equal(facts.clone3_error, 0);
    assert_non_null(strstr(facts.runtime[DOCTOR_BASH], "bash"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complete_host_is_healthy_without_remedies),
        cmocka_unit_test(without_blobs_the_service_runs_and_the_note_says_what_to_do),
        cmocka_unit_test(each_missing_namespace_is_named),
        cmocka_unit_test(a_mount_inside_usr_is_a_shortfall),
        cmocka_unit_test(an_old_kernel_is_a_shortfall),
        cmocka_unit_test(kernels_from_5_14_are_fine),
        cmocka_unit_test(each_missing_controller_is_named),
        cmocka_unit_test(no_cgroups_at_all_is_one_shortfall),
        cmocka_unit_test(userns_switches_concern_ordinary_users_only),
        cmocka_unit_test(an_ordinary_user_needs_a_uid_range_and_its_tools),
        cmocka_unit_test(a_core_pipe_is_a_shortfall_only_when_programs_reach_it),
        cmocka_unit_test(absent_runtimes_are_notes_and_absent_grpc_is_a_shortfall),
        cmocka_unit_test(this_host_can_be_examined),
    };
    return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}
