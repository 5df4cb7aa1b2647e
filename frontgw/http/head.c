#include "frontgw/http/head.h"

#include <string.h>
#include <strings.h>

static bool is_token(unsigned char c)
{
    if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'))
        return true;
    return c && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

size_t gw_head_end(const char *bytes, size_t len, size_t *scan)
{
    size_t i = *scan;

    for (; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '\n') {
            if (i == 0 || bytes[i - 1] != '\r')
                return GW_HEAD_BAD;
            if (i >= 3 && bytes[i - 2] == '\n')
                return i + 1;
        } else if ((i > 0 && bytes[i - 1] == '\r') || (c < 0x20 && c != '\r' && c != '\t') ||
                   c == 0x7f) {
            return GW_HEAD_BAD;
        }
    }
    *scan = i;
    return 0;
}

static const char *const kept_names[GW_H_COUNT] = {
    [GW_H_ACCEPT] = "accept",
    [GW_H_ACCEPT_ENCODING] = "accept-encoding",
    [GW_H_AUTHORIZATION] = "authorization",
    [GW_H_CONTENT_TYPE] = "content-type",
    [GW_H_COOKIE] = "cookie",
    [GW_H_HOST] = "host",
    [GW_H_IF_MATCH] = "if-match",
    [GW_H_IF_NONE_MATCH] = "if-none-match",
    [GW_H_IF_RANGE] = "if-range",
    [GW_H_ORIGIN] = "origin",
    [GW_H_RANGE] = "range",
    [GW_H_SEC_FETCH_SITE] = "sec-fetch-site",
    [GW_H_TRACEPARENT] = "traceparent",
    [GW_H_USER_AGENT] = "user-agent",
    [GW_H_X_CLOISTER] = "x-cloister",
    [GW_H_X_FORWARDED_FOR] = "x-forwarded-for",
    [GW_H_X_FORWARDED_PROTO] = "x-forwarded-proto",
    [GW_H_CAUSE] = "x-cloister-cause",
};

/* Lists that may legally come in several lines; the first line is enough for us. */
static bool may_repeat(int id)
{
    return id == GW_H_ACCEPT || id == GW_H_ACCEPT_ENCODING;
}

static enum gw_problem refuse(const char **ret_detail, enum gw_problem problem, const char *detail)
{
    *ret_detail = detail;
    return problem;
}

static bool parse_length(const char *text, int64_t *ret)
{
    int64_t value = 0;
    size_t digits = strlen(text);

    if (digits == 0 || digits > 15)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (*text - '0');
    }
    *ret = value;
    return true;
}

/* Is @word one of the comma-separated words of @list? */
static bool list_has(const char *list, const char *word)
{
    size_t want = strlen(word);

    while (*list) {
        list += strspn(list, " \t,");
        size_t n = strcspn(list, " \t,;");
        if (n == want && strncasecmp(list, word, n) == 0)
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

/* What a header means for the shape of the message; *ret_seen collects what may come once. */
struct framing {
    bool length, transfer_encoding, connection;
};

static enum gw_problem take_framing(const char *name, char *value, struct gw_head *head,
                                    struct framing *seen, const char **ret_detail)
{
    if (strcasecmp(name, "content-length") == 0) {
        if (seen->length)
            return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "Content-Length is given twice");
        if (!parse_length(value, &head->content_length))
            return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "Content-Length is not a number");
        seen->length = true;
    } else if (strcasecmp(name, "transfer-encoding") == 0) {
        seen->transfer_encoding = true;
    } else if (strcasecmp(name, "connection") == 0) {
        head->close |= list_has(value, "close");
    } else if (strcasecmp(name, "expect") == 0) {
        head->expect_continue = strcasecmp(value, "100-continue") == 0;
    } else if (strcasecmp(name, "upgrade") == 0) {
        head->upgrade = true;
        head->websocket = strcasecmp(value, "websocket") == 0;
    }
    return GW_PROBLEM_NONE;
}

static enum gw_problem keep(const char *name, char *value, struct gw_head *head,
                            const char **ret_detail)
{
    for (int id = 0; id < GW_H_COUNT; id++) {
        if (strcasecmp(name, kept_names[id]) != 0)
            continue;
        if (head->headers[id] && !may_repeat(id))
            return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "a header is given twice");
        /* Stored, logged and compared as text: only cookies may hold other bytes. */
        for (char *p = value; *p && id != GW_H_COOKIE; p++) {
            if ((unsigned char)*p >= 0x7f)
                *p = '?';
        }
        if (!head->headers[id])
            head->headers[id] = value;
        return GW_PROBLEM_NONE;
    }
    return GW_PROBLEM_NONE;
}

/* One "name: value" line, NUL-terminated, without its CRLF. */
static enum gw_problem parse_field(char *line, char *end, struct gw_head *head,
                                   struct framing *seen, const char **ret_detail)
{
    char *p = line;

    while (is_token((unsigned char)*p))
        p++;
    if (p == line || *p != ':')
        return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "a header line is malformed");
    *p++ = '\0';
    p += strspn(p, " \t");
    while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    enum gw_problem r = take_framing(line, p, head, seen, ret_detail);
    return r != GW_PROBLEM_NONE ? r : keep(line, p, head, ret_detail);
}

static enum gw_problem parse_request_line(char *line, struct gw_head *head, const char **ret_detail)
{
    char *p = line;

    while (is_token((unsigned char)*p))
        p++;
    if (p == line || *p != ' ' || p - line > 24)
        return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "the request line is malformed");
    *p++ = '\0';
    head->target = p;
    while (*p > 0x20)
        p++;
    if (*p != ' ')
        return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "the request line is malformed");
    *p++ = '\0';
    if (strncmp(p, "HTTP/", 5) != 0 || strlen(p) != 8)
        return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "the request line is malformed");
    if (strcmp(p, "HTTP/1.1") != 0)
        return refuse(ret_detail, GW_PROBLEM_HTTP_VERSION, "please use HTTP/1.1");
    if (strlen(head->target) > GW_TARGET_MAX)
        return refuse(ret_detail, GW_PROBLEM_URI_TOO_LONG, "the address is too long");
    if (head->target[0] != '/')
        return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "the address has to begin with a slash");
    head->method = gw_method_by_name(line);
    return GW_PROBLEM_NONE;
}

static bool host_ok(const char *host)
{
    size_t n = host ? strlen(host) : 0;

    return n > 0 && n < 256 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") ==
               n;
}

/* After all fields: does the message have one well-known end? */
static enum gw_problem check_framing(const struct gw_head *head, const struct framing *seen,
                                     const char **ret_detail)
{
    if (!host_ok(head->headers[GW_H_HOST]))
        return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "Host is missing or malformed");
    if (seen->transfer_encoding && seen->length)
        return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST,
                      "Content-Length and Transfer-Encoding exclude each other");
    if (seen->transfer_encoding)
        return refuse(ret_detail, GW_PROBLEM_LENGTH_REQUIRED,
                      "chunked bodies are not taken: please send a Content-Length");
    if (head->method < 0)
        return refuse(ret_detail, GW_PROBLEM_NOT_IMPLEMENTED, "this method is not known here");
    return GW_PROBLEM_NONE;
}

enum gw_problem gw_head_parse(char *text, size_t len, struct gw_head *ret, const char **ret_detail)
{
    struct framing seen = {0};
    char *line = text, *stop = text + len - 2; /* the blank line's CRLF */
    size_t fields = 0;
    enum gw_problem r = GW_PROBLEM_NONE;

    *ret = (struct gw_head){.method = -1, .content_length = -1};
    *ret_detail = "";
    for (bool first = true; line < stop && r == GW_PROBLEM_NONE; first = false) {
        char *cr = memchr(line, '\r', (size_t)(stop - line));
        if (!cr)
            return refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "the head is malformed");
        *cr = '\0';
        if (first)
            r = parse_request_line(line, ret, ret_detail);
        else if (++fields > GW_HEAD_FIELDS_MAX)
            r = refuse(ret_detail, GW_PROBLEM_HEADERS_TOO_LARGE, "too many headers");
        else
            r = parse_field(line, cr, ret, &seen, ret_detail);
        line = cr + 2;
    }
    if (r == GW_PROBLEM_NONE && !ret->target)
        r = refuse(ret_detail, GW_PROBLEM_BAD_REQUEST, "the request line is missing");
    return r != GW_PROBLEM_NONE ? r : check_framing(ret, &seen, ret_detail);
}
