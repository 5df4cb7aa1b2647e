/*
 * Text of cgroup files. The first byte chooses the parser, the rest is the file, in a buffer of its
 * exact size without a NUL.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/cgroup.h"
#include "cgroups/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void numbers(const char *text, size_t len)
{
    static const char *const keys[] = {"oom",        "oom_kill",    "max",
                                       "usage_usec", "system_usec", "populated"};
    uint64_t value;
    uint32_t centi;
    cg_parse_u64(text, len, &value);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        cg_parse_flat(text, len, keys[i], &value);
    if (cg_parse_psi(text, len, "some", &centi))
        require(centi <= 100099);
}

static void pids(const char *text, size_t len)
{
    const char *at = text, *before = text;
    pid_t pid;
    while (cg_parse_pid(&at, text + len, &pid)) {
        require(pid > 0);
        require(at > before && at <= text + len);
        before = at;
    }
    require(at == text + len);
}

static void places(const char *text, size_t len)
{
    static const char *const controllers[] = {"memory", "name=systemd", NULL};
    char path[64];
    struct cg_mount mount;
    for (size_t i = 0; i < 3; i++)
        if (cg_parse_own_path(text, len, controllers[i], path, sizeof(path)))
            require(path[0] == '/' && strnlen(path, sizeof(path)) < sizeof(path));
    if (cg_parse_mount(text, len, "cgroup", NULL, "name=systemd", &mount))
        require(strnlen(mount.point, CG_PATH_MAX) < CG_PATH_MAX);
    if (cg_parse_mount(text, len, "cgroup2", NULL, NULL, &mount))
        require(strnlen(mount.root, CG_PATH_MAX) < CG_PATH_MAX);
}

static void lists(const char *text, size_t len)
{
    char names[64];
    uint32_t bits = cg_parse_controllers(text, len, ' ');
    int n = cg_format_controllers(bits, '+', names, sizeof(names));
    require(n >= 0 && (size_t)n < sizeof(names));
    require(cg_parse_controllers(names, (size_t)n, '+') == bits);
}

static void description(const char *text, size_t len)
{
    struct cg_described *described = malloc(sizeof(*described));
    require(described != NULL);
    if (cg_parse_description(text, len, described)) {
        require(cg_version_name((enum cg_version)described->version) != NULL);
        require(described->n >= 1 && described->n <= CG_HIER_MAX);
        for (size_t i = 0; i < described->n; i++) {
            require(described->hier[i].controllers != 0);
            require(described->hier[i].path[0] == '/');
            require(strnlen(described->hier[i].path, CG_PATH_MAX) < CG_PATH_MAX);
        }
    }
    free(described);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const parsers[])(const char *text, size_t len) = {numbers, pids, places, lists,
                                                                    description};
    if (size == 0)
        return 0;
    char *text = malloc(size); /* one byte more than it takes: size - 1 may be 0 */
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    char *exact = realloc(text, size > 1 ? size - 1 : 1);
    if (exact)
        text = exact;
    parsers[data[0] % 5](text, size - 1);
    free(text);
    return 0;
}
