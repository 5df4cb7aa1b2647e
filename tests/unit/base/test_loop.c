#include "tests/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/loop.h"

static struct loop *loop;
static char trace[256]; /* what was called, in order: one character each */

static void note(char what)
{
    size_t n = strlen(trace);
    assert_true(n < sizeof(trace) - 1);
    trace[n] = what;
    trace[n + 1] = 0;
}

static int set_up(void **state)
{
    (void)state;
    trace[0] = 0;
    return loop_new(&loop, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    loop = loop_free(loop);
    return 0;
}

struct source {
    struct loop_io io;
    int fds[2];
    char name;
    struct source *victim;
};

static void source_init(struct source *s, char name)
{
    *s = (struct source){.name = name};
    assert_int_equal(pipe2(s->fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void source_done(struct source *s)
{
    loop_io_remove(&s->io);
    fd_close(s->fds[0]);
    fd_close(s->fds[1]);
}

static void source_poke(struct source *s)
{
    assert_int_equal(write(s->fds[1], "x", 1), 1);
}

static void on_readable(struct loop_io *io, uint32_t events)
{
    struct source *s = container_of(io, struct source, io);
    char c;
    assert_true(events & EPOLLIN);
    assert_int_equal(read(s->fds[0], &c, 1), 1);
    note(s->name);
    if (s->victim)
        loop_io_remove(&s->victim->io);
}

static void step(int timeout_ms)
{
    assert_int_equal(loop_step(loop, timeout_ms, NULL), 0);
}

static void a_readable_descriptor_is_delivered(void **state)
{
    (void)state;
    struct source a;
    source_init(&a, 'a');
    assert_int_equal(loop_io_add(loop, &a.io, a.fds[0], EPOLLIN, on_readable, NULL), 0);
    step(0);
    assert_string_equal(trace, "");
    source_poke(&a);
    step(1000);
    assert_string_equal(trace, "a");
    source_done(&a);
}

static void events_of_interest_can_change(void **state)
{
    (void)state;
    struct source a;
    source_init(&a, 'a');
    assert_int_equal(loop_io_add(loop, &a.io, a.fds[0], 0, on_readable, NULL), 0);
    source_poke(&a);
    step(0);
    assert_string_equal(trace, "");
    assert_int_equal(loop_io_change(&a.io, EPOLLIN), 0);
    step(1000);
    assert_string_equal(trace, "a");
    source_done(&a);
}

static void a_source_removed_in_the_batch_is_not_called(void **state)
{
    (void)state;
    struct source a, b;
    source_init(&a, 'a');
    source_init(&b, 'b');
    a.victim = &b;
    b.victim = &a;
    assert_int_equal(loop_io_add(loop, &a.io, a.fds[0], EPOLLIN, on_readable, NULL), 0);
    assert_int_equal(loop_io_add(loop, &b.io, b.fds[0], EPOLLIN, on_readable, NULL), 0);
    source_poke(&a);
    source_poke(&b);
    step(1000); /* both are in one batch: whichever comes first takes the other away */
    assert_int_equal(strlen(trace), 1);
    step(0);
    assert_int_equal(strlen(trace), 1);
    source_done(&a);
    source_done(&b);
}

static void on_readable_remove_itself(struct loop_io *io, uint32_t events)
{
    (void)events;
    note('r');
    loop_io_remove(io);
    loop_io_remove(io);
}

static void a_source_may_remove_itself(void **state)
{
    (void)state;
    struct source a;
    source_init(&a, 'a');
    assert_int_equal(loop_io_add(loop, &a.io, a.fds[0], EPOLLIN, on_readable_remove_itself, NULL),
                     0);
    source_poke(&a);
    step(1000);
    step(0);
    assert_string_equal(trace, "r");
    source_done(&a);
}

static void watching_an_invalid_descriptor_is_a_fault(void **state)
{
    (void)state;
    struct loop_io io = {0};
    struct err err = {0};
    assert_int_equal(loop_io_add(loop, &io, -EBADF, EPOLLIN, on_readable, &err), -EBADF);
    assert_non_null(strstr(err.text, "watch descriptor"));
    loop_io_remove(&io);
}

struct tick {
    struct loop_timer timer;
    char name;
    uint64_t again_us; /* re-armed at this time */
    struct tick *victim;
};

static void on_tick(struct loop_timer *timer)
{
    struct tick *t = container_of(timer, struct tick, timer);
    assert_true(clock_us() >= timer->due_us);
    note(t->name);
    if (t->again_us)
        assert_int_equal(loop_timer_set(loop, timer, t->again_us, on_tick), 0);
    if (t->victim)
        loop_timer_cancel(&t->victim->timer);
}

static void arm(struct tick *t, uint64_t due_us)
{
    assert_int_equal(loop_timer_set(loop, &t->timer, due_us, on_tick), 0);
}

static void timers_fire_once_and_in_order_of_time(void **state)
{
    (void)state;
    uint64_t now = clock_us();
    struct tick a = {.name = 'a'}, b = {.name = 'b'}, c = {.name = 'c'};
    arm(&b, now + 2000);
    arm(&c, now + 3000);
    arm(&a, now + 1000);
    for (int i = 0; i < 100 && strlen(trace) < 3; i++)
        step(1000);
    assert_string_equal(trace, "abc");
    assert_null(a.timer.loop);
    step(5);
    assert_string_equal(trace, "abc");
}

static void a_timer_fires_at_its_microsecond(void **state)
{
    (void)state;
    uint64_t start = clock_us();
    struct tick a = {.name = 'a'};
    arm(&a, start + 300);
    while (!*trace)
        step(1000);
    /* Never early (on_tick asserts it); late by what a busy machine takes, but not by a coarse
     * clock. */
    assert_in_range(clock_us() - start, 300, 500000);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
    (void)state;
    uint64_t now = clock_us();
    struct tick a = {.name = 'a'}, b = {.name = 'b'};
    a.victim = &b;
    arm(&a, now);
    arm(&b, now + 1);
    step(1000);
    step(5);
    assert_string_equal(trace, "a");
    loop_timer_cancel(&b.timer);
}

static void setting_again_moves_a_timer(void **state)
{
    (void)state;
    uint64_t now = clock_us();
    struct tick a = {.name = 'a'}, b = {.name = 'b'};
    arm(&a, now + 1000);
    arm(&b, now + 2000);
    arm(&a, now + 3000);
    for (int i = 0; i < 100 && strlen(trace) < 2; i++)
        step(1000);
    assert_string_equal(trace, "ba");
}

/* The kernel is not told of a timer that is taken back, nor of one that is due after such a one. */
static void what_was_armed_too_soon_makes_nothing_late_or_early(void **state)
{
    (void)state;
    struct tick early = {.name = 'e'}, late = {.name = 'l'}, between = {.name = 'b'};
    uint64_t now = clock_us();
    arm(&early, now + 2000);
    step(0);
    loop_timer_cancel(&early.timer);
    arm(&late, now + 20000);
    step(0);
    arm(&between, now + 10000);
    for (int i = 0; i < 100 && strlen(trace) < 2; i++)
        step(1000);
    assert_string_equal(trace, "bl");
}

static void a_timer_that_is_always_due_lets_others_pass(void **state)
{
    (void)state;
    struct source a;
    source_init(&a, 'a');
    assert_int_equal(loop_io_add(loop, &a.io, a.fds[0], EPOLLIN, on_readable, NULL), 0);
    struct tick greedy = {.name = 'g', .again_us = 1};
    arm(&greedy, 1);
    source_poke(&a);
    for (int i = 0; i < 4; i++)
        step(1000);
    assert_non_null(strchr(trace, 'a'));
    assert_true(strlen(trace) <= 9);
    loop_timer_cancel(&greedy.timer);
    source_done(&a);
}

static void many_timers_in_any_order_come_out_sorted(void **state)
{
    (void)state;
    enum { N = 500 };
    static struct tick ticks[N];
    memset(ticks, 0, sizeof(ticks));
    uint32_t random = 12345;
    for (size_t i = 0; i < N; i++) {
        random = random * 1664525 + 1013904223;
        ticks[i].name = 't';
        arm(&ticks[i], clock_us() + 60000000 + random % 1000);
    }
    for (size_t i = 0; i < N; i += 3)
        loop_timer_cancel(&ticks[i].timer);
    /* The heap property, seen from outside: no timer stands above one that is due earlier. */
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N && ticks[i].timer.loop; j++) {
            bool child = ticks[j].timer.loop && ticks[j].timer.heap_index > 0 &&
                         (ticks[j].timer.heap_index - 1) / 2 == ticks[i].timer.heap_index;
            assert_true(!child || ticks[i].timer.due_us <= ticks[j].timer.due_us);
        }
    }
    loop_free(loop);
    for (size_t i = 0; i < N; i++)
        assert_null(ticks[i].timer.loop);
    loop = NULL;
}

static void on_signal(struct loop *l, int signo, void *arg)
{
    assert_ptr_equal(l, loop);
    assert_ptr_equal(arg, trace);
    note(signo == SIGUSR1 ? '1' : '2');
    loop_stop(l);
}

static void signals_arrive_as_events(void **state)
{
    (void)state;
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, NULL, &old);
    assert_int_equal(loop_signals(loop, &set, on_signal, trace, NULL), 0);
    assert_int_equal(loop_signals(loop, &set, on_signal, trace, NULL), -EBUSY);
    raise(SIGUSR1);
    assert_int_equal(loop_run(loop, NULL), 0);
    assert_string_equal(trace, "1");
    raise(SIGUSR2);
    assert_int_equal(loop_run(loop, NULL), 0);
    assert_string_equal(trace, "12");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void on_tick_stop(struct loop_timer *timer)
{
    note('s');
    loop_stop(timer->loop ? timer->loop : loop);
}

static void stop_ends_a_run_and_only_that_one(void **state)
{
    (void)state;
    struct loop_timer stop = {0};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(loop_timer_set(loop, &stop, clock_us() + 100, on_tick_stop), 0);
        assert_int_equal(loop_run(loop, NULL), 0);
    }
    assert_string_equal(trace, "ss");
    loop_stop(loop); /* before the run: it does not wait */
    assert_int_equal(loop_run(loop, NULL), 0);
}

/* ---- tasks ---- */

struct work {
    struct loop_task task;
    unsigned again; /* so often it asks for itself once more */
};

static void on_work(struct loop_task *task)
{
    struct work *work = container_of(task, struct work, task);
    assert_null(task->loop);
    note('w');
    if (work->again-- > 0)
        loop_soon(loop, task, on_work);
}

static void on_tick_work(struct loop_timer *timer)
{
    static struct work work;
    (void)timer;
    work = (struct work){.again = 0};
    loop_soon(loop, &work.task, on_work);
    loop_soon(loop, &work.task, on_work); /* once */
    note('t');
}

static void a_task_runs_after_the_callback_and_before_the_loop_sleeps(void **state)
{
    (void)state;
    struct loop_timer timer = {0};
    assert_int_equal(loop_timer_set(loop, &timer, clock_us(), on_tick_work), 0);
    assert_int_equal(loop_step(loop, -1, NULL), 0);
    assert_string_equal(trace, "tw");
}

static void a_task_can_be_taken_back(void **state)
{
    (void)state;
    struct work a = {.again = 0}, b = {.again = 0}, c = {.again = 0};
    loop_soon(loop, &a.task, on_work);
    loop_soon(loop, &b.task, on_work);
    loop_soon(loop, &c.task, on_work);
    loop_task_cancel(&b.task);
    loop_task_cancel(&c.task);
    loop_task_cancel(&c.task);
    assert_int_equal(loop_step(loop, -1, NULL), 0); /* it would wait for ever without a task */
    assert_string_equal(trace, "w");
}

/* It may go on asking, but the rest of the loop has its turn. */
static void a_task_that_never_ends_does_not_keep_the_others_waiting(void **state)
{
    (void)state;
    struct work work = {.again = UINT_MAX};
    struct source a;
    source_init(&a, 'a');
    assert_int_equal(loop_io_add(loop, &a.io, a.fds[0], EPOLLIN, on_readable, NULL), 0);
    loop_soon(loop, &work.task, on_work);
    assert_int_equal(loop_step(loop, -1, NULL), 0);
    source_poke(&a);
    trace[0] = 0;
    assert_int_equal(loop_step(loop, -1, NULL), 0);
    assert_non_null(strchr(trace, 'a'));
    loop_task_cancel(&work.task);
    source_done(&a);
}

/* ---- a shared loop: what another thread does while the loop's own sleeps ---- */

struct guest {
    void (*act)(struct guest *guest);
    struct source *source;
    struct loop_timer timer;
};

static void *guest_main(void *arg)
{
    struct guest *guest = arg;
    loop_enter(loop);
    guest->act(guest);
    loop_leave(loop);
    return NULL;
}

/* Runs the loop until it is stopped, while @guest acts on it from a thread of its own. */
static void run_with(struct guest *guest)
{
    pthread_t thread;
    struct err err = {0};
    assert_int_equal(loop_share(loop, &err), 0);
    assert_int_equal(loop_share(loop, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, guest_main, guest), 0);
    assert_int_equal(loop_run(loop, &err), 0);
    loop_leave(loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_enter(loop);
}

static void arm_timer(struct guest *guest)
{
    loop_timer_set(loop, &guest->timer, clock_us() + 1000, on_tick_stop);
}

static void a_guest_s_timer_wakes_the_sleeping_loop(void **state)
{
    (void)state;
    struct guest guest = {.act = arm_timer};
    run_with(&guest);
    assert_string_equal(trace, "s");
}

static void stop(struct guest *guest)
{
    (void)guest;
    loop_stop(loop);
}

static void a_guest_can_stop_the_sleeping_loop(void **state)
{
    (void)state;
    struct guest guest = {.act = stop};
    run_with(&guest);
    assert_string_equal(trace, "");
}

/* The loop wakes for the source, and cannot go on before the guest has taken it away again. */
static void poke_and_remove(struct guest *guest)
{
    source_poke(guest->source);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    loop_io_remove(&guest->source->io);
    arm_timer(guest);
}

static void a_source_that_a_guest_removed_is_not_called(void **state)
{
    (void)state;
    struct source a;
    struct guest guest = {.act = poke_and_remove, .source = &a};
    source_init(&a, 'a');
    assert_int_equal(loop_io_add(loop, &a.io, a.fds[0], EPOLLIN, on_readable, NULL), 0);
    run_with(&guest);
    assert_string_equal(trace, "s");
    source_done(&a);
}

static void work_and_stop(struct guest *guest)
{
    static struct work work;
    (void)guest;
    work = (struct work){.again = 1};
    loop_soon(loop, &work.task, on_work);
    note('g');
    loop_timer_set(loop, &guest->timer, clock_us() + 1000, on_tick_stop);
}

static void a_guest_runs_its_tasks_before_it_leaves(void **state)
{
    (void)state;
    struct guest guest = {.act = work_and_stop};
    run_with(&guest);
    assert_string_equal(trace, "gwws");
}

static void add_and_poke(struct guest *guest)
{
    loop_io_add(loop, &guest->source->io, guest->source->fds[0], EPOLLIN, on_readable, NULL);
    source_poke(guest->source);
    loop_timer_set(loop, &guest->timer, clock_us() + 50000, on_tick_stop);
}

static void a_source_that_a_guest_added_is_called(void **state)
{
    (void)state;
    struct source a;
    struct guest guest = {.act = add_and_poke, .source = &a};
    source_init(&a, 'a');
    run_with(&guest);
    assert_string_equal(trace, "as");
    source_done(&a);
}

#define loop_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(a_readable_descriptor_is_delivered),
        loop_test(events_of_interest_can_change),
        loop_test(a_source_removed_in_the_batch_is_not_called),
        loop_test(a_source_may_remove_itself),
        loop_test(watching_an_invalid_descriptor_is_a_fault),
        loop_test(timers_fire_once_and_in_order_of_time),
        loop_test(a_timer_fires_at_its_microsecond),
        loop_test(a_cancelled_timer_does_not_fire),
        loop_test(setting_again_moves_a_timer),
        loop_test(what_was_armed_too_soon_makes_nothing_late_or_early),
        loop_test(a_timer_that_is_always_due_lets_others_pass),
        loop_test(many_timers_in_any_order_come_out_sorted),
        loop_test(signals_arrive_as_events),
        loop_test(stop_ends_a_run_and_only_that_one),
        loop_test(a_guest_s_timer_wakes_the_sleeping_loop),
        loop_test(a_task_runs_after_the_callback_and_before_the_loop_sleeps),
        loop_test(a_task_can_be_taken_back),
        loop_test(a_task_that_never_ends_does_not_keep_the_others_waiting),
        loop_test(a_guest_runs_its_tasks_before_it_leaves),
        loop_test(a_guest_can_stop_the_sleeping_loop),
        loop_test(a_source_that_a_guest_removed_is_not_called),
        loop_test(a_source_that_a_guest_added_is_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
