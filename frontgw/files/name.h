#pragma once
/*
 * Names and paths that people give. Pure. They name rows, never files on disk; the rules keep them
 * printable, comparable, and harmless for whoever unpacks an archive of them elsewhere.
 */

#include "base/err.h"

#include <stddef.h>

#define NAME_MAX_BYTES 200
#define PATH_MAX_BYTES 1024
#define PATH_DEPTH_MAX 16

/**
 * gw_name_check() - one part of a path
 *
 * UTF-8, 1 to 200 bytes, not "." or "..", no '/', no '\', no control or hidden characters
 * (direction overrides, separators), no blank at either end, no trailing dot.
 *
 * Return: 0, or GW_PROBLEM_INVALID_VALUE with the reason in @err.
 */
int gw_name_check(const char *name, struct err *err);

struct gw_path {
    char text[PATH_MAX_BYTES + 1]; /* parts with a NUL after each */
    const char *parts[PATH_DEPTH_MAX];
    size_t depth;
};
/** gw_path_parse() - "a/b/c": no leading, trailing or double slash; every part a name. Same
 * outcomes. */
int gw_path_parse(const char *path, struct gw_path *ret, struct err *err);

/** gw_mime_of() - the media type that a name's ending suggests; "application/octet-stream"
 * otherwise. */
const char *gw_mime_of(const char *name);
/** gw_mime_inline_ok() - may a browser show it in place? Only raster images, PDF and plain text:
 * never HTML, SVG or XML. */
int gw_mime_inline_ok(const char *mime);
