#include "frontgw/store/ulid.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/random.h>

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char hex[] = "0123456789abcdef";

static void random_bytes(void *buf, size_t len)
{
    ssize_t got = getrandom(buf, len, 0);
    assert(got == (ssize_t)len); /* up to 256 bytes never come short */
    (void)got;
}

void ulid_make(uint64_t wall_ms, char ret[ULID_SIZE])
{
    unsigned char noise[16];
    random_bytes(noise, sizeof(noise));
    for (int i = 9; i >= 0; i--) {
        ret[i] = crockford[wall_ms & 31];
        wall_ms >>= 5;
    }
    for (int i = 0; i < 16; i++)
        ret[10 + i] = crockford[noise[i] & 31];
    ret[26] = 0;
}

bool ulid_valid(const char *text)
{
    return text && strlen(text) == ULID_SIZE - 1 && strspn(text, crockford) == ULID_SIZE - 1 &&
           text[0] <= '7';
}

static void to_hex(const unsigned char *bytes, size_t len, char *ret)
{
    for (size_t i = 0; i < len; i++) {
        ret[2 * i] = hex[bytes[i] >> 4];
        ret[2 * i + 1] = hex[bytes[i] & 15];
    }
    ret[2 * len] = 0;
}

void sha256_hex(const void *bytes, size_t len, char ret[SHA256_SIZE])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(bytes, len, digest);
    to_hex(digest, sizeof(digest), ret);
}

bool sha256_valid(const char *text)
{
    return text && strlen(text) == SHA256_SIZE - 1 && strspn(text, hex) == SHA256_SIZE - 1;
}

void token_make(char ret[TOKEN_SIZE])
{
    static const char url64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char noise[33] = {0};
    random_bytes(noise, 32);
    for (int i = 0, at = 0; at < TOKEN_SIZE - 1; i += 3) {
        unsigned v = (unsigned)noise[i] << 16 | (unsigned)noise[i + 1] << 8 | noise[i + 2];
        for (int shift = 18; shift >= 0 && at < TOKEN_SIZE - 1; shift -= 6)
            ret[at++] = url64[v >> shift & 63];
    }
    ret[TOKEN_SIZE - 1] = 0;
}

void random_text(char *ret, size_t n)
{
    static const char clear[] = "abcdefghjkmnpqrstuvwxyz23456789z"; /* 32: no i l o 0 1 */
    for (size_t i = 0; i < n; i++) {
        unsigned char noise;
        random_bytes(&noise, 1);
        ret[i] = clear[noise & 31];
    }
    ret[n] = 0;
}
