/* fsm.h — what a service does next. Pure: no clock, no system call, no state.
 *
 *     struct svc_step step = svc_next(s->state, EV_EXIT_RETRY);
 *
 * The caller (supervisor.c) stores step.to, then carries out step.act. Conditions stay
 * out of the table: svc_classify_exit() turns an exit into one of three events.
 */
#ifndef SVC_FSM_H
#define SVC_FSM_H

#include <stdbool.h>

#include "conf/conf.h"

/* One line per state: enumerator, name in status and logs. */
#define SVC_STATES(X)                                                                \
    X(SVC_DOWN, "down")         /* not running, not wanted, or waiting for others */ \
    X(SVC_STARTING, "starting") /* the process exists, its probe has not passed */   \
    X(SVC_READY, "ready")       /* the probe has passed */                           \
    X(SVC_BACKOFF, "backoff")   /* it ended; waiting before the next try */          \
    X(SVC_STOPPING, "stopping") /* asked to end; some of it still runs */            \
    X(SVC_FAILED, "failed")     /* given up; the reason is kept */                   \
    X(SVC_DONE, "done")         /* it ended well and is not to be started again */

#define SVC_EVENTS(X)                                                                            \
    X(EV_WANT_UP, "want-up")                                                                     \
    X(EV_WANT_DOWN, "want-down")                                                                 \
    X(EV_PROBE_OK, "probe-ok")                                                                   \
    X(EV_PROBE_FAIL, "probe-fail") /* alive-threshold failures in a row */                       \
    X(EV_TIMER, "timer") /* starting: too slow; ready: settled; backoff: over; stopping: kill */ \
    X(EV_EXIT_DONE, "exit-done")   /* ended as its policy allows */                              \
    X(EV_EXIT_RETRY, "exit-retry") /* ended; the policy says try again */                        \
    X(EV_EXIT_FINAL, "exit-final") /* ended, or cannot start; no more tries */

#define FSM_ENUMERATOR(id, name) id,
enum svc_state { SVC_STATES(FSM_ENUMERATOR) SVC_NSTATES };
enum svc_event { SVC_EVENTS(FSM_ENUMERATOR) SVC_NEVENTS };
#undef FSM_ENUMERATOR

/* Bits, carried out in this order. */
enum svc_act {
    ACT_NONE = 0,
    ACT_STOP_PROBE = 1 << 0,
    ACT_TERM = 1 << 1,   /* stop signal to the group; arm the kill delay */
    ACT_KILL = 1 << 2,   /* SIGKILL to the group and the cgroup */
    ACT_DELAY = 1 << 3,  /* arm the backoff timer */
    ACT_SPAWN = 1 << 4,  /* start the process, its probe and the start deadline */
    ACT_WATCH = 1 << 5,  /* start the liveness probe; arm the settle timer */
    ACT_SETTLE = 1 << 6, /* forget past failures */
    ACT_TELL = 1 << 7,   /* tell dependants and the box */
};

struct svc_step {
    bool set; /* false only in a cell that nobody filled in: a unit test forbids it */
    enum svc_state to;
    unsigned act;
};

struct svc_step svc_next(enum svc_state state, enum svc_event event);
const char *svc_state_name(enum svc_state s);
const char *svc_event_name(enum svc_event e);

/* Does something run in this state? */
bool svc_state_runs(enum svc_state s);

/* An exit (or a start that failed) as an event. `failures` counts those in a row, this
 * one included; `wanted` is false when it was told to stop. */
struct svc_exit_facts {
    bool wanted;   /* it was not asked to end by want-down */
    bool clean;    /* exited 0, and nobody had found it dead or too slow */
    bool hopeless; /* could not be executed in a way that time does not heal */
    unsigned failures;
};
enum svc_event svc_classify_exit(const struct svc_conf *conf, const struct svc_exit_facts *f);

/* The pause before try number `failures`: doubles from conf->backoff.from up to .to, less
 * up to a tenth chosen by `random`. */
span svc_backoff(const struct svc_conf *conf, unsigned failures, uint32_t random);

#endif
