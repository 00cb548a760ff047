#include "loop/loop.h"

#include <errno.h>

#include "base/bug.h"
#include "base/own.h"

int loop_init(struct loop *l, struct sys *sys) {
    *l = (struct loop){ .sys = sys, .epfd = epoll_create1(EPOLL_CLOEXEC) };
    list_init(&l->timers);
    l->now = sys->now(sys);
    return l->epfd < 0 ? -errno : 0;
}

void loop_fini(struct loop *l) { fd_close(&l->epfd); }

int loop_watch(struct loop *l, struct source *s) {
    struct epoll_event ev = { .events = s->want, .data.ptr = s };
    if (epoll_ctl(l->epfd, s->loop ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &ev) < 0)
        return -errno;
    s->loop = l;
    return 0;
}

void loop_unwatch(struct source *s) {
    struct loop *l = s->loop;
    if (!l)
        return;
    (void)epoll_ctl(l->epfd, EPOLL_CTL_DEL, s->fd, NULL);
    s->loop = NULL;
    /* The rest of this turn's batch may still name s, which the caller may now free. */
    for (int i = l->batch_at; i < l->batch_len; i++)
        if (l->batch[i].data.ptr == s)
            l->batch[i].data.ptr = NULL;
}

static struct timer *first_timer(const struct loop *l) {
    return list_empty(&l->timers) ? NULL : CONTAINER_OF(l->timers.next, struct timer, link);
}

/* Most are armed for later than all others, and what is due now is before all others: so the search
 * begins at the back, after a look at the front. Equal times stay in the order of arming. */
void timer_arm(struct loop *l, struct timer *t, span in) {
    timer_stop(t);
    t->at = instant_add(l->now, in);
    if (instant_is_never(t->at))
        return;
    const struct timer *first = first_timer(l);
    struct link *prev = l->timers.prev;
    if (first && instant_before(t->at, first->at))
        prev = &l->timers;
    while (prev != &l->timers && instant_before(t->at, CONTAINER_OF(prev, struct timer, link)->at))
        prev = prev->prev;
    list_insert_before(prev->next, &t->link);
}

void timer_stop(struct timer *t) { list_remove(&t->link); }

static void run_sources(struct loop *l, int n) {
    l->batch_len = n;
    for (l->batch_at = 0; l->batch_at < l->batch_len; l->batch_at++) {
        struct source *s = l->batch[l->batch_at].data.ptr;
        if (s)
            s->ready(s, l->batch[l->batch_at].events);
    }
    l->batch_len = 0;
}

static void run_timers(struct loop *l) {
    struct link due;
    list_init(&due);
    for (struct timer *t; (t = first_timer(l)) && !instant_before(l->now, t->at);) {
        timer_stop(t);
        list_insert_before(&due, &t->link);
    }
    /* Apart, so that what a callback arms for now has to wait for the next turn. */
    while (!list_empty(&due)) {
        struct timer *t = CONTAINER_OF(due.next, struct timer, link);
        timer_stop(t);
        t->fire(t);
    }
}

int loop_turn(struct loop *l) {
    struct timer *t = first_timer(l);
    int timeout = instant_timeout_ms(t ? t->at : INSTANT_NEVER, l->sys->now(l->sys));
    int n = l->sys->wait(l->sys, l->epfd, l->batch, LOOP_BATCH, timeout);
    if (n < 0 && n != -EINTR)
        return n;
    l->now = l->sys->now(l->sys);
    run_sources(l, n < 0 ? 0 : n);
    run_timers(l);
    return 0;
}
