/* The permission table as a full matrix: role x action x relation. The expectation stands here by
 * itself, so that a change of either side has to be made twice, on purpose. */
#include "frontgw/people/permit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* One line an action; three groups (others', own, a pupil's) of five letters (none student
 * assistant professor admin): a letter is a permission, a dot a refusal. */
static const struct {
    enum gw_action action;
    const char *expected;
} matrix[] = {
    {GW_ACT_ACCOUNT_LIST, "....a ....a ....a"},
    {GW_ACT_ACCOUNT_CREATE, "....a ....a ....a"},
    {GW_ACT_ACCOUNT_READ, "....a nsApa ..Apa"},
    {GW_ACT_ACCOUNT_EDIT, "....a nsApa ....a"},
    {GW_ACT_ACCOUNT_STATE, "....a ..... ....a"},
    {GW_ACT_ACCOUNT_QUOTA, "....a ....a ....a"},
    {GW_ACT_PASSWORD_CHANGE, "..... nsApa ....."},
    {GW_ACT_PASSWORD_RESET, "....a ..... ..Apa"},
    {GW_ACT_KEY_MANAGE, "..... nsApa ....."},
    {GW_ACT_SESSION_MANAGE, "....a nsApa ....a"},
    {GW_ACT_COURSE_CREATE, "....a ....a ....a"},
    {GW_ACT_COURSE_READ, ".sApa .sApa .sApa"},
    {GW_ACT_COURSE_EDIT, "...pa ...pa ...pa"},
    {GW_ACT_COURSE_ARCHIVE, "....a ....a ....a"},
    {GW_ACT_MEMBER_LIST, "..Apa ..Apa ..Apa"},
    {GW_ACT_MEMBER_STUDENT, "..Apa ..Apa ..Apa"},
    {GW_ACT_MEMBER_ASSISTANT, "...pa ...pa ...pa"},
    {GW_ACT_MEMBER_PROFESSOR, "....a ....a ....a"},
    {GW_ACT_ROSTER_IMPORT, "..Apa ..Apa ..Apa"},
    {GW_ACT_JOIN_CODE, "..Apa ..Apa ..Apa"},
    {GW_ACT_SECTION_READ, ".sApa .sApa .sApa"},
    {GW_ACT_SECTION_READ_HIDDEN, "..Apa ..Apa ..Apa"},
    {GW_ACT_SECTION_EDIT, "..Apa ..Apa ..Apa"},
    {GW_ACT_MATERIAL_READ, ".sApa .sApa .sApa"},
    {GW_ACT_MATERIAL_READ_HIDDEN, "..Apa ..Apa ..Apa"},
    {GW_ACT_MATERIAL_WRITE, "..Apa ..Apa ..Apa"},
    {GW_ACT_PERSONAL_READ, "..Apa nsApa ..Apa"},
    {GW_ACT_PERSONAL_WRITE, "..... nsApa ....."},
    {GW_ACT_SUBMIT, "..... .sApa ....."},
    {GW_ACT_SUBMISSION_READ, "..Apa .sApa ..Apa"},
    {GW_ACT_SUBMISSION_GRADE, "..Apa ...pa ..Apa"},
    {GW_ACT_AUDIT_READ, "....a ....a ....a"},
};

static void every_cell_of_the_matrix_is_as_written(void **state)
{
    (void)state;
    assert_int_equal(sizeof(matrix) / sizeof(matrix[0]), GW_ACT_COUNT);
    for (size_t i = 0; i < GW_ACT_COUNT; i++) {
        assert_int_equal(matrix[i].action, i);
        assert_int_equal(strlen(matrix[i].expected), 17);
        for (int relation = 0; relation < GW_REL_COUNT; relation++)
            for (int role = 0; role < GW_ROLE_COUNT; role++) {
                bool expected = matrix[i].expected[relation * 6 + role] != '.';
                if (gw_permit((enum gw_role)role, (enum gw_action)i, (enum gw_relation)relation) !=
                    expected)
                    fail_msg("%s by %s, relation %d: expected %d",
                             gw_action_name((enum gw_action)i), gw_role_name((enum gw_role)role),
                             relation, expected);
            }
    }
}

static void what_is_out_of_range_is_denied(void **state)
{
    (void)state;
    assert_false(gw_permit(GW_ROLE_COUNT, GW_ACT_COURSE_READ, GW_REL_OTHER));
    assert_false(gw_permit(GW_ROLE_ADMIN, GW_ACT_COUNT, GW_REL_OTHER));
    assert_false(gw_permit(GW_ROLE_ADMIN, GW_ACT_COURSE_READ, GW_REL_COUNT));
    assert_false(gw_permit((enum gw_role) - 1, GW_ACT_COURSE_READ, GW_REL_OTHER));
}

static void an_enrolment_cannot_name_admin(void **state)
{
    (void)state;
    assert_int_equal(gw_role_by_name("student"), GW_ROLE_STUDENT);
    assert_int_equal(gw_role_by_name("professor"), GW_ROLE_PROFESSOR);
    assert_int_equal(gw_role_by_name("admin"), -1);
    assert_int_equal(gw_role_by_name("none"), -1);
    assert_int_equal(gw_role_by_name(""), -1);
}

static void every_scope_has_a_word_of_its_own(void **state)
{
    (void)state;
    uint32_t all = 0;
    for (unsigned bit = 0; gw_scope_name(bit); bit++)
        all |= gw_scope_by_name(gw_scope_name(bit));
    assert_int_equal(all, GW_SCOPE_ALL);
    assert_int_equal(gw_scope_by_name("everything"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_matrix_is_as_written),
        cmocka_unit_test(what_is_out_of_range_is_denied),
        cmocka_unit_test(an_enrolment_cannot_name_admin),
        cmocka_unit_test(every_scope_has_a_word_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
