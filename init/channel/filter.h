/* filter.h — a fork between two pipes: what comes through one goes, changed, into the other. For
 * what takes more of the processor than the channel's loop has to give.
 */
#ifndef CHANNEL_FILTER_H
#define CHANNEL_FILTER_H

#include "channel/channel.h"

/* What the fork runs: from `in` to `out`, both blocking. Its exit status, below 255. */
typedef int filter_run(int in, int out);

struct filter {
    void (*ended)(struct filter *f); /* f->status says how; set by the owner before */
    int status;                      /* of the fork; 255: it was killed */
    /* private */
    struct child child;
};

/* Begin. `in` and `out` are made blocking and stay the caller's, to be closed here: the fork has
 * its own. 0 or -errno. */
int filter_begin(struct channel *ch, struct filter *f, const char *title, filter_run *run, int in,
                 int out);
/* Is it at work? */
static inline bool filter_runs(const struct filter *f) { return f->child.pid != 0; }
/* End it, and forget it: no callback comes. Idempotent; the zero value will do. */
void filter_stop(struct filter *f);

#endif
