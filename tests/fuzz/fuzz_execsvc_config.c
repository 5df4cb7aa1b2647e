/* The service's configuration: whatever the text, it is refused or prints as a text that means the
 * same. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "execsvc/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(struct exs_config *config)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);
    if (!file || exs_config_print(config, file) < 0)
        abort();
    fclose(file);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct exs_config config, again;
    struct err err = {0};
    exs_config_init(&config);
    int r = exs_config_text(&config, (const char *)data, size, "fuzz", &err);
    if (r == 0)
        r = exs_config_finish(&config, &err);
    if (r < 0 && !*err.text)
        abort();
    if (r == 0) {
        char *first = print(&config);
        exs_config_init(&again);
        if (exs_config_text(&again, first, strlen(first), "printed", &err) < 0 ||
            exs_config_finish(&again, &err) < 0)
            abort();
        char *second = print(&again);
        if (strcmp(first, second) != 0)
            abort();
        free(second);
        free(first);
        exs_config_done(&again);
    }
    exs_config_done(&config);
    return 0;
}
