/* supervisor.h — carries out what the service table decides.
 *
 *     supervisor_init(&sup, &loop, &children, ...);
 *     supervisor_up(&sup);                       // want everything up
 *     for (;;) { loop_turn(&loop); supervisor_settle(&sup); }
 *
 * Callbacks only record events; supervisor_settle() then starts what may start, stops
 * what may stop and passes failures on, so nothing here calls itself in circles.
 */
#ifndef SVC_SUPERVISOR_H
#define SVC_SUPERVISOR_H

#include "svc/fsm.h"
#include "svc/plan.h"
#include "svc/prober.h"

enum svc_kind { SVC_KIND_SERVICE, SVC_KIND_ENGINE, SVC_KIND_MAIN };

struct svc {
    const struct svc_conf *conf;
    struct supervisor *sup;
    enum svc_kind kind;
    /* Set by the box before the first start. */
    const char *const *argv;       /* borrowed; NULL: conf->command */
    int stdio[3];                  /* -1: inherit; borrowed */
    const char *notify_path;       /* its NOTIFY_SOCKET, or NULL; borrowed */
    int cgroup_fd;                 /* -1; borrowed */
    bool hold;                     /* not to be started yet */
    bool impatient;                /* to be started whatever becomes of those before it */
    int (*before_stop)(void *svc); /* runs in a fork before the stop signal; may be NULL */

    enum svc_state state;
    bool want_up;                     /* derived: see wishes.c, as `parked` is */
    bool stopped;                     /* by request; until it is asked to start */
    bool again;                       /* stopped only until it is gone: a restart */
    bool parked;                      /* it, or what it requires, is stopped: not needed */
    bool found_dead;                  /* stopped because a probe or the start deadline said so */
    bool let_go;                      /* asked to end because it was not wanted */
    bool executed;                    /* exec has succeeded once */
    struct exec_failure exec_failure; /* of the present start; code 0: none */
    struct child child;
    struct child stopper;  /* the fork of before_stop */
    struct source exec_fd; /* EOF: exec succeeded */
    struct timer timer;    /* what it means depends on the state: EV_TIMER in fsm.h */
    struct prober prober;
    pid_t group;           /* process group that may still have members; 0 */
    struct exit_info last; /* how it last ended; valid when `ended` */
    bool ended;
    unsigned failures; /* in a row, since it was last settled */
    unsigned ends;     /* likewise, those that were no failure, too: for the pause */
    unsigned starts;
    instant since;                 /* of the present state */
    char reason[MAX_PROBE_REASON]; /* why it is not ready; "" */
};

struct supervisor {
    struct loop *loop;
    struct children *children;
    const struct svc_plan *plan;
    struct svc *svcs;       /* plan->n of them; owned by the caller */
    const char *const *env; /* what services inherit; borrowed */
    uint64_t sigmask;       /* of what it starts: as pinnace itself was started */
    bool sigchld_ignored;
    struct rlimit nofile; /* 0: as it is */
    bool listen_taken;    /* descriptors of LISTEN_FDS are ours: CMD does not hear of any */
    bool up;              /* the box wants its units up */
    instant kill_at;      /* end of the grace; INSTANT_NEVER until the drain */
    uint32_t random;      /* jitter */
    bool dirty;
    void (*changed)(struct supervisor *sup, struct svc *s, enum svc_state was);
    void (*noted)(struct supervisor *sup, struct svc *s); /* its reason is another */
};

/* `svcs[i]` belongs to confs[i] of the plan; the caller has zeroed them and set conf, kind,
 * argv, stdio, notify_path and cgroup_fd. */
void supervisor_init(struct supervisor *sup, struct loop *l, struct children *cs,
                     const struct svc_plan *plan, struct svc *svcs);

/* Want everything up (or down). What happens when is settled in the plan's order. */
void supervisor_up(struct supervisor *sup);
void supervisor_down(struct supervisor *sup, instant kill_at);

/* What somebody asks for, while the box is up. 0 or -ENOENT: there is nothing to execute.
 * start: from whatever it is; also what it requires, where that is stopped or has failed. Past
 * failures are forgotten. One that runs is left alone.
 * stop: and first those that require it; down, and not needed, until it is asked to start. That
 * is then also the end of the wait of those that require it.
 * restart: stop, and start when it is gone. */
int supervisor_start(struct supervisor *sup, size_t i);
void supervisor_stop(struct supervisor *sup, size_t i);
int supervisor_restart(struct supervisor *sup, size_t i);

/* SIGKILL to all that runs, at once and in no order. */
void supervisor_kill(struct supervisor *sup);

/* After every turn of the loop. */
void supervisor_settle(struct supervisor *sup);

/* After every reaping: a stopping group may have become empty. */
void supervisor_reaped(struct supervisor *sup);

/* The service has said READY=1 or matched its log probe. */
void svc_said(struct svc *s, enum probe_kind what);

/* It cannot even be tried: failed, for this reason. Only while it is down. */
void supervisor_fail(struct svc *s, const char *reason);

/* Ready, or done: what comes after it may start. */
bool svc_is_up(const struct svc *s);

/* What a shell would say of its end: the status, 128+n, 126/127 when it was not executed. */
int svc_exit_status(const struct svc *s);

/* Does any of it still run? */
bool supervisor_runs(const struct supervisor *sup);

#endif
