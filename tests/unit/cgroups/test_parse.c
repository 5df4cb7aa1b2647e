#include "tests/support/unit.h"

#include "cgroups/cgroup.h"
#include "cgroups/parse.h"

static const uint64_t untouched = 77;

static bool u64(const char *text, uint64_t *ret)
{
    *ret = untouched;
    return cg_parse_u64(text, strlen(text), ret);
}

static void a_number_is_read_with_and_without_its_newline(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(u64("4096", &value) && value == 4096);
    assert_true(u64("0\n", &value) && value == 0);
    assert_true(u64("18446744073709551615\n", &value) && value == UINT64_MAX);
}

static void max_and_minus_one_are_no_limit(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(u64("max\n", &value) && value == UINT64_MAX);
    assert_true(u64("-1\n", &value) && value == UINT64_MAX);
}

static void what_is_not_a_number_is_refused_and_writes_nothing(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "12 ",
                                        " 12",
                                        "12\n\n",
                                        "-2",
                                        "+1",
                                        "0x10",
                                        "maximum",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t value;
        assert_false(u64(texts[i], &value));
        assert_int_equal(value, untouched);
    }
}

static void nothing_beyond_the_length_is_read(void **state)
{
    (void)state;
    uint64_t value = untouched;
    assert_true(cg_parse_u64("12345", 2, &value));
    assert_int_equal(value, 12);
    char *exact = malloc(3); /* a sanitizer would see the fourth byte */
    assert_non_null(exact);
    memcpy(exact, "max", 3);
    assert_true(cg_parse_u64(exact, 3, &value));
    free(exact);
}

static const char events[] = "low 0\nhigh 3\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n";

static void a_key_is_found_by_its_whole_name(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(cg_parse_flat(events, strlen(events), "oom", &value) && value == 2);
    assert_true(cg_parse_flat(events, strlen(events), "oom_kill", &value) && value == 1);
    assert_true(cg_parse_flat(events, strlen(events), "max", &value) && value == 12);
    value = untouched;
    assert_false(cg_parse_flat(events, strlen(events), "oom_", &value));
    assert_false(cg_parse_flat(events, strlen(events), "kill", &value));
    assert_false(cg_parse_flat(events, strlen(events), "", &value));
    assert_int_equal(value, untouched);
}

static void a_key_without_a_number_is_refused(void **state)
{
    static const char text[] = "oom\nhigh x\nmax 1 2\ncut 12";
    (void)state;
    uint64_t value = untouched;
    assert_false(cg_parse_flat(text, strlen(text), "oom", &value));
    assert_false(cg_parse_flat(text, strlen(text), "high", &value));
    assert_false(cg_parse_flat(text, strlen(text), "max", &value));
    assert_int_equal(value, untouched);
    assert_true(cg_parse_flat(text, strlen(text), "cut", &value) && value == 12);
}

static void pressure_is_read_in_hundredths(void **state)
{
    static const char text[] = "some avg10=1.40 avg60=0.88 avg300=0.30 total=5769234\n"
                               "full avg10=100.00 avg60=0.00 avg300=0.00 total=0\n";
    (void)state;
    uint32_t centi = 0;
    assert_true(cg_parse_psi(text, strlen(text), "some", &centi));
    assert_int_equal(centi, 140);
    assert_true(cg_parse_psi(text, strlen(text), "full", &centi));
    assert_int_equal(centi, 10000);
    assert_false(cg_parse_psi(text, strlen(text), "none", &centi));
}

static void pressure_in_another_form_is_refused(void **state)
{
    static const char *const texts[] = {"some\n",
                                        "some avg10=\n",
                                        "some avg10=1\n",
                                        "some avg10=1.4\n",
                                        "some avg10=x.40\n",
                                        "some avg10=-1.40\n",
                                        "some avg10=1.40.1\n",
                                        "some avg10=99999999999.00\n",
                                        "some avg60=1.40\n",
                                        ""};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint32_t centi = 7;
        assert_false(cg_parse_psi(texts[i], strlen(texts[i]), "some", &centi));
        assert_int_equal(centi, 7);
    }
}

static void pids_are_read_one_by_one_and_foreign_ones_passed_over(void **state)
{
    static const char text[] = "12\n0\nabc\n\n4194304\n99999999999\n7";
    (void)state;
    const char *at = text, *end = text + strlen(text);
    pid_t pid = 0;
    assert_true(cg_parse_pid(&at, end, &pid) && pid == 12);
    assert_true(cg_parse_pid(&at, end, &pid) && pid == 4194304);
    assert_true(cg_parse_pid(&at, end, &pid) && pid == 7);
    assert_false(cg_parse_pid(&at, end, &pid));
    assert_false(cg_parse_pid(&at, end, &pid));
}

static const char own[] = "9:name=systemd:/user.slice\n"
                          "5:cpu,cpuacct:/a:b\n"
                          "4:memory:/process_api/4be6\n"
                          "0::/user.slice/x\n";

static void ones_own_group_is_found_per_controller_and_for_v2(void **state)
{
    (void)state;
    char path[64];
    assert_true(cg_parse_own_path(own, strlen(own), "memory", path, sizeof(path)));
    assert_string_equal(path, "/process_api/4be6");
    assert_true(cg_parse_own_path(own, strlen(own), "cpuacct", path, sizeof(path)));
    assert_string_equal(path, "/a:b");
    assert_true(cg_parse_own_path(own, strlen(own), "name=systemd", path, sizeof(path)));
    assert_string_equal(path, "/user.slice");
    assert_true(cg_parse_own_path(own, strlen(own), NULL, path, sizeof(path)));
    assert_string_equal(path, "/user.slice/x");
}

static void a_group_that_is_not_listed_or_too_long_is_not_found(void **state)
{
    (void)state;
    char path[8] = "before";
    assert_false(cg_parse_own_path(own, strlen(own), "pids", path, sizeof(path)));
    assert_false(cg_parse_own_path(own, strlen(own), "cpua", path, sizeof(path)));
    assert_false(cg_parse_own_path(own, strlen(own), "memory", path, sizeof(path)));
    assert_string_equal(path, "before");
    assert_false(cg_parse_own_path("4:memory", 8, "memory", path, sizeof(path)));
    assert_false(cg_parse_own_path("4:memory:x", 10, "memory", path, sizeof(path)));
}

static const char mounts[] =
    "25 1 0:23 / /proc rw,relatime - proc proc rw\n"
    "30 25 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    "32 30 0:28 / /sys/fs/cgroup/systemd rw shared:10 master:1 - cgroup cgroup rw,name=systemd\n"
    "33 30 0:29 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "34 30 0:30 / /mnt/with\\040space rw - cgroup cgroup rw,pids\n";

static void a_mount_is_found_by_type_place_and_option(void **state)
{
    (void)state;
    struct cg_mount mount;
    assert_true(cg_parse_mount(mounts, strlen(mounts), "cgroup2", NULL, NULL, &mount));
    assert_string_equal(mount.point, "/sys/fs/cgroup/unified");
    assert_string_equal(mount.root, "/");
    assert_true(
        cg_parse_mount(mounts, strlen(mounts), "cgroup", "/sys/fs/cgroup/memory", NULL, &mount));
    assert_string_equal(mount.root, "/docker/abc");
    assert_true(cg_parse_mount(mounts, strlen(mounts), "cgroup", NULL, "name=systemd", &mount));
    assert_string_equal(mount.point, "/sys/fs/cgroup/systemd");
    assert_true(cg_parse_mount(mounts, strlen(mounts), "cgroup", NULL, "pids", &mount));
    assert_string_equal(mount.point, "/mnt/with space");
    assert_false(cg_parse_mount(mounts, strlen(mounts), "ext4", NULL, NULL, &mount));
    assert_false(cg_parse_mount(mounts, strlen(mounts), "cgroup", NULL, "pid", &mount));
    assert_false(cg_parse_mount(mounts, strlen(mounts), "cgroup2", "/elsewhere", NULL, &mount));
}

static void a_broken_line_of_mounts_does_not_hide_the_next(void **state)
{
    static const char text[] = "30 25\n"
                               "30 25 0:26 / /cut\\04\n"
                               "30 25 0:26 / /no/separator rw shared:1\n"
                               "31 30 0:27 / /good rw - cgroup2 cgroup2 rw\n";
    (void)state;
    struct cg_mount mount;
    assert_true(cg_parse_mount(text, strlen(text), "cgroup2", NULL, NULL, &mount));
    assert_string_equal(mount.point, "/good");
}

static void controllers_are_read_and_written_as_lists(void **state)
{
    static const char text[] = "cpuset cpu io memory hugetlb pids rdma misc\n";
    (void)state;
    char buf[64];
    assert_int_equal(cg_parse_controllers(text, strlen(text), ' '), CG_CPU | CG_MEMORY | CG_PIDS);
    assert_int_equal(cg_parse_controllers("", 0, ' '), 0);
    assert_int_equal(cg_format_controllers(CG_MEMORY | CG_SWAP | CG_PIDS, '+', buf, sizeof(buf)),
                     16);
    assert_string_equal(buf, "memory+swap+pids");
    assert_int_equal(cg_parse_controllers(buf, strlen(buf), '+'), CG_MEMORY | CG_SWAP | CG_PIDS);
    assert_int_equal(cg_format_controllers(CG_MEMORY | CG_PIDS, '+', buf, 5), 11);
    assert_string_equal(buf, "memo");
}

static void a_description_is_read_back(void **state)
{
    static const char text[] = "v1 freezer=/f/c-1 memory+swap=/m/c-1 cpu+cpuacct=/a/c-1";
    (void)state;
    struct cg_described *described = calloc(1, sizeof(*described));
    assert_non_null(described);
    assert_true(cg_parse_description(text, strlen(text), described));
    assert_int_equal(described->version, CG_V1);
    assert_int_equal(described->n, 3);
    assert_int_equal(described->hier[1].controllers, CG_MEMORY | CG_SWAP);
    assert_string_equal(described->hier[1].path, "/m/c-1");
    assert_string_equal(described->hier[2].path, "/a/c-1");
    free(described);
}

static void a_description_in_another_form_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "v1",
                                        "v3 memory=/x",
                                        "v1 memory",
                                        "v1 memory=x",
                                        "v1 memory=",
                                        "v1 =/x",
                                        "v1 unknown=/x",
                                        "v1  memory=/x",
                                        "v2 memory=/x pids=/y",
                                        "v1 memory=/1 memory=/2 memory=/3 memory=/4 memory=/5 "
                                        "memory=/6 memory=/7"};
    (void)state;
    struct cg_described *described = calloc(1, sizeof(*described));
    assert_non_null(described);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(cg_parse_description(texts[i], strlen(texts[i]), described));
    free(described);
}

static void names_are_single_path_components_of_plain_characters(void **state)
{
    (void)state;
    char longest[CG_NAME_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[CG_NAME_MAX + 1] = 0;
    assert_false(cg_name_ok(longest));
    longest[CG_NAME_MAX] = 0;
    assert_true(cg_name_ok(longest));
    assert_true(cg_name_ok("slot-12.3_x"));
    static const char *const bad[] = {"", ".", "..", "-x", ".x", "a/b", "a b", "a\n", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(cg_name_ok(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_read_with_and_without_its_newline),
        cmocka_unit_test(max_and_minus_one_are_no_limit),
        cmocka_unit_test(what_is_not_a_number_is_refused_and_writes_nothing),
        cmocka_unit_test(nothing_beyond_the_length_is_read),
        cmocka_unit_test(a_key_is_found_by_its_whole_name),
        cmocka_unit_test(a_key_without_a_number_is_refused),
        cmocka_unit_test(pressure_is_read_in_hundredths),
        cmocka_unit_test(pressure_in_another_form_is_refused),
        cmocka_unit_test(pids_are_read_one_by_one_and_foreign_ones_passed_over),
        cmocka_unit_test(ones_own_group_is_found_per_controller_and_for_v2),
        cmocka_unit_test(a_group_that_is_not_listed_or_too_long_is_not_found),
        cmocka_unit_test(a_mount_is_found_by_type_place_and_option),
        cmocka_unit_test(a_broken_line_of_mounts_does_not_hide_the_next),
        cmocka_unit_test(controllers_are_read_and_written_as_lists),
        cmocka_unit_test(a_description_is_read_back),
        cmocka_unit_test(a_description_in_another_form_is_refused),
        cmocka_unit_test(names_are_single_path_components_of_plain_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
