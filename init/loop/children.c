#include "loop/children.h"

#include <errno.h>

#include "base/bug.h"
#include "base/limits.h"

static void reap_all(struct children *cs);

static void later_fired(struct timer *t) { reap_all(CONTAINER_OF(t, struct children, later)); }

void children_init(struct children *cs, struct loop *l) {
    *cs = (struct children){ .loop = l, .later.fire = later_fired };
    list_init(&cs->live);
}

void children_fini(struct children *cs) { timer_stop(&cs->later); }

void children_add(struct children *cs, struct child *c, pid_t pid) {
    if (BUG_ON(c->pid != 0 || pid <= 0))
        return;
    c->pid = pid;
    cs->none = false;
    list_insert_before(&cs->live, &c->link);
}

void children_forget(struct child *c) {
    list_remove(&c->link);
    c->pid = 0;
}

static struct child *child_find(struct children *cs, pid_t pid) {
    for (struct link *l = cs->live.next; l != &cs->live; l = l->next)
        if (CONTAINER_OF(l, struct child, link)->pid == pid)
            return CONTAINER_OF(l, struct child, link);
    return NULL;
}

static void buried(struct children *cs, struct exit_info how) {
    struct child *c = child_find(cs, how.pid);
    if (!c) {
        cs->orphans++;
        if (cs->orphan)
            cs->orphan(cs, how);
        return;
    }
    children_forget(c); /* before the callback, which may respawn or free c */
    c->exited(c, how);
}

int children_reap_one(struct children *cs, pid_t pid) {
    struct sys *sys = cs->loop->sys;
    struct exit_info how;
    int rc = sys->reap(sys, pid, &how);
    if (rc > 0)
        buried(cs, how);
    if (pid == -1)
        cs->none = rc == -ECHILD;
    return rc;
}

bool children_know(struct children *cs, pid_t pid) { return child_find(cs, pid) != NULL; }

/* A callback may change the list, so after each burial the walk starts anew. It ends, for each
 * burial is of a child that has ended, and what a callback starts does not end at once. */
static void reap_known(struct children *cs) {
    for (struct link *l = cs->live.next; l != &cs->live;) {
        pid_t pid = CONTAINER_OF(l, struct child, link)->pid;
        l = children_reap_one(cs, pid) > 0 ? cs->live.next : l->next;
    }
}

static void reap_all(struct children *cs) {
    struct sys *sys = cs->loop->sys;
    instant from = sys->now(sys);
    if (sweep_due(&cs->sweep, from)) {
        unsigned calls = 0;
        bool dry = false;
        while (!dry && calls < SWEEP_BATCH) {
            dry = children_reap_one(cs, -1) <= 0;
            calls++;
        }
        sweep_spent(&cs->sweep, from, sys->now(sys), calls, dry);
    }
    instant next = sweep_when(&cs->sweep);
    if (instant_is_never(next))
        timer_stop(&cs->later);
    else
        timer_arm(cs->loop, &cs->later, instant_since(next, cs->loop->now));
    if (cs->reaped)
        cs->reaped(cs);
}

void children_reap(struct children *cs, pid_t hint) {
    if (hint > 0)
        (void)children_reap_one(cs, hint);
    if (cs->no_orphans) {
        while (children_reap_one(cs, -1) > 0)
            ;
        if (cs->reaped)
            cs->reaped(cs);
        return;
    }
    reap_known(cs);
    sweep_owe(&cs->sweep);
    reap_all(cs);
}
