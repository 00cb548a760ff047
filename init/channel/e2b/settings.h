/* settings.h — what POST /init has set: of the box, not of one client. It is in memory that all
 * channels share, so it outlives the one that took it.
 */
#ifndef CHANNEL_E2B_SETTINGS_H
#define CHANNEL_E2B_SETTINGS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    E2B_TOKEN_TEXT = 512,     /* bytes of an access token, NUL included; 400 */
    E2B_ENV_BYTES = 64 << 10, /* bytes of all variables, each NAME=value with its NUL; 400 */
};

struct e2b_settings {
    bool timed;                 /* with a timestamp: */
    int64_t at_s;               /* unix time */
    int32_t at_ns;              /* below a second */
    char token[E2B_TOKEN_TEXT]; /* "": [channel] token, if any */
    char user[64];              /* "": as pinnace runs */
    char workdir[PATH_MAX];     /* "": the user's home */
    uint32_t env_len;
    char env[E2B_ENV_BYTES]; /* NAME=value, each with its NUL */
};

/* Two of them, so that one who is killed while it writes leaves the other one whole. */
struct e2b_memory {
    uint32_t current; /* 0 or 1 */
    struct e2b_settings slots[2];
};

static inline const struct e2b_settings *e2b_settings_in(const struct e2b_memory *m) {
    return &m->slots[m->current & 1];
}

/* Where the next ones are to be written, a copy of the current ones; then e2b_settings_apply(). */
struct e2b_settings *e2b_settings_draft(struct e2b_memory *m);
void e2b_settings_apply(struct e2b_memory *m);

/* The value of a variable, or NULL. */
const char *e2b_settings_env(const struct e2b_settings *s, const char *name);
/* Set one; false: no room, or no variable's name. */
bool e2b_settings_put_env(struct e2b_settings *s, const char *name, const char *value);

#endif
