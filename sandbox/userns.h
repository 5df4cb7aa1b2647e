#pragma once
/* Making the user namespace U and the first process in it (u0-notes: the order is the security). */

#include <stdbool.h>
#include <sys/types.h>

struct cg_tree;
struct err;
struct node_config;

struct userns_start {
    const struct node_config *config;
    int exe_fd, config_fd, client_fd; /* borrowed */
    int staged_ns;                    /* -EBADF: start from the current mount namespace */
};

/** userns_can_map() - whether a range of uids can be mapped (real root, or newuidmap and
 * /etc/subuid) */
bool userns_can_map(const struct node_config *config);

/** userns_start() - Return: 0 with the pid and a pidfd (owned by the caller), or a negative errno
 * and nothing. */
int userns_start(const struct userns_start *start, struct cg_tree *tree, pid_t *ret_pid,
                 int *ret_pidfd, struct err *err);
