/* The configuration parser: whatever the text, each value it hands on keeps the header's promises.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/err.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_word(const char *text)
{
    require(*text != 0);
    require(strpbrk(text, " \t\n\"[]=") == NULL);
}

static int on_setting(void *arg, const char *section, const char *name, const char *key,
                      const char *value, struct err *err)
{
    unsigned *settings = arg;
    (*settings)++;
    check_word(section);
    check_word(key);
    require(strpbrk(name, "\"\n") == NULL);
    require(strpbrk(value, "\n\r\x1b") == NULL);
    require(*value == 0 || !strchr(" \t", *value));

    int truth;
    unsigned long number;
    uint64_t scaled;
    config_bool(value, &truth, NULL);
    if (config_u64(value, 3, 9, &number, NULL) == 0)
        require(number >= 3 && number <= 9);
    size_parse(value, &scaled, NULL);
    time_parse(value, &scaled, NULL);
    return strcmp(key, "refused") == 0 ? err_set(err, -22, "refused") : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned settings = 0;
    struct err err = {0};
    int r = config_parse((const char *)data, size, "input", on_setting, &settings, &err);
    require(r <= 0);
    require((r < 0) == (err.code < 0));
    require(r == 0 || strncmp(err.text, "input:", 6) == 0);
    require(settings <= size / 2);
    return 0;
}
