#pragma once
/* Trying things in children that leave nothing behind. Private to the doctor. */

#include <stdint.h>

/** doctor_try_clone() - make a child with @flags (CLONE_NEW*) that ends at once. Return: 0 or a
 * positive errno. */
int doctor_try_clone(uint64_t flags);

/** doctor_try_proc() - a fresh /proc inside user, mount and pid namespaces. Return: 0 or a positive
 * errno. */
int doctor_try_proc(void);

/** doctor_try_overlay() - an overlay on tmpfs inside user and mount namespaces. Return: 0 or a
 * positive errno. */
int doctor_try_overlay(void);

/** doctor_try_idmap() - a detached, id-mapped copy of @path's mount; needs root. Return: 0 or a
 * positive errno. */
int doctor_try_idmap(const char *path);
