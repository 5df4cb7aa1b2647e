#pragma once
#include <stdint.h>

/** CLOCK_MONOTONIC, in microseconds / milliseconds. */
uint64_t clock_us(void);
uint64_t clock_ms(void);
/** CLOCK_REALTIME in milliseconds since the epoch. */
uint64_t clock_wall_ms(void);
