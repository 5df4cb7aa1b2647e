#pragma once
#include <stddef.h>

/**
 * utf8_sequence() - the length of the well-formed UTF-8 sequence at the start of @bytes
 *
 * Table 3-7 of the Unicode standard: no overlong form, no surrogate, nothing above U+10FFFF.
 *
 * Return: 1 to 4, or 0 when @len is 0 or the bytes do not begin a well-formed sequence (of which a
 * decoder skips one byte and writes U+FFFD).
 */
size_t utf8_sequence(const void *bytes, size_t len);
