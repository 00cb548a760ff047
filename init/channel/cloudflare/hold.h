/* hold.h — what waits until the box is ready, or has failed to be so. */
#ifndef CHANNEL_CLOUDFLARE_HOLD_H
#define CHANNEL_CLOUDFLARE_HOLD_H

#include "channel/box_waits.h"
#include "channel/cloudflare/cloudflare.h"
#include "conf/conf.h"

struct cf_wait {
    void (*ready)(struct cf_wait *w); /* called once, from the loop */
    /* private */
    struct channel *channel;
    struct box_observer observer;
    struct timer limit;
};
/* Has x to wait, if [channel] hold is this or more? Then ready() will come. */
bool cf_wait_begin(struct cf_wait *w, const struct http_exchange *x, enum channel_hold least);
void cf_wait_stop(struct cf_wait *w); /* idempotent, also of one that is zeroed */

/* Call answer() then, or at once. Takes x->ctx and x->handler while it waits. `kept` (may be NULL)
 * is freed after that, or with the exchange. */
void cf_hold(struct http_exchange *x, enum channel_hold least,
             void (*answer)(struct http_exchange *x, char *kept), char *kept);

#endif
