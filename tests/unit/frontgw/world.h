#pragma once
/* A small university on either database: an admin, a course with a professor, an assistant and two
 * students, and a second course with people of its own. */

#include "store_fixture.h"

#include "frontgw/files/files.h"
#include "frontgw/people/audit.h"
#include "frontgw/people/courses.h"

#define START_MS 1700000000000ull

struct person {
    char id[ULID_SIZE];
    struct gw_actor actor;
    char workspace[ULID_SIZE]; /* personal, in his course */
};

struct world {
    struct fixture fixture;
    struct gw_store store;
    struct gw_people *people;
    struct gw_files *files;
    uint64_t now_ms;
    char course[ULID_SIZE], other_course[ULID_SIZE];
    char notes[ULID_SIZE], notes_workspace[ULID_SIZE];
    struct person admin, professor, assistant, ann, ben;
    struct person stranger, other_professor; /* of the other course */
    int closed;                              /* sessions that were reported as ended */
};

void world_open(struct world *w, enum fixture_kind kind);
void world_close(struct world *w);
/** world_tick() - everybody's now moves on. */
void world_tick(struct world *w, uint64_t ms);
void ok_(int r, const struct err *err, const char *what);
#define OK(call)                                                                                   \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        ok_((call), &err, #call);                                                                  \
    } while (0)
#define REFUSED(problem, call)                                                                     \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        int r_ = (call);                                                                           \
        if (r_ != (int)(problem))                                                                  \
            fail_msg("%s: %d (%s), expected %d", #call, r_, err.text, (int)(problem));             \
    } while (0)
#define EACH_DATABASE(w)                                                                           \
    for (enum fixture_kind kind_ = FIXTURE_SQLITE;                                                 \
         kind_ < FIXTURE_KINDS && (world_open(&(w), kind_), true); world_close(&(w)), kind_++)

/** put() - a new file with @text. */
struct gw_node put(struct world *w, const struct person *who, const char *workspace,
                   const char *path, const char *text);
/** save() - a new version on top of @node's, which is brought up to date. */
int save(struct world *w, const struct person *who, struct gw_node *node, int64_t base,
         const char *text);
/** content() - of a version (0: now), malloc'd. */
char *content(struct world *w, const struct person *who, const char *id, int64_t seq,
              uint64_t at_ms);
/** tree_has() - is there @path in the workspace (at a time, or 0)? */
bool tree_has(struct world *w, const struct person *who, const char *workspace, uint64_t at_ms,
              const char *path);
