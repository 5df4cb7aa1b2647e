#pragma once
/*
 * A fault, in words and with its errno.
 *
 * A plain struct of fixed size, so that a child between clone and exec can fill one in without
 * allocating and write it whole into a socket. Functions return 0 or a negative errno and take a
 * `struct err *` last; NULL means that the caller does not want the words.
 */

#include <stddef.h>

#define ERR_TEXT_MAX 240

struct err {
    int code;                /* negative errno; 0: nothing went wrong */
    char text[ERR_TEXT_MAX]; /* NUL-terminated, one line, no secrets */
};

/**
 * err_set() - record a fault where it first appears
 * @err: may be NULL
 * @code: negative errno; also what %m in @format stands for
 *
 * Return: @code, so that `return err_set(err, -errno, "mount proc on %s: %m", path);` reads well.
 */
int err_set(struct err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** err_prefix() - put "what: " before a fault that is passed on; returns @err's code, or -EIO. */
int err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** err_clear() - forget a fault that has been dealt with. */
void err_clear(struct err *err);
