/* kernel.h — what only the kernel can answer, by trying. No trace is left. */
#ifndef ENGINE_KERNEL_H
#define ENGINE_KERNEL_H

#include <stdbool.h>

#include "engine/survey.h"

/* Mount an overlay over directories made under `data_root` (or the nearest directory
 * above that exists), write through it and unmount; *code is the errno if it fails.
 * `rootless`: as a rootless engine would, in a user namespace of its own. In a fork with
 * a private mount namespace, ended after 3 s. */
enum engine_overlay kernel_overlay(const char *data_root, bool rootless, int *code);

#endif
