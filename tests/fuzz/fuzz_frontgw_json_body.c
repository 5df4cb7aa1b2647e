/* JSON bodies as the server takes them: parsed strictly, members read one by one, the refusal
 * rendered. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "frontgw/http/fields.h"
#include "frontgw/http/response.h"
#include "frontgw/http/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void read_members(const json_t *body)
{
    struct gw_response res;
    const char *text = NULL;
    int64_t number = 3;
    bool truth = false;

    gw_response_init(&res);
    bool only = gw_field_only(&res, body, "title count visible");
    if (gw_field_text(&res, body, "title", 1, 20, &text))
        require(strlen(text) >= 1 && strlen(text) <= 20 && gw_text_ok(text, strlen(text)));
    if (gw_field_int_opt(&res, body, "count", 0, 9, &number))
        require(number >= 0 && number <= 9);
    gw_field_bool_opt(&res, body, "visible", &truth);
    require(only || res.status == 422);
    if (res.body) {
        json_t *document = json_loadb(res.body, res.body_size, 0, NULL);
        require(json_is_object(document));
        json_decref(document);
    }
    gw_response_done(&res);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(body))
        read_members(body);
    json_decref(body);
    return 0;
}
