/* box_waits.h — who waits for PID 1: for changes of the box, or for its word on a unit. */
#ifndef CHANNEL_BOX_WAITS_H
#define CHANNEL_BOX_WAITS_H

#include "channel/channel.h"

void box_waits_init(struct channel *ch);

/* Call answer() once the box's seq is above `after`, or after `limit`. False: out of memory. */
bool box_wait_change(struct http_exchange *x, uint64_t after, span limit,
                     void (*answer)(struct http_exchange *x));

/* Be told of every change, until it is removed (list_remove() of its link). */
struct box_observer {
    struct link link;
    void (*changed)(struct box_observer *o);
};
void box_observe(struct channel *ch, struct box_observer *o);

/* Ask PID 1 to start, stop or restart a unit; call answer() with what it says. 0; -EAGAIN: it has
 * MAX_ASKED such requests already; -ENOMEM; -EIO: it does not listen. */
int box_act(struct http_exchange *x, int unit, enum unit_act act,
            void (*answer)(struct http_exchange *x, const struct wire_unit_do *did));

/* PID 1 has said something: pass it on to those who wait. */
void box_changed(struct channel *ch);
void box_did(struct channel *ch, const struct wire_unit_do *did);

#endif
