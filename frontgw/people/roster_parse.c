#include "frontgw/people/csv.h"
#include "frontgw/people/roster.h"
#include "frontgw/people/text.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

void roster_done(struct roster *roster)
{
    free(roster->entries);
    *roster = (struct roster){0};
}

static bool is_header(const struct csv *csv)
{
    return csv->n_fields >= 2 && !strcasecmp(csv->fields[0], "login") &&
           !strcasecmp(csv->fields[1], "name");
}

static void lower(char *text)
{
    for (; *text; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text + ('a' - 'A'));
}

static int add(struct roster *roster, struct csv *csv, unsigned line, struct err *err)
{
    lower(csv->fields[0]);
    if (csv->n_fields < 2 || !text_login_ok(csv->fields[0]) ||
        !text_line_ok(csv->fields[1], 1, 200))
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE,
                         "line %u: expected login,name (login: a-z 0-9 . _ - @ +)", line);
    for (size_t i = 0; i < roster->n; i++)
        if (!strcmp(roster->entries[i].login, csv->fields[0]))
            return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "line %u: %s stands there twice", line,
                             csv->fields[0]);
    if (roster->n >= ROSTER_MAX)
        return gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "a roster has at most %d people",
                         ROSTER_MAX);
    struct roster_entry *e = &roster->entries[roster->n++];
    snprintf(e->login, sizeof(e->login), "%.64s", csv->fields[0]);
    snprintf(e->name, sizeof(e->name), "%.200s", csv->fields[1]);
    return 0;
}

int roster_parse(const char *text, size_t len, struct roster *roster, struct err *err)
{
    AUTO_FREE struct csv *csv = malloc(sizeof(*csv));
    roster->entries = calloc(ROSTER_MAX, sizeof(struct roster_entry));
    if (!csv || !roster->entries)
        return err_set(err, -ENOMEM, "roster: %m");
    csv_init(csv, text, len);
    for (bool first = true;; first = false) {
        unsigned line = csv->line;
        int r = csv_next(csv, err);
        if (r < 0)
            return GW_PROBLEM_INVALID_VALUE;
        if (r == 0)
            break;
        r = first && is_header(csv) ? 0 : add(roster, csv, line, err);
        if (r)
            return r;
    }
    return roster->n ? 0 : gw_refuse(err, GW_PROBLEM_INVALID_VALUE, "the roster names nobody");
}
