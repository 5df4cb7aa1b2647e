#pragma once
#include <stdint.h>

/**
 * caps_keep() - no capability but @own from here on, none but @inheritable for what is executed
 * later, and an empty bounding set. Raw calls only: also for a child that shares its parent's
 * memory. @inheritable is part of @own; CAP_SETPCAP is needed and is gone afterwards unless named.
 * Return: 0 or -errno, then with some of it done.
 */
int caps_keep(uint64_t own, uint64_t inheritable);
