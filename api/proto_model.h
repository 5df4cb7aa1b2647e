#pragma once
/*
 * The plain structs of model.h to and from messages of cloister.exec.v1. Everything made here lives
 * in the arena that is passed in; what it points to (contents, output) may be borrowed.
 */

#include <stddef.h>
#include <stdint.h>

#include <cloister/exec/v1/exec.pb-c.h>

#include "api/arena.h"
#include "api/model.h"

/**
 * run_request_from_proto() - copy what needs a NUL, borrow the rest; then run_request_check()
 *
 * Return: 0, -EINVAL with @fault, or -ENOMEM when @arena is exhausted.
 */
int run_request_from_proto(const Cloister__Exec__V1__ExecuteRequest *message, struct arena *arena,
                           struct run_request *ret, struct model_fault *fault);

/** run_request_decode() - the same from bytes, with proto_text_check(); @arena must outlive @ret,
 * @bytes need not. */
int run_request_decode(const uint8_t *bytes, size_t len, struct arena *arena,
                       struct run_request *ret, struct model_fault *fault);

/** run_request_to_proto() - NULL without memory. @request is borrowed by the message. */
Cloister__Exec__V1__ExecuteRequest *run_request_to_proto(const struct run_request *request,
                                                         struct arena *arena);

/** run_report_to_proto() - NULL without memory. @report is borrowed by the message. */
Cloister__Exec__V1__Result *run_report_to_proto(const struct run_report *report,
                                                struct arena *arena);
/** run_report_from_proto() - strings are borrowed from @message; unknown names are skipped.
 * -ENOMEM, -EBADMSG for an unknown verdict. */
int run_report_from_proto(const Cloister__Exec__V1__Result *message, struct arena *arena,
                          struct run_report *ret, struct err *err);
