#pragma once
/* The public contracts as a serialised google.protobuf.FileDescriptorSet, for server reflection. */

#include <stddef.h>

extern const unsigned char cloister_descriptor_set[];
extern const size_t cloister_descriptor_set_len;
