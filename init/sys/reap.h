/* reap.h — when to look for ended children that no SIGCHLD named. PURE.
 *
 * waitpid(-1) walks every child, so with thousands alive one look costs a good part of
 * a millisecond, while waitpid(pid) costs the same at any number. siginfo names one
 * pid: reap that one at once. But SIGCHLDs coalesce (signal(7)), so what a SIGCHLD did
 * not name has to be looked for too. This decides when, so that the search never takes
 * more than about 1/SWEEP_SHARE of the time, and is always made in the end:
 *
 *     on SIGCHLD:   reap(named); sweep_owe(&s);
 *     each turn:    if (sweep_due(&s, now))
 *                       reap -1 up to SWEEP_BATCH times; sweep_spent(&s, ...);
 *     wait until:   sweep_when(&s)
 *
 * The zero value is ready for use. Nothing owed means no timer: idle costs nothing.
 */
#ifndef SYS_REAP_H
#define SYS_REAP_H

#include <stdbool.h>

#include "base/time.h"

struct sweep {
    instant next; /* not before this */
    bool owed;    /* a SIGCHLD came since the last complete sweep */
};

/* A SIGCHLD was received. Call it before, never after, the sweep that answers it. */
static inline void sweep_owe(struct sweep *s) { s->owed = true; }

/* Sweep now? */
bool sweep_due(const struct sweep *s, instant now);

/* When to come back although no signal has come; INSTANT_NEVER when nothing is owed. */
instant sweep_when(const struct sweep *s);

/* `calls` of waitpid(-1) were made between `from` and `to`. `dry`: the last one found
 * nobody, so the debt is paid; otherwise the batch was full and the rest is due at once
 * (after the signals that wait meanwhile). */
void sweep_spent(struct sweep *s, instant from, instant to, unsigned calls, bool dry);

#endif
