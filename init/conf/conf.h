/* conf.h — the configuration: read once, checked whole, then constant.
 *
 *     struct conf c;
 *     if (conf_load(&c, NULL, environ, &e) < 0)      // e: "/etc/pinnace.ini:7: main.start: ..."
 *         ...
 *     conf_free(&c);
 *
 * Sources, later ones over earlier ones: defaults, /etc/pinnace.ini,
 * /etc/pinnace.d/NAME.ini in name order, PINNACE_<SECTION>_<KEY> of the environment.
 * The option tables in options.c are the only list of options there is: parsing, defaults,
 * `pinnace check`, `pinnace config --dump`, overrides and pinnace.ini(5) come from them.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "probes/probe.h"
#include "sys/sys.h"

enum on_boot_timeout { BOOT_TIMEOUT_EXIT, BOOT_TIMEOUT_STAY };
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
enum on_failure { FAILURE_STAY, FAILURE_SHUTDOWN };
enum main_start { START_READY, START_NOW };
enum on_exit { EXIT_SHUTDOWN, EXIT_SHUTDOWN_ON_FAILURE, EXIT_STAY };
enum engine_wanted { ENGINE_AUTO, ENGINE_YES, ENGINE_NO };
enum log_target { LOG_TO_BOTH, LOG_TO_CONSOLE, LOG_TO_FILE, LOG_TO_NOTHING };
enum conf_iptables { IPTABLES_AUTO, IPTABLES_ON, IPTABLES_OFF };
enum conf_daemon_json { DAEMON_JSON_MERGE, DAEMON_JSON_OWN, DAEMON_JSON_OFF };
enum conf_cgroup { CGROUP_AUTO, CGROUP_OFF };
enum conf_dns_mode { DNS_AUTO, DNS_DNAT, DNS_FORWARD, DNS_OFF };
enum conf_repair { REPAIR_AUTO, REPAIR_OFF };

struct span_range {
    span from, to;
};

enum { MAX_RLIMITS = 16 };
struct limits {
    struct spawn_limit item[MAX_RLIMITS];
    size_t n;
};

/* What a signal becomes on its way to CMD: to[n] is its number, 0 to drop it. */
struct signal_map {
    uint8_t to[65];
};

/* A set of exit statuses 0..255. */
struct status_set {
    uint64_t bits[4];
};

/* Where something stands, for messages. */
struct conf_place {
    const char *origin; /* one of conf.sources; NULL: nowhere, pinnace itself has made it */
    int line;           /* 0: the environment has none */
};

/* Where a section's values came from, for messages and the dump. One per option. */
struct conf_given {
    char *text; /* NULL: the default holds; owned */
    struct conf_place place;
};
enum { CONF_MAX_OPTIONS = 40 };

struct pinnace_conf {
    struct conf_given given[CONF_MAX_OPTIONS]; /* first member of every section */
    int log, log_level, on_boot_timeout;
    span boot_timeout, grace, drain_delay;
    char *run_dir, *log_dir;
    unsigned ready_fd; /* 0: none */
    int parent_death_signal;
};

struct main_conf {
    struct conf_given given[CONF_MAX_OPTIONS];
    char **command; /* {NULL} unless set; the command line wins over it */
    char **env;
    char *user, *cwd;
    int start, on_exit;
    bool signal_group;
    struct signal_map map_signal;
    struct status_set remap_exit;
};

struct engine_section {
    struct conf_given given[CONF_MAX_OPTIONS];
    int enabled, iptables, daemon_json, cgroup;
    char **command, **flags, **env, **after;
    char *storage_driver;
    bool tmpfs_tmp;
    struct probe_spec *ready;
    span stop_timeout, start_timeout;
    unsigned max_restarts;
    int on_failure;
};

struct ip_list {
    struct ip v[MAX_UPSTREAMS];
    size_t n;
};

struct dns_section {
    struct conf_given given[CONF_MAX_OPTIONS];
    int mode;
    struct ip_list upstream; /* n 0: those of resolv.conf */
    struct ip address;       /* none: chosen */
};

struct prefix_list {
    struct prefix v[MAX_SUBNETS];
    size_t n;
};

struct net_section {
    struct conf_given given[CONF_MAX_OPTIONS];
    struct prefix_list reserve;
    int repair;
};

enum conf_off { MACHINE_OFF_AUTO, MACHINE_OFF_POWER, MACHINE_OFF_REBOOT, MACHINE_OFF_HALT };

struct machine_section {
    struct conf_given given[CONF_MAX_OPTIONS];
    char *modules; /* NULL: none */
    int network, off;
    unsigned exit_port; /* 0: none */
};

struct svc_conf {
    struct conf_given given[CONF_MAX_OPTIONS];
    char name[MAX_NAME];
    struct conf_place place; /* where it begins */
    char **command, **env, **after, **requires;
    char *user, *cwd;
    struct probe_spec *ready, *alive; /* NULL: none; owned */
    span ready_every, alive_every, probe_timeout, start_timeout, stop_timeout;
    unsigned alive_threshold, max_restarts; /* max_restarts 0: no limit */
    int restart, on_failure, log, stop_signal;
    struct span_range backoff;
    bool oneshot;
    struct limits limits;
    int oom_score_adj; /* OOM_INHERIT unless set */
};

enum channel_auth { AUTH_AUTO, AUTH_PEER, AUTH_TOKEN, AUTH_NONE };
enum channel_dialect { DIALECT_NATIVE, DIALECT_E2B, DIALECT_CLOUDFLARE };
enum channel_hold { HOLD_SESSIONS, HOLD_ALL, HOLD_NOTHING };
enum listen_kind { LISTEN_AUTO, LISTEN_NONE, LISTEN_UNIX, LISTEN_TCP, LISTEN_VSOCK, LISTEN_FD };

/* "auto", "none", "unix:PATH", "tcp:ADDRESS:PORT", "tcp:[ADDRESS]:PORT", "vsock:PORT", "fd:NAME" */
struct listen_spec {
    enum listen_kind kind;
    char text[108]; /* PATH or NAME; else as written */
    struct ip ip;   /* of tcp; numeric, `*` is [::] with IPv4 */
    unsigned port;
};

enum { MAX_CHANNEL_USER = 64 };

struct channel_conf {
    struct conf_given given[CONF_MAX_OPTIONS];
    char name[MAX_NAME];
    struct conf_place place; /* where it begins */
    struct listen_spec listen;
    int dialect, auth; /* auth is never AUTH_AUTO after conf_finish() */
    char *token, *token_file;
    char **users, **origins;
    unsigned mode; /* of a unix socket's file */
    bool replay;   /* DIALECT_E2B */
    char *user;    /* of both dialects for SDKs */
    int hold;      /* DIALECT_CLOUDFLARE */
};

struct conf {
    struct pinnace_conf pinnace;
    struct main_conf main;
    struct engine_section engine;
    struct dns_section dns;
    struct net_section net;
    struct machine_section machine;
    struct svc_conf *services[MAX_SERVICES]; /* owned */
    size_t nservices;
    struct channel_conf *channels[MAX_CHANNELS]; /* owned; "local" is always there */
    size_t nchannels;
    char *sources[MAX_CONF_FILES + 2]; /* file names; "environment"; for messages; owned */
    size_t nsources;
};

/* Load everything. `path` replaces /etc/pinnace.ini and /etc/pinnace.d when not NULL. A
 * default file that is not there is fine; one that is named must exist. 0 or -errno; on
 * failure *c is empty. Unknown PINNACE_* variables are warned about, not refused: other
 * software makes up such names (Kubernetes service links). */
int conf_load(struct conf *c, const char *path, char *const *env, struct err *e);

/* The parts, for tests: start empty, add texts, finish (required keys, references). */
int conf_begin(struct conf *c, struct err *e);
int conf_add_text(struct conf *c, const char *origin, const char *text, struct err *e);
int conf_add_env(struct conf *c, char *const *env, struct err *e);
int conf_finish(struct conf *c, struct err *e);
void conf_free(struct conf *c); /* idempotent */

/* Every section and option with its value in force, as an INI file that means the same. */
void conf_dump(const struct conf *c, void (*emit)(void *arg, const char *line), void *arg);

/* Every option there is, with its allowed values, default and meaning, for a terminal. */
void conf_help(void (*emit)(void *arg, const char *line), void *arg);

/* Every option there is, as the mdoc(7) list of pinnace.ini(5). */
void conf_mdoc(void (*emit)(void *arg, const char *line), void *arg);

/* A unit made by pinnace itself (the engine, CMD), with every default in place; NULL without
 * memory. The caller's, to be given to svc_conf_free(). */
struct svc_conf *svc_conf_new(const char *name, struct err *e);
void svc_conf_free(struct svc_conf *svc);

/* Where the unit has this option, or else where it begins; of the engine's [engine] after. */
struct conf_place svc_conf_place(const struct svc_conf *svc, const char *key);
struct conf_place conf_engine_after(const struct conf *c);

/* Put the place in front: "a.ini:7: <old text>"; nothing where there is none. Returns -e->code. */
int err_at(struct err *e, struct conf_place at);

#endif
