/* kernel.h — questions that only the kernel can answer, by trying. No trace is left. */
#ifndef ENGINE_KERNEL_H
#define ENGINE_KERNEL_H

#include <stdbool.h>

#include "engine/survey.h"

/* Send NFT_MSG_GETGEN over NETLINK_NETFILTER (linux/netfilter/nf_tables.h). Unlike
 * running iptables it makes no tables; waits 1 s at most. */
enum engine_nf_tables kernel_nf_tables(void);

/* Mount an overlay over directories made under `data_root` (or the nearest directory
 * above that exists), write through it and unmount; *code is the errno if it fails.
 * `rootless`: as a rootless engine would, in a user namespace of its own. In a fork with
 * a private mount namespace, ended after 3 s. */
enum engine_overlay kernel_overlay(const char *data_root, bool rootless, int *code);

#endif
