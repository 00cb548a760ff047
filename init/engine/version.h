/* version.h — which dockerd is it? Its keys and flags differ, and an unknown flag is fatal. */
#ifndef ENGINE_VERSION_H
#define ENGINE_VERSION_H

#include <stdint.h>

/* Run `PROGRAM --version` and read its major version; 0 if it has none, says nothing within
 * 3 s, or cannot be run. Forks. */
uint32_t engine_version(const char *program);

/* Pure: of "Docker version 20.10.24+dfsg1, build 5d6db84", alone or among other lines. */
uint32_t version_parse(const char *text);

#endif
