#include "api/proto_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "api/model.h"
#include "api/text.h"

#define NESTING_MAX 16 /* the contract has four */

struct cursor {
    const uint8_t *at, *end;
};

/* One field of the wire. */
struct part {
    uint32_t number;
    bool delimited;
    const uint8_t *bytes;
    size_t len;
};

static bool take_varint(struct cursor *c, uint64_t *ret)
{
    *ret = 0;
    for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;
        *ret |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

/* Return: false at the end, or at what is no message. */
static bool take_part(struct cursor *c, struct part *ret)
{
    uint64_t key, value = 0;
    if (!take_varint(c, &key))
        return false;
    *ret = (struct part){.number = (uint32_t)(key >> 3)};
    switch (key & 7) {
    case 0:
        return take_varint(c, &value);
    case 1:
        value = 8;
        break;
    case 2:
        if (!take_varint(c, &value))
            return false;
        ret->delimited = true;
        break;
    case 5:
        value = 4;
        break;
    default:
        return false;
    }
    if (value > (size_t)(c->end - c->at))
        return false;
    ret->bytes = c->at;
    ret->len = (size_t)value;
    c->at += value;
    return true;
}

/* @field, or @field[index] when it is repeated, before what the fault's field says already. */
static void name_field(const ProtobufCFieldDescriptor *field, struct cursor all,
                       const uint8_t *before, struct model_fault *fault)
{
    char rest[sizeof(fault->field)], index[24] = "";
    size_t n = 0;
    struct part part;
    while (take_part(&all, &part) && part.bytes != before)
        n += part.number == field->id;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        snprintf(index, sizeof(index), "[%zu]", n);
    snprintf(rest, sizeof(rest), "%s", fault->field);
    snprintf(fault->field, sizeof(fault->field), "%.60s%s%s%.*s", field->name, index,
             *rest ? "." : "", (int)(sizeof(fault->field) - 90), rest);
}

static int check(const ProtobufCMessageDescriptor *descriptor, struct cursor all, unsigned depth,
                 struct model_fault *fault)
{
    struct part part;
    for (struct cursor c = all; take_part(&c, &part);) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, part.number);
        int r = 0;
        if (!field || !part.delimited)
            continue;
        if (field->type == PROTOBUF_C_TYPE_STRING && !text_valid(part.bytes, part.len))
            r = -EINVAL;
        else if (field->type == PROTOBUF_C_TYPE_MESSAGE && depth < NESTING_MAX)
            r = check(field->descriptor, (struct cursor){part.bytes, part.bytes + part.len},
                      depth + 1, fault);
        if (r < 0) {
            name_field(field, all, part.bytes, fault);
            return r;
        }
    }
    return 0;
}

int proto_text_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len,
                     struct model_fault *fault)
{
    char field[sizeof(fault->field)];
    fault->field[0] = '\0';
    if (check(descriptor, (struct cursor){bytes, bytes + len}, 0, fault) == 0)
        return 0;
    snprintf(field, sizeof(field), "%s", fault->field);
    return err_set(&fault->err, -EINVAL, "%s: is not UTF-8 text without control characters", field);
}
