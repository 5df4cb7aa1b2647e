#pragma once

#include <stddef.h>

/**
 * gw_cookie_find() - value of the cookie @name in a Cookie header
 * @header: may be NULL; @ret: NUL-terminated copy, at most @size bytes
 *
 * A name that comes twice is nobody's: an attacker who can set a cookie for a parent domain could
 * otherwise choose which one counts. Only characters of base64url and hexadecimal are taken.
 *
 * Return: 0, -ENOENT when there is none that can be used.
 */
int gw_cookie_find(const char *header, const char *name, char *ret, size_t size);
