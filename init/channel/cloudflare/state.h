/* state.h — what the Cloudflare dialect keeps in the channel. */
#ifndef CHANNEL_CLOUDFLARE_STATE_H
#define CHANNEL_CLOUDFLARE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct channel;

enum { CF_MAX_PORTS = 64 }; /* that are exposed; 500 */

struct cf_state {
    struct link sessions; /* the oldest first */
    unsigned nsessions;
    uint64_t serial;    /* of what needs a name of its own */
    struct link drains; /* pipes of those who print on after their command; the oldest first */
    unsigned ndrains;
    int scripts; /* directory of long commands; -1: none yet */
    char scripts_path[192];
    uint16_t ports[CF_MAX_PORTS]; /* exposed ones; 0: none */
    bool told_no_bash;
    struct link checks; /* watches that count, for /api/watch/check */
    uint32_t boot;      /* in the names of watches: which channel they are of; 0: none yet */
};

void cf_state_init(struct channel *ch);
/* What an earlier channel has left: all jobs are known, and nobody has asked for anything. */
void cf_state_resume(struct channel *ch);

#endif
