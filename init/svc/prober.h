/* prober.h — ask a probe again and again, one fork a question.
 *
 * An attempt answers by its exit status; a line of reason comes back over a pipe. log and
 * notify probes have no attempts: what the service says arrives through prober_said().
 */
#ifndef SVC_PROBER_H
#define SVC_PROBER_H

#include "loop/children.h"
#include "probes/probe.h"

struct prober {
    struct loop *loop;
    struct children *children;
    const char *name;                           /* of the unit; borrowed */
    void (*answer)(struct prober *p, bool yes); /* may stop or restart the prober */

    struct rlimit nofile; /* of attempts, which run programs; 0: as it is */

    const struct probe_spec *spec; /* NULL while stopped; borrowed */
    span every, timeout;
    struct child attempt;
    struct timer timer; /* between attempts; during one: its hard end */
    int reason_fd;      /* read end; -1 */
    instant deadline;   /* of the attempt that runs */
    unsigned failures;  /* in a row */
    unsigned long asked;
    char reason[MAX_PROBE_REASON]; /* of the last no */
};

void prober_init(struct prober *p, struct loop *l, struct children *cs, const char *name);

/* Ask now, then `every` after each answer; each attempt may take `timeout`. */
void prober_start(struct prober *p, const struct probe_spec *spec, span every, span timeout);
void prober_stop(struct prober *p); /* idempotent; kills a running attempt */

/* The service has said what a log or notify probe waits for. READY=1 is a hint to all others:
 * they ask at once. */
void prober_said(struct prober *p, enum probe_kind kind);

#endif
