#pragma once
#include <stdbool.h>
#include <stddef.h>

/** gw_text_ok() - well-formed UTF-8 without control characters (C0, DEL, C1) */
bool gw_text_ok(const char *text, size_t len);
