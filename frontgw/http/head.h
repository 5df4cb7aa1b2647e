#pragma once
/*
 * The head of an HTTP/1.1 request, strictly: what RFC 9112 lets a server refuse is refused, because
 * every leniency is a way for two parties to see two different requests in the same bytes.
 * Refused are: a bare LF or CR, white space before a colon, folded lines, control characters, a
 * second Content-Length (even an equal one), a second Host, any Transfer-Encoding, any version but
 * 1.1, and targets that do not begin with a slash.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frontgw/http/problem.h"
#include "frontgw/http/request.h"

#define GW_HEAD_FIELDS_MAX 64
#define GW_TARGET_MAX      4096

#define GW_HEAD_BAD        ((size_t)-1)
/**
 * gw_head_end() - how many of @len bytes are the head, blank line included
 * @scan: where to go on from; 0 at first; kept by the caller between calls
 *
 * Return: 0 when more bytes are needed, GW_HEAD_BAD when they can never become a head.
 */
size_t gw_head_end(const char *bytes, size_t len, size_t *scan);

struct gw_head {
    int method; /* enum gw_method, or -1: a well-formed word that we do not know */
    char *target;
    char *headers[GW_H_COUNT];
    int64_t content_length; /* -1: none */
    bool close;             /* the client asks for the end of the connection */
    bool expect_continue;
    bool upgrade;   /* any Upgrade header */
    bool websocket; /* ... that says "websocket" */
};

/**
 * gw_head_parse() - take a complete head apart, in place
 * @text: @len bytes as found by gw_head_end(); they are changed, and @ret points into them
 *
 * Return: GW_PROBLEM_NONE, or why it is refused (@ret_detail: a few words); the connection has to
 * be closed after any refusal, because the end of the request is then not known.
 */
enum gw_problem gw_head_parse(char *text, size_t len, struct gw_head *ret, const char **ret_detail);
