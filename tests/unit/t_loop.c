#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "tests/unit/tap.h"

/* A clock that moves only while the loop waits: by exactly what it asked for. */
static struct {
    int64_t now_ns, late_ns;
    int waits, last_timeout, fail;
} clock_;

static instant fake_now(struct sys *s) {
    (void)s;
    return (instant){ clock_.now_ns };
}

static int fake_wait(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms) {
    (void)s;
    clock_.waits++;
    clock_.last_timeout = timeout_ms;
    if (clock_.fail)
        return clock_.fail;
    int n = epoll_wait(epfd, evs, max, 0);
    if (n == 0 && timeout_ms > 0)
        clock_.now_ns += (int64_t)timeout_ms * 1000000 + clock_.late_ns;
    return n;
}

static struct sys sys = { .now = fake_now, .wait = fake_wait };
static struct loop loop;

/* --- timers ----------------------------------------------------------------------------- */

struct shot {
    struct timer timer;
    int fired, order;
    int64_t at_ns;
    struct shot *victim; /* stopped by it */
    span again;          /* armed anew by it, if not 0 */
    bool rearm;
};
static int shots;

static void fire(struct timer *t) {
    struct shot *s = CONTAINER_OF(t, struct shot, timer);
    s->fired++;
    s->order = ++shots;
    s->at_ns = clock_.now_ns;
    if (s->victim)
        timer_stop(&s->victim->timer);
    if (s->rearm)
        timer_arm(&loop, t, s->again);
}

static struct shot *shot(span in) {
    struct shot *s = calloc(1, sizeof *s);
    s->timer.fire = fire;
    timer_arm(&loop, &s->timer, in);
    return s;
}

static void timers_are_exact(void) {
    struct shot *c = shot(span_ms(30)), *a = shot(span_ms(10)), *b = shot(span_us(10001)),
                *d = shot(span_ms(30)), *never = shot(SPAN_NEVER);
    int64_t from = clock_.now_ns;
    OK(!timer_armed(&never->timer) && timer_armed(&a->timer), "for ever is not armed");
    (void)loop_turn(&loop);
    OK(a->fired == 1 && !b->fired && a->at_ns == from + 10000000, "10 ms: at 10 ms");
    OK(!timer_armed(&a->timer), "it fires once");
    (void)loop_turn(&loop);
    OK(b->fired == 1 && !c->fired && b->at_ns == from + 11000000, "10.001 ms: at 11, not at 10");
    (void)loop_turn(&loop);
    OK(c->fired == 1 && d->fired == 1 && c->order < d->order && c->at_ns == from + 30000000,
       "equal times fire in the order of arming, in one turn");
    (void)loop_turn(&loop);
    OK(clock_.last_timeout == -1, "no timer: wait without limit");
    timer_arm(&loop, &a->timer, span_ms(5));
    timer_arm(&loop, &a->timer, span_ms(50));
    (void)loop_turn(&loop);
    OK(a->fired == 2 && a->at_ns == from + 80000000, "armed twice: only the last counts");
    timer_arm(&loop, &a->timer, span_ms(5));
    timer_arm(&loop, &a->timer, SPAN_NEVER);
    OK(!timer_armed(&a->timer), "armed for ever: stopped");
    timer_arm(&loop, &a->timer, span_ms(-5));
    (void)loop_turn(&loop);
    OK(a->fired == 3 && clock_.last_timeout == 0, "a time that is past: at once");
    free(a), free(b), free(c), free(d), free(never);
}

static void timers_remove_each_other(void) {
    for (int order = 0; order < 2; order++) {
        struct shot *a = shot(span_ms(1)), *b = shot(span_ms(1)), *c = shot(span_ms(1));
        *(order ? &c->victim : &a->victim) = b;
        a->victim = order ? a : b; /* itself: is stopped already */
        (void)loop_turn(&loop);
        OK(a->fired == 1 && c->fired == 1 && b->fired == order, "a later one is stopped: %d",
           !order);
        free(a), free(b), free(c);
    }
    OK(list_empty(&loop.timers), "none is left");
}

static void rearming_does_not_starve(void) {
    struct shot *a = shot(span_ms(1)), *b = shot(span_ms(1));
    a->rearm = true;
    (void)alarm(10); /* would end us */
    (void)loop_turn(&loop);
    OK(a->fired == 1 && b->fired == 1 && timer_armed(&a->timer), "armed anew for now: next turn");
    (void)loop_turn(&loop);
    OK(a->fired == 2 && clock_.last_timeout == 0, "which comes at once");
    (void)alarm(0);
    timer_stop(&a->timer);
    timer_stop(&a->timer);
    free(a), free(b);
}

static void a_late_wait_fires_all(void) {
    struct shot *a = shot(span_ms(1)), *b = shot(span_ms(2)), *c = shot(span_ms(300));
    clock_.late_ns = 5000000;
    (void)loop_turn(&loop);
    clock_.late_ns = 0;
    OK(a->fired && b->fired && a->order < b->order && !c->fired,
       "all that are due, earliest first");
    timer_stop(&c->timer);
    free(a), free(b), free(c);
}

/* --- sources ------------------------------------------------------------------------------ */

enum { NSOURCES = 5 };
static struct end {
    struct source s;
    int wr, hits, kill; /* kill: index of the source to unwatch and spoil, or -1 */
    uint32_t got;
} * ends[NSOURCES];
static int order[NSOURCES], hits;

static void spoil(int i) {
    loop_unwatch(&ends[i]->s);
    fd_close(&ends[i]->s.fd);
    fd_close(&ends[i]->wr);
    free(ends[i]);
    ends[i] = NULL;
}

static void on_ready(struct source *s, uint32_t got) {
    struct end *e = CONTAINER_OF(s, struct end, s);
    e->hits++;
    e->got = got;
    char c;
    (void)!read(s->fd, &c, 1);
    if (hits < NSOURCES)
        for (int i = 0; i < NSOURCES; i++)
            if (ends[i] == e)
                order[hits] = i;
    hits++;
    if (e->kill >= 0 && ends[e->kill])
        spoil(e->kill); /* may free e itself */
}

static void make_ends(void) {
    hits = 0;
    for (int i = 0; i < NSOURCES; i++) {
        int p[2];
        ends[i] = calloc(1, sizeof *ends[i]);
        (void)!pipe2(p, O_CLOEXEC | O_NONBLOCK);
        *ends[i] = (struct end){ .s = { .fd = p[0], .want = EPOLLIN, .ready = on_ready },
                                 .wr = p[1],
                                 .kill = -1 };
        (void)loop_watch(&loop, &ends[i]->s);
        (void)!write(p[1], "x", 1);
    }
}

static void end_ends(void) {
    for (int i = 0; i < NSOURCES; i++)
        if (ends[i])
            spoil(i);
}

/* Any of five ready sources frees any of them, itself included, when it is the first. */
static void any_frees_any(void) {
    make_ends();
    (void)loop_turn(&loop);
    int first = order[0];
    OK(hits == NSOURCES, "all that are ready are called in one turn");
    end_ends();
    for (int victim = 0; victim < NSOURCES; victim++) {
        make_ends();
        ends[first]->kill = victim;
        (void)loop_turn(&loop);
        bool once = hits == (victim == first ? NSOURCES : NSOURCES - 1);
        for (int i = 0; i < NSOURCES; i++)
            once = once && (!ends[i] || ends[i]->hits == 1);
        OK(once, "the first of %d frees %d: it is called no more, the others are", first, victim);
        end_ends();
    }
}

static void watches_what_is_wanted(void) {
    make_ends();
    struct end *e = ends[0];
    struct source out = { .fd = e->wr, .want = EPOLLOUT, .ready = on_ready };
    for (int i = 1; i < NSOURCES; i++)
        spoil(i);
    e->s.want = 0;
    OK(loop_watch(&loop, &e->s) == 0, "watched for nothing");
    (void)loop_turn(&loop);
    OK(e->hits == 0, "it is not called");
    e->s.want = EPOLLIN;
    OK(loop_watch(&loop, &e->s) == 0 && loop_turn(&loop) == 0 && e->hits == 1, "changed: called");
    fd_close(&e->wr);
    (void)loop_turn(&loop);
    OK(e->hits == 2 && (e->got & EPOLLHUP), "a hang-up comes unasked");
    loop_unwatch(&e->s);
    loop_unwatch(&e->s);
    (void)loop_turn(&loop);
    OK(e->hits == 2 && !e->s.loop, "unwatched, twice");
    out.fd = -1;
    OK(loop_watch(&loop, &out) == -EBADF && !out.loop, "no descriptor");
    out.fd = open("/", O_RDONLY | O_CLOEXEC);
    OK(loop_watch(&loop, &out) == -EPERM && !out.loop, "one that epoll refuses");
    fd_close(&out.fd);
    end_ends();
}

static void survives_errors(void) {
    clock_.fail = -EINTR;
    struct shot *a = shot(span_ms(0));
    OK(loop_turn(&loop) == 0 && a->fired == 1, "an interrupted wait is a turn");
    clock_.fail = -EBADF;
    OK(loop_turn(&loop) == -EBADF, "another error is told");
    clock_.fail = 0;
    free(a);
}

int main(void) {
    clock_.now_ns = 1000000000;
    OK(loop_init(&loop, &sys) == 0 && loop.now.ns == 1000000000, "a loop");
    timers_are_exact();
    timers_remove_each_other();
    rearming_does_not_starve();
    a_late_wait_fires_all();
    any_frees_any();
    watches_what_is_wanted();
    survives_errors();
    loop_fini(&loop);
    loop_fini(&loop);
    return tap_end();
}
