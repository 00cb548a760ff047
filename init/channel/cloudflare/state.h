/* state.h — what the Cloudflare dialect keeps in the channel. */
#ifndef CHANNEL_CLOUDFLARE_STATE_H
#define CHANNEL_CLOUDFLARE_STATE_H

#include <stdint.h>

#include "base/list.h"

struct channel;

struct cf_state {
    struct link sessions; /* the oldest first */
    unsigned nsessions;
    uint64_t serial; /* of what needs a name of its own */
};

void cf_state_init(struct channel *ch);

#endif
