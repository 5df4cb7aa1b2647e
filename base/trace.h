#pragma once
/* W3C Trace Context (https://www.w3.org/TR/trace-context/): who asked, across services. */

#include <stdbool.h>
#include <stddef.h>

#define TRACE_ID_SIZE 33 /* 16 bytes in lower case hexadecimal */
#define SPAN_ID_SIZE  17

struct trace {
    char trace_id[TRACE_ID_SIZE];
    char span_id[SPAN_ID_SIZE]; /* ours within the trace */
};

/** trace_parse() - is @text a `traceparent`? @ret_trace_id is set only then. @text needs no NUL. */
bool trace_parse(const char *text, size_t len, char ret_trace_id[TRACE_ID_SIZE]);

/**
 * trace_begin() - the trace that @parent belongs to, or a new one, and a span of our own
 * @parent: value of `traceparent`, not NUL-terminated; NULL: none. As the standard asks, one that
 * is malformed is as good as none.
 */
void trace_begin(const char *parent, size_t len, struct trace *ret);
