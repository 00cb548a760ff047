/* world.h — a kernel for one box: a clock, processes, signals; all of it from one seed.
 *
 *     world_init(&w, seed);
 *     box_init(&box, &w.sys, ...); world_attach(&w, &box); box_start(&box);
 *     while (!box.done)
 *         box_turn(&box);
 *
 * The second implementation of struct sys. Pipes, sockets and epoll are the real ones; time
 * and processes are not: the clock stands still until nothing is left to do, then jumps to
 * the next thing that happens. What is wrong is told by world_fail(), which does not return.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdio.h>

#include "pid1/box.h"
#include "random.h"

enum {
    WORLD_PROCS = 400,   /* alive or not yet reaped at once */
    WORLD_PIDS = 600,    /* then numbers are used again, so that a stale one hits a stranger */
    WORLD_STIMULI = 24,  /* of one boot */
    WORLD_KIN = 4,       /* processes that one process starts */
    WORLD_EVENTS = 512,  /* kept of one box; later ones are not */
    WORLD_FAILURE = 512, /* bytes of what is wrong */
    WORLD_JOBS = 60,     /* of one boot; further ones are not started */
};

/* --- lives ----------------------------------------------------------------------------- */

enum kin_kind {
    KIN_GROUP,  /* a child in the same group; an orphan when its parent ends */
    KIN_DAEMON, /* an orphan at once, in a session of its own */
    KIN_FOSTER, /* in the group, but the child of a daemon, which waits for it */
    KIN_BRIEF,  /* an orphan at once, and soon a zombie */
};

struct kin_plan {
    enum kin_kind kind;
    span lives;
    bool ignores;
};

/* What a process will do, from the moment it is started. */
struct life {
    int fork_errno;             /* it is not even forked */
    span session, exec;         /* after the fork: own session or group; then exec */
    struct exec_failure refuse; /* code 0: exec succeeds */
    span ready, ill;            /* after exec: probes are answered yes; and then no more */
    span ends;                  /* after exec: of its own accord, like this */
    struct exit_info end;
    bool ignores;     /* every signal that can be ignored */
    span yields;      /* after a signal that ends it, unless it ignores them */
    int yield_status; /* its status then; -1: dies of the signal */
    span kin_at;      /* after exec: it starts these */
    int nkin;
    struct kin_plan kin[WORLD_KIN];
    bool neglects;  /* never waits for its own children */
    span stops;     /* after exec: stopped by SIGSTOP from outside */
    span lingers;   /* between SIGKILL and its end; never: it hangs in the kernel */
    bool flickers;  /* every other answer about it is no */
    bool forgetful; /* does not say that it is ready although a probe waits for that */
};

/* Faults of the world as a whole; the numbers are times in a thousand. */
struct faults {
    int fork_fails, probe_hangs, probe_crashes, probe_lies;
    int role_crashes, role_hangs, role_babbles;
    int role_dies_speaking, role_dozes;
    int interrupts; /* epoll_wait ends with EINTR */
    int jumps;      /* the clock leaps forward while we sleep */
    int prepare_fails;
    bool strangers_unknown; /* no /proc/thread-self/children */
    span reap_cost;         /* of one waitpid(-1) */
    span late;              /* most that a wakeup comes late */
};

/* --- processes ------------------------------------------------------------------------- */

enum proc_kind {
    PROC_UNIT,
    PROC_KIN,
    PROC_PROBE,
    PROC_LOG,
    PROC_CHANNEL,
    PROC_NET,
    PROC_DRAIN,
    PROC_PREPARE,
    PROC_WHO,     /* says whom the shutdown waits for */
    PROC_STOPPER, /* asks the engine's containers to end before the engine is */
};
enum deed { DO_SESSION, DO_EXEC, DO_KIN, DO_SAY, DO_STOP, DO_BABBLE, DO_WAKE, DO_END, NDEEDS };
enum manner { MANNER_QUICK, MANNER_WAITS, MANNER_HANGS, MANNER_CRASHES, MANNER_LIES };
enum { BOX_PID = 1 };

struct proc {
    bool used, zombie, stopped, executed, killed;
    bool neglects_children;
    bool babbled, deaf; /* roles */
    enum proc_kind kind;
    pid_t pid, parent, group;
    int unit; /* -1 */
    struct life life;
    instant at[NDEEDS];
    struct exit_info end;
    uint64_t pending; /* signals while stopped or not yet executed */
    instant executed_at, ended_at, deadline, dozes_until;
    enum manner manner;
    int report;                     /* write end of a pipe to PID 1; -1 */
    int sock;                       /* a role's end of its wire; -1 */
    int sig;                        /* of a drain fork */
    bool wants_to_say, said, asked; /* asked: sent SIGTERM */
    unsigned answers;               /* of probes about it */
    int job;                        /* a job of a channel: its id, from 1 */
    struct {                        /* what a channel knows */
        bool whole, ready;
        int phase;
        int state[MAX_UNITS];
        uint64_t jobs, ended; /* bit n for job n */
        uint64_t ticket;      /* of the request that is to be answered next */
    } told;
};

/* What the world has seen of a unit. */
struct unit_record {
    pid_t pid, group;     /* of the latest start */
    uint64_t reaped_turn; /* when its leader was reaped; 0 while it has not been */
    unsigned starts;
    bool ended; /* since its latest start */
    struct exit_info last;
    struct exec_failure refused;
    bool stopped, termed, killed; /* since its latest start; stopped: or its stopper was started */
    instant stopped_at;
    instant started_at, ended_at;
    enum svc_state seen; /* when the box last went to sleep */
    unsigned seen_starts;
};

enum stimulus_kind {
    STIM_SIGNAL,
    STIM_KILL_MAIN,
    STIM_KILL_UNIT,
    STIM_KILL_ROLE,
    STIM_UNIT_DO, /* a client asks the channel */
    STIM_JOB,
};
struct stimulus {
    instant at;
    enum stimulus_kind kind;
    int what; /* signal; unit; role: 0 log, 1 channel; unit * 4 + act; what becomes of a job */
};

/* What happened, for cases that look at it afterwards. */
enum event_kind {
    EVENT_START,  /* of a unit's process */
    EVENT_END,    /* it was reaped; what: its status as a shell tells it */
    EVENT_SIGNAL, /* to a unit; what: the signal */
    EVENT_STATE,  /* of a unit when the box waits; what: enum svc_state */
    EVENT_PHASE,  /* of the box; what: enum box_phase */
    EVENT_READY,  /* of the box; what: 1 or 0 */
};
struct event {
    instant at;
    uint64_t turn;
    enum event_kind kind;
    int unit, what; /* unit -1: the box, or everybody */
};

/* Who decides what a process does; `nth` start of the unit, from 1. */
struct world;
typedef void life_fn(struct world *w, int unit, unsigned nth, struct life *l);

struct world {
    struct sys sys; /* first */
    struct box *box;
    struct dice dice;
    uint64_t seed, turn;
    instant now;
    span leapt, spent; /* total of clock jumps, and of what reaping cost */
    bool verbose;

    struct proc procs[WORLD_PROCS];
    int top; /* one above the highest slot in use */
    pid_t last_pid;
    struct faults faults;
    life_fn *live;
    const void *script; /* for `live` */
    struct unit_record units[MAX_UNITS];
    struct svc_plan plan; /* as it was at the start */

    struct stimulus stimuli[WORLD_STIMULI];
    int nstimuli;
    struct signalfd_siginfo pending[65]; /* ssi_signo 0: not pending */
    bool notified;                       /* the event descriptor is readable */

    struct {            /* the end, as it should go */
        bool on, begun; /* begun: nothing is to be started any more */
        instant from, grace_end;
        bool hurried;
        int code;
    } drain;
    struct { /* statuses that people asked for by signals since the box last waited */
        int code[8];
        int n;
    } asked;
    instant started;
    enum box_phase seen_phase; /* when the box last waited, as what follows */
    bool seen_ready, seen_begun, ever_ready;
    bool killer_failed, log_babbled;
    struct event events[WORLD_EVENTS];
    int nevents;
    int reminders;

    struct {                     /* what clients have asked for */
        uint64_t tickets;        /* so many */
        bool unsure;             /* an answer was lost: `stopped` may be wrong from now on */
        bool stopped[MAX_UNITS]; /* as the answers say */
        int njobs;
        struct exit_info ends[WORLD_JOBS + 1]; /* pid 0: not yet */
        bool mumbled;                          /* a channel was cut off in what it said */
    } clients;
};

void world_init(struct world *w, uint64_t seed);
/* After box_init(): its signals come through here. 0 or -errno. */
int world_attach(struct world *w, struct box *b);
void world_fini(struct world *w);

/* Where failures go, so that whoever started this process can tell; NULL: standard output. */
void world_report_to(char *text);
__attribute__((format(printf, 2, 3))) _Noreturn void world_fail(const struct world *w,
                                                                const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void world_trace(const struct world *w, const char *fmt, ...);

void world_stimulate(struct world *w, span after, enum stimulus_kind kind, int what);
void world_note(struct world *w, enum event_kind kind, int unit, int what);
/* A process that nothing happens to until somebody ends it. */
struct life life_quiet(void);
int world_unit(const struct world *w, const char *name); /* its index, or -1 */
struct proc *world_leader(struct world *w, int unit);    /* alive, or NULL */

/* --- among the files of the simulation ------------------------------------------------- */

struct proc *proc_find(struct world *w, pid_t pid);
struct proc *proc_new(struct world *w, enum proc_kind kind, int unit); /* child of the box */
struct proc *proc_role(struct world *w, enum proc_kind kind);          /* alive, or NULL */
bool proc_is_role(const struct proc *p);
bool group_has(const struct world *w, pid_t group);
void proc_end(struct world *w, struct proc *p, struct exit_info how);
void proc_signal(struct world *w, struct proc *p, int sig);
/* Is it answering probes with yes? */
bool unit_is_well(struct world *w, int unit);
void procs_run(struct world *w); /* whatever is due now */
instant procs_next(const struct world *w);
bool procs_let_go(struct world *w); /* those that hang in the kernel end; is there one? */

/* actors.c: what our own forks do. */
pid_t actor_fork(struct world *w, const struct fork_req *r, struct err *e);
void actor_deed(struct world *w, struct proc *p, enum deed d);
void actors_listen(struct world *w);                /* roles read what PID 1 has sent them */
void actor_ask(struct world *w, int unit, int act); /* a client's request */
void actor_job(struct world *w, int what);
void actor_gone(struct world *w, const struct proc *p); /* a role has ended */

/* check.c */
void check_spawn(struct world *w, int unit, const struct spawn_req *r);
void check_kill(struct world *w, pid_t pid, int sig);
void check_forward(const struct world *w, pid_t pid); /* a signal for CMD */
void check_stop(struct world *w, int unit);           /* it is asked to end */
void check_settled(struct world *w);                  /* the box is about to wait */
void check_sleep(struct world *w, instant until);     /* and nothing is left to do but sleep */
void check_signal(struct world *w, int sig);          /* about to be given to the box */
void check_sync(struct world *w, bool ready);         /* has it begun to end? */
/* box->done. True unless something could not be killed, and so may be left behind. */
bool check_end(struct world *w);

#endif
