#pragma once
/* What the plans of both launchers are made of. Each returns NULL or -E2BIG when it does not fit.
 */

#include "sandbox/plan.h"

#define PLAN_BWRAP         "/usr/bin/bwrap"
#define PLAN_BWRAP_INIT_FD 6

const char *plan_text(struct plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct plan_op *plan_add(struct plan *plan, enum plan_kind kind, int fd, unsigned long flags);
int plan_join(const struct plan_facts *facts, struct plan *plan);
int plan_stdio(const struct plan_facts *facts, struct plan *plan);

/** plan_build_bwrap() - the rest of plan_build() for SBX_LAUNCHER_BWRAP; @ret->layers is decided */
int plan_build_bwrap(const struct sbx_spec *spec, const struct plan_facts *facts, struct plan *ret,
                     struct err *err);

/** plan_mount() - @data NULL, for what plan_text() had no room for, is -E2BIG */
int plan_mount(struct plan *plan, const char *type, const char *target, unsigned long flags,
               const char *data);
/** plan_masks() - @masks NULL-terminated, of the /proc that stands; NULL: none */
int plan_masks(const char *const *masks, struct plan *plan);
/** plan_tree_rights() - what init is to start with */
int plan_tree_rights(const struct plan_facts *facts, struct plan *plan);
