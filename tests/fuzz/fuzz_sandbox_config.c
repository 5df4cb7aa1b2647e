/* The spawner's configuration: whatever the text, it is refused with words or holds what the code
 * that uses it relies on. */

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "sandbox/spawner_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static int ends_within(const char *text, size_t size)
{
    return memchr(text, 0, size) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct spawner_config c;
    struct err err = {0};
    if (spawner_config_text(&c, (const char *)data, size, "fuzz", &err) < 0) {
        must(err.code < 0 && *err.text);
        return 0;
    }
    const struct node_config *n = &c.node;
    must(ends_within(n->instance, sizeof(n->instance)) && *n->instance);
    must(!strpbrk(n->instance, "/. \t"));
    must(ends_within(c.socket, sizeof(c.socket)) && c.socket[0] == '/');
    must(ends_within(c.run_dir, sizeof(c.run_dir)) && c.run_dir[0] == '/');
    must(ends_within(c.execsvc, sizeof(c.execsvc)));
    must(c.uid != 0 && c.gid != 0);
    must(n->slots_max >= 1 && n->slots_max <= NODE_SLOTS_MAX);
    must(n->ready_max <= NODE_READY_MAX);
    must(n->uid_base >= 65536 && n->uid_base <= INT_MAX - NODE_UID_COUNT);
    must((n->allow_missing & ~LAYERS_ALL) == 0 && n->layers == LAYERS_ALL && !n->one_shot);
    struct limits none = {{0}}, resolved;
    must(limits_resolve(&none, &n->defaults, &n->ceilings, &resolved, &err) == 0);
    for (int i = 0; i < LIMIT_COUNT; i++)
        must(resolved.v[i] >= limit_info((enum limit_id)i)->floor &&
             resolved.v[i] <= n->ceilings.v[i]);
    return 0;
}
