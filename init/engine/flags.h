/* flags.h — PURE: what a dockerd command line already says.
 *
 * dockerd dies when a setting is both a flag and a key of daemon.json, whatever the
 * values, and many have two names (--host and "hosts"). Here every flag is told by
 * its daemon.json key, so that callers compare one name only.
 */
#ifndef ENGINE_FLAGS_H
#define ENGINE_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

struct flag {
    char key[48];      /* its name in daemon.json: "hosts" for --host and -H */
    const char *value; /* borrowed from the words; NULL for a bare switch */
};

struct flag_list {
    struct flag v[2 * MAX_ENGINE_WORDS]; /* one word may hold several: -DH unix:// */
    size_t n;
};

/* Take `n` words the way dockerd does (spf13/pflag: --name=value, --name value, -Dl warn). Words
 * that are no flags are skipped, as dockerd takes no arguments. Adds to `out`. */
void flags_parse(struct flag_list *out, const char *const *words, size_t n);

/* The last one given for this key, which is the one that counts; NULL if none. */
const struct flag *flags_find(const struct flag_list *l, const char *key);

/* A switch as dockerd reads it (strconv.ParseBool): bare and unknown words are true. */
bool flag_is_true(const struct flag *f);

#endif
