/* box.h — PID 1: one box from its first process to its last.
 *
 *     prepare -> boot -> serve -> drain -> end
 *
 * box.c moves it through these phases, policy.c says what an end means. forward.c passes signals
 * on, drain.c ends everything, publish.c tells the world, equip.c makes what units need (pipes,
 * sockets). Before box_init() returns it may fail; from then on nothing exits but box_run()'s end.
 */
#ifndef PID1_BOX_H
#define PID1_BOX_H

#include <sys/signalfd.h>

#include "channel/role.h"
#include "conf/rundir.h"
#include "engine/prepare.h"
#include "logs/role.h"
#include "machine/machine.h"
#include "net/role.h"
#include "pid1/held.h"
#include "svc/supervisor.h"
#include "svc/timeline.h"

/* The status that box_run() returns when it is not CMD's: see pinnace(8), EXIT STATUS. */
enum { EXIT_BOOT_TIMEOUT = 124, EXIT_CANNOT_START = 125 };

struct unit_gear {
    int log_read, log_write; /* both ends, held for as long as the box lives; -1 */
    int notify;              /* NOTIFY_SOCKET; -1 */
    char notify_path[RUNDIR_MAX + MAX_NAME + 8];
    int cgroup; /* -1 */
    bool flush; /* tell the log role that its process has ended */
    bool stale; /* tell the channel how it is */
};

struct unit_asked { /* by a client of the channel */
    uint64_t ticket;
    int32_t unit, act, code;
};

struct box {
    struct sys *sys;
    struct loop loop;
    struct children children;
    struct conf *conf;
    struct svc_conf *confs[MAX_UNITS]; /* services, engine, main: in plan order */
    struct svc_plan plan;
    struct svc *svcs;
    struct unit_gear *gear;
    size_t nunits;
    int engine, main; /* indices, or -1 */
    struct supervisor sup;

    enum box_phase phase;
    instant started;
    struct timer boot_deadline, drain_delay, grace_over, last_call;
    int exit_code;
    bool is_pid1, machine;

    struct source signals;
    struct source button; /* of a machine of its own; else .fd is -1 */

    struct child prepare;
    int prepare_sock; /* its answer comes here; -1 */
    struct timer prepare_deadline;
    struct engine_result prepared;
    const char *engine_argv[MAX_ENGINE_WORDS + 1];

    struct role log, channel, net;
    struct log_role log_args; /* of the fork being made, as the next two */
    struct channel_role channel_args;
    struct net_role net_args;
    int channel_keep[2 + MAX_CHANNELS], log_keep[2 + 2 * MAX_UNITS], net_keep[2 + NET_NSOCKETS];
    struct log_unit *log_units;
    struct log_progress *log_progress;
    int listen[MAX_CHANNELS];              /* of conf->channels; -1 */
    bool listens;                          /* on any of them */
    struct channel_shared *channel_shared; /* we never read it */
    const char **job_env;                  /* what jobs inherit; owned */
    struct held_jobs jobs;
    struct unit_asked asked[MAX_ASKED]; /* and not yet answered */
    size_t nasked;
    struct net_conf net_conf;
    struct net_box net_box; /* what prepare decided about the network */
    int net_sockets[NET_NSOCKETS];
    int null_fd;

    char run_dir[RUNDIR_MAX];
    bool has_run_dir;
    char log_dir[RUNDIR_MAX + 8];
    bool has_log_dir;

    struct timeline timeline;
    struct { /* what the channel has been told */
        uint32_t marks;
        uint64_t orphans;
        bool box;
    } told;
    uint64_t seq;
    bool ready;
    instant ready_at; /* first time; INSTANT_NEVER */
    char reason[MAX_PROBE_REASON];
    char *notify_up;       /* NOTIFY_SOCKET of our own supervisor, or NULL; borrowed */
    struct child notifier; /* tells it, where that may take a while */
    int ready_fd;          /* -1 */

    struct child killer; /* the fork that signals a subreaper's descendants */
    int killer_signal;   /* what it is to send next; 0 */
    struct child teller; /* the fork that says whom the shutdown waits for */
    struct timer patience;
    bool termed, killed; /* leftovers were sent TERM, KILL */
    bool stopped_by_user;
    bool done;
};

struct box_args {
    struct conf *conf;      /* borrowed for the life of the box */
    const char *const *cmd; /* CMD's words, or NULL: [main] command, or none */
    const char *const *env;
    uint64_t sigmask;
    bool sigchld_ignored;
    struct rlimit nofile;  /* as we were started: that of what the box starts; 0: as it is */
    bool is_pid1, machine; /* machine: the first process of a kernel (machine_begin()) */
    instant started;
};

/* Will a box with this configuration and CMD (may be NULL) run an engine? */
bool box_wants_engine(const struct conf *conf, const char *const *cmd);

/* Everything that may fail. 0 or -errno with a message. */
int box_init(struct box *b, struct sys *sys, const struct box_args *args, struct err *e);

/* Start, serve, end. The exit status. */
int box_run(struct box *b);

/* Between box_init() and box_run(): the turn of the loop and all that follows from it, for a
 * simulation that wants to look in between. box_run() is start, then turns until done. */
void box_start(struct box *b);
void box_turn(struct box *b);
void box_fini(struct box *b);

/* A signal has come. `si->ssi_pid` etc. as in signalfd(2). */
void box_signal(struct box *b, const struct signalfd_siginfo *si);

/* --- among the files of pid1/ --------------------------------------------------------- */

/* forward.c */
int forward_init(struct box *b);

/* drain.c: begin to end with `code`, unless it has begun. */
void drain_begin(struct box *b, int code, const char *why);
void drain_init(struct box *b);
void drain_hurry(struct box *b);   /* asked to end a second time */
void drain_advance(struct box *b); /* after every turn */
/* A job has begun: when all others have been asked to end already, so is this one. */
void drain_late(struct box *b, pid_t pid);

/* policy.c */
void policy_init(struct box *b);

/* publish.c */
void publish_init(struct box *b);
void publish_turn(struct box *b); /* after every turn: send what changed */
void publish_mark(struct box *b, int unit, enum mark_kind kind);
void publish_change(struct box *b); /* the box itself has changed */
void publish_unit(struct box *b, struct svc *s, enum svc_state was);
bool box_is_main_started(const struct box *b);

/* equip.c */
int equip_units(struct box *b, struct err *e);
void equip_cgroups(struct box *b);
void equip_fini(struct box *b);

/* listen.c: the channels' sockets, and what the channel needs besides. 0 or -errno. */
int listen_init(struct box *b, const char *const *env, struct err *e);
void listen_fini(struct box *b);
/* A unix socket at `path`, in place of one that is there. The fd or -errno. */
int bind_unix(const char *path, int type, mode_t mode, struct err *e);

/* units.c */
void units_said(struct box *b, const struct wire_unit_do *m);
bool units_pump(struct box *b); /* answer; false: the channel is behind */

/* roles.c */
void roles_init(struct box *b);
void roles_quit(struct box *b); /* all are to finish what they hold, and end */
void roles_kill(struct box *b);
bool roles_run(const struct box *b);
enum { MAX_ROLES = 3 };
size_t roles_pids(const struct box *b, pid_t out[MAX_ROLES]);

/* prepare_step.c */
void prepare_begin(struct box *b);

/* sections.c: between the config, net/ and engine/, which do not see each other */
struct machine_conf machine_conf(const struct conf *conf);
struct engine_conf engine_conf(const struct conf *conf); /* borrows from it */
void network_conf(struct net_conf *out, const struct conf *conf, bool engine);
bool network_wanted(const struct net_conf *c);
void network_know(struct net_conf *out, const struct engine_subnets *subnets);
void network_advise(struct engine_network *out, const struct net_advice *advice);

#endif
