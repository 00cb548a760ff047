/* channel.h — what is in role channel: one of each, reached from an exchange by channel_of(). */
#ifndef CHANNEL_CHANNEL_H
#define CHANNEL_CHANNEL_H

#include "channel/cloudflare/state.h"
#include "channel/e2b/state.h"
#include "channel/files/files.h"
#include "channel/jobs/job.h"
#include "channel/mirror.h"
#include "channel/role.h"
#include "http/server.h"

struct channel {
    const struct channel_role *role;
    struct sys sys;
    struct loop loop;
    struct children children;
    struct source control, signals;
    struct timer last_call;
    struct mirror mirror;
    struct jobs jobs;
    struct files files;
    struct e2b_state e2b;
    struct cf_state cloudflare;
    struct http_server server;
    struct http_listener listeners[MAX_CHANNELS];
    struct gate *gates; /* of each listener */
    struct link box_observers;
    struct link status_waits; /* exchanges that wait for a change of the box */
    struct link unit_waits;   /* and for PID 1's word on a unit */
    uint64_t ticket;
    unsigned asked; /* requests for units that PID 1 has not answered, whoever waits for it */
    bool open, quitting;
};

/* The channel that serves this exchange. */
struct channel *channel_of(const struct http_exchange *x);

/* Say something to PID 1. False: it does not listen; the role ends soon. */
bool channel_tell(struct channel *ch, const struct wire_head *m);

#endif
