#pragma once
/*
 * INI files: `[section]`, `[section "name"]`, `key = value`, `#` and `;` comments. The grammar is
 * strict: an unknown section or key, a repeated key and a line that is neither are errors that name
 * file and line. A comment has a line of its own, because a value may hold `#` and `;`. Blanks
 * around a value are cut; it is UTF-8 without control characters (tabs apart) and may be empty.
 */

#include <stddef.h>

struct err;

/*
 * Called for each `key = value`; @name is "" for a plain section. Return 0, or a negative errno
 * with words; the position is put before them. An unknown section or key is the callback's to
 * refuse.
 */
typedef int config_fn(void *arg, const char *section, const char *name, const char *key,
                      const char *value, struct err *err);

/** config_parse() - @origin is what errors call the text. */
int config_parse(const char *text, size_t len, const char *origin, config_fn *fn, void *arg,
                 struct err *err);
/** config_parse_file() - at most 1 MiB. -ENOENT is passed on as such. */
int config_parse_file(const char *path, config_fn *fn, void *arg, struct err *err);

/** Values: each error says what would have been right. */
int config_bool(const char *value, int *ret, struct err *err);
int config_u64(const char *value, unsigned long min, unsigned long max, unsigned long *ret,
               struct err *err);
