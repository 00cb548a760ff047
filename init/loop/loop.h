/* loop.h — one epoll set, one timer list, no threads, no allocation.
 *
 * A `source` or `timer` is a member of what owns it; its callback finds the owner with
 * CONTAINER_OF. A callback may remove or free any source or timer, its own included.
 * The loop owns no fd: it watches, the owner closes, after loop_unwatch().
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include <stdint.h>
#include <sys/epoll.h>

#include "base/list.h"
#include "base/time.h"
#include "sys/sys.h"

struct loop;

struct source {
    int fd;
    uint32_t want;                                 /* EPOLLIN | EPOLLOUT | EPOLLET */
    void (*ready)(struct source *s, uint32_t got); /* EPOLLHUP and EPOLLERR come unasked */
    struct loop *loop;                             /* NULL while not watched */
};

struct timer {
    void (*fire)(struct timer *t);
    instant at;
    struct link link;
};

enum { LOOP_BATCH = 64 };

struct loop {
    struct sys *sys;
    int epfd;
    instant now;        /* one reading per turn; callbacks use this */
    struct link timers; /* earliest first */
    struct epoll_event batch[LOOP_BATCH];
    int batch_at, batch_len;
};

int loop_init(struct loop *l, struct sys *sys); /* 0 or -errno */
void loop_fini(struct loop *l);

/* Watch s->fd, or change what is watched: set s->want and call again. 0 or -errno. */
int loop_watch(struct loop *l, struct source *s);
void loop_unwatch(struct source *s); /* idempotent */

/* (Re)arm: fires once, in the first turn at or after now + `in`; `in` may be SPAN_NEVER. */
void timer_arm(struct loop *l, struct timer *t, span in);
void timer_stop(struct timer *t); /* idempotent */
static inline bool timer_armed(const struct timer *t) { return t->link.next != NULL; }

/* Wait for events or the earliest timer, then run their callbacks. 0 or -errno. */
int loop_turn(struct loop *l);

#endif
