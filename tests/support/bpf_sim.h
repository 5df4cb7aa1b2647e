#pragma once
/* Classic BPF as seccomp uses it, run in user space: what would the kernel answer to this call? */

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/**
 * bpf_sim_run() - @program on @call
 * @ret_steps: instructions executed; may be NULL
 *
 * Return: 0 and the SECCOMP_RET_* value in @ret, or -EINVAL for a program that the kernel would not
 * load (unknown instruction, a jump or an end beyond it, a load outside struct seccomp_data).
 */
int bpf_sim_run(const struct sock_filter *program, size_t len, const struct seccomp_data *call,
                uint32_t *ret, size_t *ret_steps);
