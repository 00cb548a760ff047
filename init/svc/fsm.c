#include "svc/fsm.h"

#include "base/bug.h"

#define GO(state, acts) \
    { .set = true, .to = (state), .act = (acts) }
#define STAY(state) GO(state, ACT_NONE)

/* clang-format off */
static const struct svc_step table[SVC_NSTATES][SVC_NEVENTS] = {
    [SVC_DOWN] = {
        [EV_WANT_UP]    = GO(SVC_STARTING, ACT_SPAWN | ACT_TELL),
        [EV_WANT_DOWN]  = STAY(SVC_DOWN),
        [EV_PROBE_OK]   = STAY(SVC_DOWN), /* a late answer */
        [EV_PROBE_FAIL] = STAY(SVC_DOWN),
        [EV_TIMER]      = STAY(SVC_DOWN),
        [EV_EXIT_DONE]  = STAY(SVC_DOWN),
        [EV_EXIT_RETRY] = STAY(SVC_DOWN),
        [EV_EXIT_FINAL] = GO(SVC_FAILED, ACT_TELL), /* what it requires has failed */
    },
    [SVC_STARTING] = {
        [EV_WANT_UP]    = STAY(SVC_STARTING),
        [EV_WANT_DOWN]  = GO(SVC_STOPPING, ACT_STOP_PROBE | ACT_TERM | ACT_TELL),
        [EV_PROBE_OK]   = GO(SVC_READY, ACT_STOP_PROBE | ACT_WATCH | ACT_TELL),
        [EV_PROBE_FAIL] = STAY(SVC_STARTING), /* asked again */
        [EV_TIMER]      = GO(SVC_STOPPING, ACT_STOP_PROBE | ACT_TERM | ACT_TELL),
        [EV_EXIT_DONE]  = GO(SVC_DONE, ACT_STOP_PROBE | ACT_KILL | ACT_TELL),
        [EV_EXIT_RETRY] = GO(SVC_BACKOFF, ACT_STOP_PROBE | ACT_KILL | ACT_DELAY | ACT_TELL),
        [EV_EXIT_FINAL] = GO(SVC_FAILED, ACT_STOP_PROBE | ACT_KILL | ACT_TELL),
    },
    [SVC_READY] = {
        [EV_WANT_UP]    = STAY(SVC_READY),
        [EV_WANT_DOWN]  = GO(SVC_STOPPING, ACT_STOP_PROBE | ACT_TERM | ACT_TELL),
        [EV_PROBE_OK]   = STAY(SVC_READY),
        [EV_PROBE_FAIL] = GO(SVC_STOPPING, ACT_STOP_PROBE | ACT_TERM | ACT_TELL),
        [EV_TIMER]      = GO(SVC_READY, ACT_SETTLE),
        [EV_EXIT_DONE]  = GO(SVC_DONE, ACT_STOP_PROBE | ACT_KILL | ACT_TELL),
        [EV_EXIT_RETRY] = GO(SVC_BACKOFF, ACT_STOP_PROBE | ACT_KILL | ACT_DELAY | ACT_TELL),
        [EV_EXIT_FINAL] = GO(SVC_FAILED, ACT_STOP_PROBE | ACT_KILL | ACT_TELL),
    },
    [SVC_BACKOFF] = {
        [EV_WANT_UP]    = GO(SVC_STARTING, ACT_SPAWN | ACT_TELL), /* asked for by hand */
        [EV_WANT_DOWN]  = GO(SVC_DOWN, ACT_TELL),
        [EV_PROBE_OK]   = STAY(SVC_BACKOFF),
        [EV_PROBE_FAIL] = STAY(SVC_BACKOFF),
        [EV_TIMER]      = GO(SVC_STARTING, ACT_SPAWN | ACT_TELL),
        [EV_EXIT_DONE]  = STAY(SVC_BACKOFF),
        [EV_EXIT_RETRY] = STAY(SVC_BACKOFF),
        [EV_EXIT_FINAL] = STAY(SVC_BACKOFF),
    },
    [SVC_STOPPING] = {
        [EV_WANT_UP]    = STAY(SVC_STOPPING), /* the supervisor asks again once it is down */
        [EV_WANT_DOWN]  = STAY(SVC_STOPPING),
        [EV_PROBE_OK]   = STAY(SVC_STOPPING),
        [EV_PROBE_FAIL] = STAY(SVC_STOPPING),
        [EV_TIMER]      = GO(SVC_STOPPING, ACT_KILL),
        [EV_EXIT_DONE]  = GO(SVC_DOWN, ACT_TELL),
        [EV_EXIT_RETRY] = GO(SVC_BACKOFF, ACT_DELAY | ACT_TELL),
        [EV_EXIT_FINAL] = GO(SVC_FAILED, ACT_TELL),
    },
    [SVC_FAILED] = {
        [EV_WANT_UP]    = GO(SVC_STARTING, ACT_SPAWN | ACT_TELL),
        [EV_WANT_DOWN]  = GO(SVC_DOWN, ACT_TELL),
        [EV_PROBE_OK]   = STAY(SVC_FAILED),
        [EV_PROBE_FAIL] = STAY(SVC_FAILED),
        [EV_TIMER]      = STAY(SVC_FAILED),
        [EV_EXIT_DONE]  = STAY(SVC_FAILED),
        [EV_EXIT_RETRY] = STAY(SVC_FAILED),
        [EV_EXIT_FINAL] = STAY(SVC_FAILED),
    },
    [SVC_DONE] = {
        [EV_WANT_UP]    = GO(SVC_STARTING, ACT_SPAWN | ACT_TELL),
        [EV_WANT_DOWN]  = GO(SVC_DOWN, ACT_TELL),
        [EV_PROBE_OK]   = STAY(SVC_DONE),
        [EV_PROBE_FAIL] = STAY(SVC_DONE),
        [EV_TIMER]      = STAY(SVC_DONE),
        [EV_EXIT_DONE]  = STAY(SVC_DONE),
        [EV_EXIT_RETRY] = STAY(SVC_DONE),
        [EV_EXIT_FINAL] = STAY(SVC_DONE),
    },
};
/* clang-format on */

struct svc_step svc_next(enum svc_state state, enum svc_event event) {
    if (BUG_ON((unsigned)state >= SVC_NSTATES || (unsigned)event >= SVC_NEVENTS))
        return (struct svc_step)STAY(state);
    return table[state][event];
}

#define FSM_NAME(id, name) [id] = name,
static const char *const state_names[SVC_NSTATES] = { SVC_STATES(FSM_NAME) };
static const char *const event_names[SVC_NEVENTS] = { SVC_EVENTS(FSM_NAME) };
#undef FSM_NAME

const char *svc_state_name(enum svc_state s) {
    return (unsigned)s < SVC_NSTATES ? state_names[s] : "unknown";
}

const char *svc_event_name(enum svc_event e) {
    return (unsigned)e < SVC_NEVENTS ? event_names[e] : "unknown";
}

bool svc_state_runs(enum svc_state s) {
    return s == SVC_STARTING || s == SVC_READY || s == SVC_STOPPING;
}

enum svc_event svc_classify_exit(const struct svc_conf *conf, const struct svc_exit_facts *f) {
    if (!f->wanted)
        return EV_EXIT_DONE;
    if (f->clean && (conf->oneshot || conf->restart != RESTART_ALWAYS))
        return EV_EXIT_DONE;
    if (conf->restart == RESTART_NEVER || f->hopeless)
        return EV_EXIT_FINAL;
    bool exhausted = conf->max_restarts > 0 && f->failures > conf->max_restarts;
    return exhausted ? EV_EXIT_FINAL : EV_EXIT_RETRY;
}

span svc_backoff(const struct svc_conf *conf, unsigned failures, uint32_t random) {
    int64_t ns = conf->backoff.from.ns;
    for (unsigned i = 1; i < failures && ns < conf->backoff.to.ns; i++)
        ns = ns > conf->backoff.to.ns / 2 ? conf->backoff.to.ns : ns * 2;
    return (span){ ns - ns / 10 * (int64_t)(random % 1024) / 1024 };
}
