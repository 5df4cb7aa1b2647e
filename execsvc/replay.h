#pragma once
/*
 * The last output of a run, in the order in which it came: what a listener has not been sent yet,
 * and what one that comes back may have missed. A ring of records (stream, offset, bytes) that
 * forgets the oldest. Grows as needed up to REPLAY_MAX. Pure; the loop's thread owns it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_MAX        ((size_t)256 * 1024)
#define REPLAY_RECORD_MAX ((size_t)64 * 1024) /* bytes of output in one record */

struct replay {
    uint8_t *ring;
    size_t cap;
    uint64_t oldest, end; /* positions; a position modulo cap is a place in the ring */
};

struct replay_record {
    int stream;
    uint64_t offset; /* of the first byte in its stream */
    size_t len;
};

void replay_init(struct replay *replay);
void replay_done(struct replay *replay);

/** replay_add() - 1 to REPLAY_RECORD_MAX bytes. Return: 0 or -ENOMEM. */
int replay_add(struct replay *replay, int stream, uint64_t offset, const void *bytes, size_t len);

/**
 * replay_read() - the record at *@position, or the oldest one if that has been forgotten
 * @bytes: room for REPLAY_RECORD_MAX
 * Return: true and *@position moved behind it; false when there is none.
 */
bool replay_read(const struct replay *replay, uint64_t *position, struct replay_record *ret,
                 uint8_t *bytes);

/** replay_forget() - what stands before @position is not needed again. */
void replay_forget(struct replay *replay, uint64_t position);

/** replay_unread() - bytes (headers included) between @position and the end. */
uint64_t replay_unread(const struct replay *replay, uint64_t position);
