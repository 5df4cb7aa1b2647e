#pragma once
struct err;
struct node_config;

/**
 * stage_build() - as real root in a private mount namespace: a tmpfs with device nodes (a directory
 * of them per slot, so that no inode is shared), and the operator's binds
 *
 * Sets config->staging. Read-only from here on: what root made read-only before U's mount namespace
 * is copied stays locked in it.
 */
int stage_build(struct node_config *config, struct err *err);

/** make_device_links() - /dev/fd, /dev/stdin ... /dev/ptmx, in the directory @dir_fd */
int make_device_links(int dir_fd, struct err *err);

/** make_device_nodes() - null, zero ... tty, the links, pts/ and shm/, in @dir_fd; umask 0 */
int make_device_nodes(int dir_fd, struct err *err);
