/*
 * Runs while Cloister is built: writes the filters as C, for a program that starts one sandbox and
 * has no time to make them (libseccomp's names, the tree: a millisecond).
 */

#include <stdio.h>

#include "base/err.h"
#include "sandbox/seccomp.h"

static void write_filter(const struct sbx_filter *filter)
{
    printf("{\n    .n_insns = %u,\n    .insns = {\n", filter->n_insns);
    for (size_t i = 0; i < filter->n_insns; i++)
        printf("        {0x%02x, %u, %u, 0x%08x},\n", filter->insns[i].code, filter->insns[i].jt,
               filter->insns[i].jf, filter->insns[i].k);
    printf("    },\n    .op_of = {");
    for (size_t i = 0; i < SBX_FILTER_NR_MAX; i++)
        printf("%s%u,", i % 16 ? " " : "\n        ", filter->op_of[i]);
    printf("\n    },\n    .errno_of = {");
    for (size_t i = 0; i < REFUSAL_COUNT; i++)
        printf("%s%u", i ? ", " : "", filter->errno_of[i]);
    printf("},\n}");
}

int main(void)
{
    static struct sbx_filter filter;
    struct err err = {0};
    printf("/* Written by cloister-filters. */\n#include \"sandbox/seccomp.h\"\n\n"
           "const struct sbx_filter sbx_ready_filters[2] = {\n");
    int r = 0;
    for (uint32_t policy = 0; r == 0 && policy < 2; policy++) {
        r = sbx_filter_build(policy ? SBX_POLICY_NO_SUBPROCESS : 0, &filter, &err);
        write_filter(&filter);
        printf(",\n");
    }
    printf("};\n\nconst struct sbx_filter sbx_ready_spawner_filter = ");
    if (r == 0)
        r = sbx_filter_spawner_build(&filter, &err);
    write_filter(&filter);
    printf(";\n");
    if (r < 0)
        fprintf(stderr, "cloister-filters: %s\n", err.text);
    return r < 0 || fflush(stdout) != 0;
}
