#include "cli/top_figures.h"
#include "cli/top_view.h"

#include "tests/support/unit.h"

#define STATE(name) CLOISTER__EXEC__V1__RUN_SUMMARY__STATE__STATE_##name
#define RUNS        5

/* A node's answer with @n runs: the first two run, the others wait. */
struct answer {
    Cloister__Exec__V1__NodeInfo info;
    top_stats stats;
    top_run runs[RUNS], *list[RUNS];
    Cloister__Exec__V1__Label label, *labels[1];
    char ids[RUNS][32];
};

static void make_answer(struct answer *a, size_t n)
{
    cloister__exec__v1__node_info__init(&a->info);
    cloister__exec__v1__node_stats__init(&a->stats);
    a->info.node = (char *)(uintptr_t) "n1";
    a->info.running_max = 2;
    a->stats.ready = 1;
    a->stats.running = 2;
    a->stats.queued = (uint32_t)(n - 2);
    a->stats.uptime_ms = 1000;
    for (size_t i = 0; i < n; i++) {
        top_run *run = a->list[i] = &a->runs[i];
        cloister__exec__v1__run_summary__init(run);
        snprintf(a->ids[i], sizeof(a->ids[i]), "run%zu", i);
        run->run_id = a->ids[i];
        run->state = i < 2 ? STATE(RUNNING) : STATE(QUEUED);
        run->queue_position = i < 2 ? 0 : (uint32_t)i - 1;
        run->age_ms = (RUNS - i) * 1000;
    }
    a->stats.runs = a->list;
    a->stats.n_runs = n;
}

static void print(const struct answer *a, const struct top_figures *figures, uint32_t rows,
                  uint32_t cols, char *text, size_t size)
{
    FILE *out = fmemopen(text, size, "w");
    struct top_page page = {.out = out, .screen = rows > 0, .rows = rows, .cols = cols};
    top_view_print(&page, &a->info, figures);
    fclose(out);
}

static void runs_come_first_and_then_the_queue_in_its_order(void **state)
{
    (void)state;
    struct answer a = {0};
    struct top_figures figures;
    top_figures_init(&figures);
    make_answer(&a, RUNS);
    for (size_t i = 0; i < RUNS; i++) /* the service lists the newest first */
        a.list[i] = &a.runs[RUNS - 1 - i];
    assert_int_equal(top_figures_take(&figures, &a.stats), 0);
    for (size_t i = 0; i < RUNS; i++)
        assert_string_equal(top_newest(&figures)->runs[i]->run_id, a.ids[i]);
    top_figures_done(&figures);
}

static void rates_are_of_the_time_between_two_answers(void **state)
{
    (void)state;
    struct answer a = {0};
    struct top_figures figures;
    top_figures_init(&figures);
    make_answer(&a, 2);
    assert_int_equal(top_figures_take(&figures, &a.stats), 0);
    assert_true(top_runs_per_s(&figures) == 0);
    assert_true(top_cpu_percent(&figures, top_newest(&figures)->runs[0]) < 0);

    a.stats.uptime_ms = 3000;
    a.stats.runs_total = 10;
    a.runs[0].cpu_ms = 500;
    a.runs[1].run_id = (char *)(uintptr_t) "new";
    assert_int_equal(top_figures_take(&figures, &a.stats), 0);
    assert_true(top_runs_per_s(&figures) == 5);
    assert_true(top_cpu_percent(&figures, top_newest(&figures)->runs[0]) == 25);
    assert_true(top_cpu_percent(&figures, top_newest(&figures)->runs[1]) < 0);

    a.stats.uptime_ms = 100; /* another service answers */
    a.stats.runs_total = 0;
    assert_int_equal(top_figures_take(&figures, &a.stats), 0);
    assert_true(top_runs_per_s(&figures) == 0);
    top_figures_done(&figures);
}

static void a_page_is_as_large_as_the_screen_and_says_what_is_left_out(void **state)
{
    (void)state;
    char text[8192];
    struct answer a = {0};
    struct top_figures figures;
    top_figures_init(&figures);
    make_answer(&a, RUNS);
    assert_int_equal(top_figures_take(&figures, &a.stats), 0);
    for (uint32_t rows = 1; rows < 20; rows++) {
        print(&a, &figures, rows, 40, text, sizeof(text));
        uint32_t lines = 1;
        for (const char *c = strchr(text, '\n'); c; c = strchr(c + 1, '\n'))
            lines++;
        assert_int_equal(lines, rows < 13 ? rows : 13); /* 7 of the node, a head, 5 runs */
        if (rows > 8 && rows < 13)
            assert_non_null(strstr(text, " more\033[K"));
    }
    assert_null(strstr(text, " more"));
    top_figures_done(&figures);
}

static void what_others_wrote_can_not_steer_the_terminal(void **state)
{
    (void)state;
    char text[8192];
    struct answer a = {0};
    struct top_figures figures;
    top_figures_init(&figures);
    make_answer(&a, 2);
    cloister__exec__v1__label__init(&a.label);
    a.label.key = (char *)(uintptr_t) "k";
    a.label.value = (char *)(uintptr_t) "\033[2J\n\t\x9b\xc3\xa4.";
    a.labels[0] = &a.label;
    a.runs[0].labels = a.labels;
    a.runs[0].n_labels = 1;
    a.runs[0].tenant = (char *)(uintptr_t) "t\r\033]0;x\a";
    assert_int_equal(top_figures_take(&figures, &a.stats), 0);
    print(&a, &figures, 0, 0, text, sizeof(text));
    assert_non_null(strstr(text, "k=?[2J?????.\n"));
    for (const char *c = text; *c; c++)
        assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
    top_figures_done(&figures);
}

static void others_runs_are_counted(void **state)
{
    (void)state;
    char text[8192];
    struct answer a = {0};
    struct top_figures figures;
    top_figures_init(&figures);
    make_answer(&a, 2);
    a.stats.queued = 3;
    assert_int_equal(top_figures_take(&figures, &a.stats), 0);
    print(&a, &figures, 0, 0, text, sizeof(text));
    assert_non_null(strstr(text, "\n3 runs of others"));
    top_figures_done(&figures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_first_and_then_the_queue_in_its_order),
        cmocka_unit_test(rates_are_of_the_time_between_two_answers),
        cmocka_unit_test(a_page_is_as_large_as_the_screen_and_says_what_is_left_out),
        cmocka_unit_test(what_others_wrote_can_not_steer_the_terminal),
        cmocka_unit_test(others_runs_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
