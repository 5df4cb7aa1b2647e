#pragma once
/* Text from outside, held against UTF-8 (base/utf8.h). */

#include <stdbool.h>
#include <stddef.h>

/** text_valid() - well-formed UTF-8 without control characters. */
bool text_valid(const void *text, size_t len);
/** text_clean() - replace every bad byte and control character of a string by '?', in place. */
void text_clean(char *text);
