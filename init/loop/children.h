/* children.h — who to tell when a process ends.
 *
 * We reap everything; most of it are orphans nobody asked about. A registered pid is
 * valid until its `exited` callback is entered and never after: only this module waits,
 * so no pid is reused in between and kill(2) on a registered child cannot hit a stranger.
 *
 * Registered children and the pid that siginfo names are waited for one by one, which
 * costs the same at any number of live children. The sweep for all others does not, so
 * it is rationed (sys/reap.h).
 */
#ifndef LOOP_CHILDREN_H
#define LOOP_CHILDREN_H

#include "loop/loop.h"
#include "sys/reap.h"

struct child {
    pid_t pid; /* 0 when not running */
    void (*exited)(struct child *c, struct exit_info how);
    struct link link;
};

struct children {
    struct loop *loop;
    struct link live;
    struct sweep sweep;
    struct timer later;                  /* when a sweep is owed but not yet due */
    unsigned long orphans;               /* reaped, unregistered; shown by status */
    bool none;                           /* the last sweep found that we have no child at all */
    void (*reaped)(struct children *cs); /* after every reaping; may be NULL */
    bool no_orphans; /* all are registered, or few are not: then one look finds whoever has ended */
    /* One that nobody has registered was reaped; may be NULL. It may call children_reap_one(). */
    void (*orphan)(struct children *cs, struct exit_info how);
};

void children_init(struct children *cs, struct loop *l);
void children_fini(struct children *cs);
void children_add(struct children *cs, struct child *c, pid_t pid);

/* Stop caring: the process is still reaped, as an orphan. Idempotent. */
void children_forget(struct child *c);

/* Is there a registered child of this pid? */
bool children_know(struct children *cs, pid_t pid);

/* Reap this one now if it has ended: whoever is to be told is told. 1; 0 while it lives; -ECHILD
 * when it is no child of ours. */
int children_reap_one(struct children *cs, pid_t pid);

/* Call after SIGCHLD. `hint` is the pid that siginfo names, or 0. */
void children_reap(struct children *cs, pid_t hint);

#endif
