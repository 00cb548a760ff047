/* hold.h — answers that are kept until the box is ready. */
#ifndef CHANNEL_CLOUDFLARE_HOLD_H
#define CHANNEL_CLOUDFLARE_HOLD_H

#include "channel/cloudflare/cloudflare.h"
#include "conf/conf.h"

/* Call answer() once the box is ready, or has failed to be so, if [channel] hold is this or more;
 * else at once. Takes x->ctx and x->handler while it waits. `kept` (may be NULL) is freed after
 * that, or with the exchange. */
void cf_hold(struct http_exchange *x, enum channel_hold least,
             void (*answer)(struct http_exchange *x, char *kept), char *kept);

#endif
