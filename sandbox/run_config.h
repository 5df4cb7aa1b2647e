#pragma once
#include "sandbox/run.h"

/** run_config_build() - the first message to init, into @buf (INIT_CONFIG_MAX). Return: bytes, or
 * -E2BIG. */
int run_config_build(const struct run_env *env, const struct slot *slot,
                     const struct sbx_spec *spec, const int *fds, uint32_t layers, void *buf,
                     struct err *err);
