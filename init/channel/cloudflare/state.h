/* state.h — what the Cloudflare dialect keeps in the channel. */
#ifndef CHANNEL_CLOUDFLARE_STATE_H
#define CHANNEL_CLOUDFLARE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct channel;

struct cf_state {
    struct link sessions; /* the oldest first */
    unsigned nsessions;
    uint64_t serial;    /* of what needs a name of its own */
    struct link drains; /* pipes of those who print on after their command; the oldest first */
    unsigned ndrains;
    int scripts; /* directory of long commands; -1: none yet */
    char scripts_path[192];
    bool told_no_bash;
    struct link checks; /* watches that count, for /api/watch/check */
    uint32_t boot;      /* in the names of watches: which channel they are of; 0: none yet */
};

void cf_state_init(struct channel *ch);

#endif
