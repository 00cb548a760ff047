#include "channel/cloudflare/hold.h"

#include <stdlib.h>

#include "channel/gate.h"
#include "svc/fsm.h"

enum { HOLD_S = 600 }; /* at most: longer than any client waits */

/* --- waiting ---------------------------------------------------------------------------------- */

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

void cf_wait_stop(struct cf_wait *w) {
    list_remove(&w->observer.link);
    timer_stop(&w->limit);
}

static void over(struct cf_wait *w) {
    cf_wait_stop(w);
    w->ready(w);
}

static void box_did_change(struct box_observer *o) {
    struct cf_wait *w = CONTAINER_OF(o, struct cf_wait, observer);
    if (!is_starting(w->channel))
        over(w);
}

static void limit_over(struct timer *t) { over(CONTAINER_OF(t, struct cf_wait, limit)); }

bool cf_wait_begin(struct cf_wait *w, const struct http_exchange *x, enum channel_hold least) {
    struct channel *ch = channel_of(x);
    int hold = CONTAINER_OF(x->site, struct gate, site)->conf->hold;
    bool held = hold == HOLD_ALL || (hold == HOLD_SESSIONS && least == HOLD_SESSIONS);
    if (!held || !is_starting(ch))
        return false;
    w->channel = ch;
    w->observer.changed = box_did_change;
    w->limit.fire = limit_over;
    box_observe(ch, &w->observer);
    timer_arm(&ch->loop, &w->limit, span_s(HOLD_S));
    return true;
}

/* --- answers ---------------------------------------------------------------------------------- */

struct hold {
    struct cf_wait wait;
    struct http_exchange *x;
    void (*answer)(struct http_exchange *x, char *kept);
    char *kept; /* owned */
};

static void hold_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct hold *h = x->ctx;
    cf_wait_stop(&h->wait);
    free(h->kept);
    free(h);
}

static const struct http_handler hold_handler = { .over = hold_over };

static void give(struct cf_wait *w) {
    struct hold *h = CONTAINER_OF(w, struct hold, wait);
    h->answer(h->x, h->kept);
}

void cf_hold(struct http_exchange *x, enum channel_hold least,
             void (*answer)(struct http_exchange *x, char *kept), char *kept) {
    struct hold *h = calloc(1, sizeof *h);
    if (h)
        *h = (struct hold){ .wait.ready = give, .x = x, .answer = answer, .kept = kept };
    if (!h || !cf_wait_begin(&h->wait, x, least)) {
        free(h);
        answer(x, kept);
        free(kept);
        return;
    }
    x->ctx = h;
    x->handler = &hold_handler;
}
