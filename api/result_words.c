#include "api/result_json.h"

const char *run_message(const struct run_result *result)
{
    if (result->explanation.message[0] || result->verdict != VERDICT_INTERNAL)
        return result->explanation.message;
    return result->err.text[0] ? result->err.text : "the service failed, not your program";
}

const char *run_layer_detail(const struct run_result *result, enum layer layer)
{
    if (result->layers & LAYER_BIT(layer))
        return "";
    return result->layers_missing & LAYER_BIT(layer) ? "not to be had on this host"
                                                     : "switched off for this run";
}
