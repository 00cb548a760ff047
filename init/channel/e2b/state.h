/* state.h — what the E2B dialect keeps in the channel, besides what outlives it (settings.h). */
#ifndef CHANNEL_E2B_STATE_H
#define CHANNEL_E2B_STATE_H

#include "base/list.h"
#include "channel/e2b/settings.h"

struct channel;

struct e2b_state {
    struct e2b_memory *memory;
    char own_user[64];          /* whom pinnace runs as; "" without a name */
    uint64_t cpu_busy, cpu_all; /* clock ticks at the last GET /metrics */
    struct link watchers;       /* of CreateWatcher */
    unsigned nwatchers;
    bool told_no_bash;
};

void e2b_state_init(struct channel *ch);

#endif
