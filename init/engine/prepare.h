/* prepare.h — make the box fit for a container engine: survey, plan, act.
 *
 * Runs in a fork (the `prepare` attempt) before any service starts, because it
 * reads what others wrote: /proc, daemon.json, kernel answers. PID 1 sees only the
 * fixed-size result.
 *
 *     survey (facts) -> engine_plan (pure) -> acts (mounts, cgroups, files) -> result
 */
#ifndef ENGINE_PREPARE_H
#define ENGINE_PREPARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/limits.h"
#include "base/log.h"

enum engine_iptables { ENGINE_IPTABLES_AUTO, ENGINE_IPTABLES_ON, ENGINE_IPTABLES_OFF };
enum engine_json { ENGINE_JSON_MERGE, ENGINE_JSON_OWN, ENGINE_JSON_OFF };
enum engine_cgroup { ENGINE_CGROUP_AUTO, ENGINE_CGROUP_OFF };

/* The [engine] section. Strings are borrowed from the config; words are NULL-terminated. */
struct engine_conf {
    char **command; /* {"auto"} or the words of a command */
    char **flags;   /* more words for dockerd */
    enum engine_iptables iptables;
    char *storage_driver; /* "auto" or a name */
    enum engine_json daemon_json;
    enum engine_cgroup cgroup;
    bool tmpfs_tmp; /* mount a tmpfs on /tmp */
};

/* A subnet that somebody needs, and who: "eth0's network 10.1.0.0/16", "the resolver 10.1.0.1". */
struct engine_taken {
    struct prefix p;
    char what[64];
};

/* What the network around the box means for the engine; decided by net/, before it. */
struct engine_network {
    struct ip dns[2];  /* whom containers shall ask; none: as without us */
    struct prefix bip; /* docker0's address with its network; none: dockerd's own choice is fine */
    struct {
        struct prefix base;
        uint8_t size; /* length of each network taken from it */
    } pools[MAX_POOLS];
    size_t npools;
    uint32_t mtu;                           /* of the uplink; 0: not known */
    struct engine_taken taken[MAX_SUBNETS]; /* what a subnet of the user's must not cover */
    size_t ntaken;
    bool clash_is_repaired; /* such a clash is made good by net/: warn; else refuse to start */
    struct ip needed[MAX_NEEDED]; /* the box's own addresses, gateways, resolvers */
    size_t nneeded;
};

/* What the user has set about the engine's subnets, as flags or in daemon.json. */
struct engine_subnets {
    struct {
        struct prefix p;
        char key[32]; /* bip, bip6, fixed-cidr, fixed-cidr-v6, default-address-pools */
        bool flag;    /* given as a flag, not in daemon.json */
    } v[MAX_SUBNETS];
    size_t n;
    bool more;     /* there are further ones, which are not looked at */
    bool ipv6;     /* the engine gives containers IPv6 */
    bool rootless; /* and has a network namespace of its own, rootlesskit's */
};

/* Read daemon.json, the flags and who we are for that. What cannot be read is left out, and so is
 * what an earlier prepare wrote there. Runs in a fork. */
void engine_find_subnets(const struct engine_conf *conf, struct engine_subnets *out);

/* What PID 1 needs to know. Fixed size, no pointers: it crosses a socket. */
struct engine_result {
    uint32_t nwords;
    char words[MAX_ENGINE_TEXT]; /* the command: nwords strings, each with its NUL */
    char socket[108];            /* the API socket that the docker probe asks */
    bool cgroup_leaf;            /* /sys/fs/cgroup/pinnace is ours to make leaves in */
};

/* Is a dockerd on the PATH (or its entry script)? Looks with access(2) only, so PID 1
 * may call it. `path` is the value of PATH. */
bool engine_present(const char *path);

/* The socket that is mounted from outside where an engine of our own would have its socket, or
 * NULL. Such a box is meant to use that engine. Looks with statx(2) only. */
const char *engine_mounted_socket(void);

/* Does this command start an engine itself (dockerd-entrypoint.sh, dockerd,
 * dockerd-rootless.sh, by base name)? Pure. */
bool engine_is_command(const char *const *argv);

/* Survey, plan and act. `net` may be NULL: no network settings of ours. `init_pid` is the process
 * that must end up in a leaf cgroup. Says what it found and did through base/log.h with unit
 * "engine". Returns 0, or -errno when no engine can be started at all; what cannot be repaired but
 * may still work is a warning. */
int engine_prepare(const struct engine_conf *conf, const struct engine_network *net, pid_t init_pid,
                   struct engine_result *out, struct err *e);

/* The same survey and plan, and nothing done: each finding, and each setting that daemon.json
 * would be given, goes to `emit`. 0, or the error of engine_prepare. */
int engine_examine(const struct engine_conf *conf, const struct engine_network *net,
                   void (*emit)(void *arg, enum log_level level, const char *text), void *arg,
                   struct err *e);

#endif
