/* Logins, sessions, roles and the audit log on both databases. */
#include "world.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct world w;

#define HOUR_MS (3600ull * 1000)

static struct gw_actor nobody(const char *ip)
{
    return (struct gw_actor){.account = "", .session = "", .ip = ip, .now_ms = w.now_ms};
}

static int try(const char *login, const char *password, const char *ip, struct gw_login_result *ret)
{
    const struct gw_actor actor = nobody(ip);
    const struct gw_login in = {.login = login, .password = password, .agent = "test\x1b"};
    struct err err = {0};
    memset(ret, 0, sizeof(*ret));
    int r = gw_login(w.people, &actor, &in, ret, &err);
    if (r < 0)
        print_error("login: %s\n", err.text);
    return r;
}

static void with_password(const char *login, const char *password)
{
    const struct gw_account_new account = {.login = login, .name = login, .password = password};
    char id[ULID_SIZE], once[PASSWORD_ONE_TIME_SIZE];
    OK(gw_account_create(w.people, &w.admin.actor, &account, id, once, &err));
    assert_string_equal(once, "");
}

static void delays_double_up_to_30_seconds(void **state)
{
    (void)state;
    const uint64_t expected[] = {0, 0, 0, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (int i = 0; i < 10; i++)
        assert_int_equal(gw_login_delay_ms(i), expected[i]);
    assert_int_equal(gw_login_delay_ms(INT64_MAX), 30000);
}

static void failures_delay_and_a_success_forgets_them(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_login_result got;
        with_password("kim", "correct horse");
        for (int i = 0; i < 3; i++)
            assert_int_equal(try("kim", "wrong", "192.0.2.1", &got), GW_PROBLEM_LOGIN_FAILED);
        assert_int_equal(try("kim", "correct horse", "192.0.2.1", &got), GW_PROBLEM_LOGIN_DELAYED);
        assert_int_equal(got.retry_ms, 1000);
        /* From elsewhere the owner still gets in. */
        assert_int_equal(try("kim", "correct horse", "198.51.100.7", &got), 0);
        world_tick(&w, 1000);
        assert_int_equal(try("kim", "wrong", "192.0.2.1", &got), GW_PROBLEM_LOGIN_FAILED);
        assert_int_equal(try("kim", "wrong", "192.0.2.1", &got), GW_PROBLEM_LOGIN_DELAYED);
        assert_int_equal(got.retry_ms, 2000);
        world_tick(&w, 2000);
        assert_int_equal(try("kim", "correct horse", "192.0.2.1", &got), 0);
        assert_int_equal(try("kim", "wrong", "192.0.2.1", &got), GW_PROBLEM_LOGIN_FAILED);
    }
}

static void guesses_of_the_old_password_are_delayed_too(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_login_result got;
        char token[TOKEN_SIZE];
        with_password("kim", "correct horse");
        assert_int_equal(try("kim", "correct horse", "192.0.2.1", &got), 0);
        const struct gw_actor kim = {.account = got.account,
                                     .session = "",
                                     .ip = "192.0.2.1",
                                     .now_ms = w.now_ms};
        for (int i = 0; i < 3; i++)
            REFUSED(GW_PROBLEM_LOGIN_FAILED,
                    gw_password_change(w.people, &kim, "wrong", "new password", NULL, token, &err));
        REFUSED(GW_PROBLEM_LOGIN_DELAYED, gw_password_change(w.people, &kim, "correct horse",
                                                             "new password", NULL, token, &err));
        struct gw_actor later = kim;
        later.now_ms += 1000;
        OK(gw_password_change(w.people, &later, "correct horse", "new password", NULL, token,
                              &err));
    }
}

#define GUESSES 12
static void *guess(void *arg)
{
    struct gw_login_result got;
    *(int *)arg = try("kim", "guess", "192.0.2.1", &got);
    return NULL;
}

static void guesses_sent_at_once_meet_the_same_delay(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        pthread_t threads[GUESSES];
        int outcome[GUESSES], looked_at = 0;
        with_password("kim", "correct horse");
        for (int i = 0; i < GUESSES; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, guess, &outcome[i]), 0);
        for (int i = 0; i < GUESSES; i++) {
            pthread_join(threads[i], NULL);
            assert_true(outcome[i] == GW_PROBLEM_LOGIN_FAILED ||
                        outcome[i] == GW_PROBLEM_LOGIN_DELAYED);
            looked_at += outcome[i] == GW_PROBLEM_LOGIN_FAILED;
        }
        assert_int_equal(looked_at, 3);
    }
}

static enum gw_via seen_as(const char *token)
{
    struct gw_identity who;
    OK(gw_identify_session(w.people, token, w.now_ms, &who, &err));
    return who.via;
}

static void sessions_end_when_idle_and_when_old(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_login_result idle, busy;
        with_password("kim", "correct horse");
        assert_int_equal(try("kim", "correct horse", "192.0.2.1", &idle), 0);
        assert_int_equal(try("kim", "correct horse", "192.0.2.1", &busy), 0);
        for (int i = 0; i < 17; i++) {
            assert_int_equal(seen_as(busy.token), GW_VIA_SESSION);
            world_tick(&w, 10 * HOUR_MS - (i == 16 ? 2 * HOUR_MS + 1 : 0));
        }
        assert_int_equal(seen_as(idle.token), GW_VIA_NOBODY);
        assert_int_equal(seen_as(busy.token), GW_VIA_SESSION); /* a ms short of 7 days */
        world_tick(&w, 1);
        assert_int_equal(seen_as(busy.token), GW_VIA_NOBODY);
        assert_int_equal(seen_as("not a token"), GW_VIA_NOBODY);
        OK(gw_sessions_expire(w.people, w.now_ms, &err));
        uint64_t users = 9, sessions = 9;
        OK(gw_sessions_count(w.people, w.now_ms, &users, &sessions, &err));
        assert_int_equal(sessions, 0);
    }
}

static void a_role_change_ends_sessions_and_tells_of_it(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        struct gw_login_result got;
        with_password("kim", "correct horse");
        assert_int_equal(try("kim", "correct horse", "192.0.2.1", &got), 0);
        OK(gw_member_put(w.people, &w.professor.actor, w.course, got.account, GW_ROLE_STUDENT,
                         &err));
        assert_int_equal(seen_as(got.token), GW_VIA_SESSION);
        OK(gw_member_put(w.people, &w.professor.actor, w.course, got.account, GW_ROLE_ASSISTANT,
                         &err));
        assert_int_equal(seen_as(got.token), GW_VIA_NOBODY);
        assert_int_equal(w.closed, 1);
    }
}

static void the_last_admin_stays(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        const struct gw_account_change demote = {.admin = 0}, promote = {.admin = 1},
                                       disable = {.admin = -1, .state = "disabled"};
        struct gw_actor cli = w.admin.actor;
        cli.account = "operator";
        OK(gw_account_change(w.people, &cli, w.admin.id, &promote, &err));
        REFUSED(GW_PROBLEM_CONFLICT, gw_account_change(w.people, &cli, w.admin.id, &demote, &err));
        REFUSED(GW_PROBLEM_CONFLICT, gw_account_change(w.people, &cli, w.admin.id, &disable, &err));
        OK(gw_account_change(w.people, &cli, w.ann.id, &promote, &err));
        OK(gw_account_change(w.people, &cli, w.admin.id, &demote, &err));
    }
}

static void an_archived_course_is_read_only(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        const struct gw_course_change archive = {.state = "archived"};
        struct gw_node node = put(&w, &w.ann, w.ann.workspace, "a", "x");
        REFUSED(GW_PROBLEM_FORBIDDEN,
                gw_course_change(w.people, &w.professor.actor, w.course, &archive, &err));
        OK(gw_course_change(w.people, &w.admin.actor, w.course, &archive, &err));
        REFUSED(GW_PROBLEM_CONFLICT, save(&w, &w.ann, &node, 1, "y"));
        free(content(&w, &w.ann, node.id, 0, 0));
        char id[ULID_SIZE], code[16];
        REFUSED(GW_PROBLEM_CONFLICT, gw_join_code_create(w.people, &w.professor.actor, w.course,
                                                         w.now_ms + 1000, 1, id, code, &err));
    }
}

/* ---- the audit log ---- */

static int verify(const char *anchor, char head[AUDIT_HEAD_SIZE])
{
    struct err err = {0};
    int r = audit_verify(w.store.db, anchor, head, &err);
    assert_true(r >= 0);
    return r;
}

static void tamper(const char *sql)
{
    struct db_tx *tx = NULL;
    OK(db_begin(w.store.db, DB_WRITE, &tx, &err));
    assert_int_equal(db_script(tx, sql), 0);
    OK(db_commit(&tx, &err));
}

static void whatever_is_done_to_the_log_is_found(void **state)
{
    (void)state;
    static const char *const deeds[] = {
        "UPDATE audit SET actor = 'somebody' WHERE seq = 2",
        "UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 2",
        "UPDATE audit SET details = '{ }' WHERE seq = 1",
        "DELETE FROM audit WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 1",
        "DELETE FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)",
        "UPDATE audit SET seq = seq + 100 WHERE seq = (SELECT MAX(seq) FROM audit)",
        "INSERT INTO audit SELECT seq + 1, at_ms, actor, role, ip, action, object, course, "
        "details, "
        "hash, hash FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)",
        "UPDATE audit_head SET hash = 'x'",
    };
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++) {
        EACH_DATABASE(w)
        {
            char head[AUDIT_HEAD_SIZE];
            char id[ULID_SIZE], code[16];
            OK(gw_join_code_create(w.people, &w.professor.actor, w.course, w.now_ms + 1000, 1, id,
                                   code, &err));
            assert_int_equal(verify(NULL, head), 0);
            tamper(deeds[i]);
            if (verify(NULL, head) != GW_PROBLEM_CONFLICT)
                fail_msg("not found: %s", deeds[i]);
        }
    }
}

/* Who may write to the database can rebuild the end of the chain; the kept head finds even that. */
static void a_chain_that_was_rebuilt_does_not_hold_the_kept_head(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        char kept[AUDIT_HEAD_SIZE], head[AUDIT_HEAD_SIZE];
        assert_int_equal(verify(NULL, kept), 0);
        assert_int_equal(verify(kept, head), 0);
        tamper("DELETE FROM audit WHERE seq = (SELECT MAX(seq) FROM audit)");
        tamper("UPDATE audit_head SET seq = (SELECT MAX(seq) FROM audit), "
               "hash = (SELECT hash FROM audit WHERE seq = (SELECT MAX(seq) FROM audit))");
        assert_int_equal(verify(NULL, head), 0);
        assert_int_equal(verify(kept, head), GW_PROBLEM_CONFLICT);
        char id[ULID_SIZE], code[16];
        OK(gw_join_code_create(w.people, &w.professor.actor, w.course, w.now_ms + 1000, 1, id, code,
                               &err));
        assert_int_equal(verify(kept, head), GW_PROBLEM_CONFLICT);
    }
}

static void a_change_that_fails_leaves_no_entry(void **state)
{
    (void)state;
    EACH_DATABASE(w)
    {
        char before[AUDIT_HEAD_SIZE], after[AUDIT_HEAD_SIZE], id[ULID_SIZE];
        verify(NULL, before);
        REFUSED(GW_PROBLEM_EXISTS,
                gw_course_create(w.people, &w.admin.actor, "CS1", "Again", "", NULL, id, &err));
        verify(NULL, after);
        assert_string_equal(before, after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delays_double_up_to_30_seconds),
        cmocka_unit_test(failures_delay_and_a_success_forgets_them),
        cmocka_unit_test(guesses_sent_at_once_meet_the_same_delay),
        cmocka_unit_test(guesses_of_the_old_password_are_delayed_too),
        cmocka_unit_test(sessions_end_when_idle_and_when_old),
        cmocka_unit_test(a_role_change_ends_sessions_and_tells_of_it),
        cmocka_unit_test(the_last_admin_stays),
        cmocka_unit_test(an_archived_course_is_read_only),
        cmocka_unit_test(whatever_is_done_to_the_log_is_found),
        cmocka_unit_test(a_chain_that_was_rebuilt_does_not_hold_the_kept_head),
        cmocka_unit_test(a_change_that_fails_leaves_no_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
