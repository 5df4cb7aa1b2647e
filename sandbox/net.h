#pragma once
struct err;

/** net_new() - a network namespace with lo up, and nothing else; owned by the caller */
int net_new(int *ret, struct err *err);
/** net_loopback_up() - raw calls only, for a process in the namespace. Return: 0 or -errno. */
int net_loopback_up(void);
