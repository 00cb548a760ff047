#include "channel/box_waits.h"

#include <errno.h>
#include <stdlib.h>

struct wait {
    struct link link;
    struct http_exchange *x;
    struct timer limit;
    uint64_t after; /* or the ticket */
    void (*changed)(struct http_exchange *x);
    void (*did)(struct http_exchange *x, const struct wire_unit_do *did);
};

void box_waits_init(struct channel *ch) {
    list_init(&ch->box_observers);
    list_init(&ch->status_waits);
    list_init(&ch->unit_waits);
}

static void wait_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct wait *w = x->ctx;
    list_remove(&w->link);
    timer_stop(&w->limit);
    free(w);
}

static const struct http_handler wait_handler = { .over = wait_over };

static void change(struct wait *w) {
    list_remove(&w->link);
    timer_stop(&w->limit);
    w->changed(w->x);
}

static void limit_over(struct timer *t) { change(CONTAINER_OF(t, struct wait, limit)); }

static struct wait *wait_new(struct http_exchange *x, struct link *list) {
    struct wait *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->x = x;
    w->limit.fire = limit_over;
    list_insert_before(list, &w->link);
    x->ctx = w;
    x->handler = &wait_handler;
    return w;
}

bool box_wait_change(struct http_exchange *x, uint64_t after, span limit,
                     void (*answer)(struct http_exchange *x)) {
    struct channel *ch = channel_of(x);
    struct wait *w = wait_new(x, &ch->status_waits);
    if (!w)
        return false;
    w->after = after;
    w->changed = answer;
    timer_arm(&ch->loop, &w->limit, limit);
    return true;
}

int box_act(struct http_exchange *x, int unit, enum unit_act act,
            void (*answer)(struct http_exchange *x, const struct wire_unit_do *did)) {
    struct channel *ch = channel_of(x);
    struct wire_unit_do m = { .head = WIRE_HEAD(WIRE_UNIT_DO, struct wire_unit_do),
                              .ticket = ++ch->ticket,
                              .unit = unit,
                              .act = (int32_t)act };
    if (ch->asked >= MAX_ASKED)
        return -EAGAIN;
    struct wait *w = wait_new(x, &ch->unit_waits);
    if (!w)
        return -ENOMEM;
    w->after = m.ticket;
    w->did = answer;
    if (!channel_tell(ch, &m.head))
        return -EIO;
    ch->asked++;
    return 0;
}

void box_observe(struct channel *ch, struct box_observer *o) {
    list_insert_before(&ch->box_observers, &o->link);
}

void box_changed(struct channel *ch) {
    for (struct link *l = ch->box_observers.next, *next; l != &ch->box_observers; l = next) {
        struct box_observer *o = CONTAINER_OF(l, struct box_observer, link);
        next = l->next; /* it may remove itself, but no other */
        o->changed(o);
    }
    for (struct link *l = ch->status_waits.next, *next; l != &ch->status_waits; l = next) {
        struct wait *w = CONTAINER_OF(l, struct wait, link);
        next = l->next;
        if (ch->mirror.box.seq > w->after)
            change(w);
    }
}

void box_did(struct channel *ch, const struct wire_unit_do *did) {
    ch->asked -= ch->asked > 0;
    for (struct link *l = ch->unit_waits.next; l != &ch->unit_waits; l = l->next) {
        struct wait *w = CONTAINER_OF(l, struct wait, link);
        if (w->after != did->ticket)
            continue;
        list_remove(&w->link);
        w->did(w->x, did);
        return;
    }
}
