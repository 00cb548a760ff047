/* subnets.h — PURE: the subnets a user gives the engine, as flags and in daemon.json. */
#ifndef ENGINE_SUBNETS_H
#define ENGINE_SUBNETS_H

#include "engine/daemon_json.h"
#include "engine/flags.h"
#include "engine/prepare.h"

#define POOLS_KEY "default-address-pools"

/* Flags first. What is malformed is left out: dockerd refuses it in its own words. Of lists
 * longer than MAX_SUBNETS the rest is not looked at (out->more). */
void subnets_find(const struct flag_list *given, const struct daemon_json *json,
                  struct engine_subnets *out);

#endif
