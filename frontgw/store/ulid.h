#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ULID_SIZE   27 /* 26 letters and a NUL */
#define SHA256_SIZE 65 /* 64 hex digits and a NUL */
#define TOKEN_SIZE  44 /* 43 letters of base64url for 256 bits, and a NUL */

/** ulid_make() - 48 bits of time, 80 random ones, in Crockford's base 32: sorts by time. */
void ulid_make(uint64_t wall_ms, char ret[ULID_SIZE]);
/** ulid_valid() - has @text the shape of one? What comes from outside is checked before any query.
 */
bool ulid_valid(const char *text);

/** sha256_hex() - of @len bytes. */
void sha256_hex(const void *bytes, size_t len, char ret[SHA256_SIZE]);
bool sha256_valid(const char *text);

/** token_make() - 256 random bits as base64url. */
void token_make(char ret[TOKEN_SIZE]);
/** random_text() - @n letters (NUL after them) from an alphabet without look-alikes, 5 bits each.
 */
void random_text(char *ret, size_t n);
