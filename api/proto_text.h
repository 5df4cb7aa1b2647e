#pragma once
/*
 * `string` fields are text of ours: UTF-8, no control characters. protobuf-c looks at neither, and
 * ends a string at its first NUL, so that what was checked would not be all that was sent. So the
 * packed bytes are looked at, once they are known to unpack.
 */

#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

struct model_fault;

/** proto_text_check() - Return: 0, or -EINVAL with @fault naming the field ("labels[2].value"). */
int proto_text_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len,
                     struct model_fault *fault);
