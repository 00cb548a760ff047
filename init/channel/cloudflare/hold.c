#include "channel/cloudflare/hold.h"

#include <stdlib.h>

#include "channel/box_waits.h"
#include "channel/gate.h"
#include "svc/fsm.h"

enum { HOLD_S = 600 }; /* at most: longer than any client waits */

struct hold {
    struct box_observer observer;
    struct http_exchange *x;
    struct timer limit;
    void (*answer)(struct http_exchange *x, char *kept);
    char *kept; /* owned */
};

/* A unit that has failed for good, so that the box may never be ready: then it is no use to wait.
 */
static bool has_failed(const struct mirror *m) {
    for (size_t i = 0; i < m->nunits; i++)
        if (m->units[i].state == SVC_FAILED)
            return true;
    return false;
}

static bool is_starting(const struct channel *ch) {
    const struct mirror *m = &ch->mirror;
    return !m->box.ready && m->box.phase < PHASE_SERVE && !has_failed(m);
}

static void release(struct hold *h) {
    list_remove(&h->observer.link);
    timer_stop(&h->limit);
}

static void hold_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct hold *h = x->ctx;
    release(h);
    free(h->kept);
    free(h);
}

static const struct http_handler hold_handler = { .over = hold_over };

static void give(struct hold *h) {
    release(h);
    h->answer(h->x, h->kept);
}

static void box_did_change(struct box_observer *o) {
    struct hold *h = CONTAINER_OF(o, struct hold, observer);
    if (!is_starting(channel_of(h->x)))
        give(h);
}

static void limit_over(struct timer *t) { give(CONTAINER_OF(t, struct hold, limit)); }

void cf_hold(struct http_exchange *x, enum channel_hold least,
             void (*answer)(struct http_exchange *x, char *kept), char *kept) {
    struct channel *ch = channel_of(x);
    int hold = CONTAINER_OF(x->site, struct gate, site)->conf->hold;
    bool held = hold == HOLD_ALL || (hold == HOLD_SESSIONS && least == HOLD_SESSIONS);
    struct hold *h = held && is_starting(ch) ? calloc(1, sizeof *h) : NULL;
    if (!h) {
        answer(x, kept);
        free(kept);
        return;
    }
    *h = (struct hold){ .observer.changed = box_did_change,
                        .x = x,
                        .limit.fire = limit_over,
                        .answer = answer,
                        .kept = kept };
    x->ctx = h;
    x->handler = &hold_handler;
    box_observe(ch, &h->observer);
    timer_arm(&ch->loop, &h->limit, span_s(HOLD_S));
}
