#pragma once
#include <stdbool.h>
#include <stddef.h>

/** text_line_ok() - well-formed UTF-8 of @min to @max bytes, no control characters, no direction
 * overrides, no blank at either end. */
bool text_line_ok(const char *text, size_t min, size_t max);
/** text_block_ok() - the same, but line feeds and tabs are fine and the ends do not matter. */
bool text_block_ok(const char *text, size_t max);
/** text_login_ok() - lower-case letters, digits and . _ - @ +, begins with a letter or digit, 1
 * to 64. */
bool text_login_ok(const char *text);
/** text_code_point_hidden() - control, direction override, separator, byte order mark: in no name.
 */
bool text_code_point_hidden(const char *sequence, size_t len);
