/* planner.h — PURE: what the files that make a plan share; for them alone.
 *
 *     planner.c       findings, words, settings
 *     plan_command.c  the command and the user's flags
 *     locate.c        paths
 *     plan_network.c  plan_addresses.c  plan_box.c  one step for each subject
 *     plan.c          engine_plan, which runs the steps in their order
 *
 * A step reads the planner, and writes what it decides into `out`. None of them fails,
 * except plan_command and plan_addresses: what is wrong becomes a finding. Those that want
 * a setting come before engine_plan gives the settings their place.
 */
#ifndef ENGINE_PLANNER_H
#define ENGINE_PLANNER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/daemon_json.h"
#include "engine/flags.h"
#include "engine/plan.h"
#include "engine/prepare.h"
#include "engine/survey.h"

/* Everything the steps of one plan look at. */
struct planner {
    const struct engine_conf *conf;
    const struct engine_facts *facts;
    const struct engine_network *net; /* NULL: nothing to be set for its sake */
    struct engine_plan *out;
    struct daemon_json json;
    bool json_bad;          /* cannot be read: whatever we add might clash */
    struct flag_list given; /* the user's own flags */
    bool takes_flags;       /* the command hands its arguments to dockerd */
    bool script_builds;     /* the entry script adds its own --host and --tls flags */
    bool no_bridge;         /* docker0 is not to be made */
    bool too_long;          /* a word did not fit, so there is no command to start */
};

/* --- planner.c --- */

/* One more finding; cut to its field, and dropped once there are MAX_FINDINGS. */
__attribute__((format(printf, 3, 4))) void planner_note(struct planner *p, enum log_level level,
                                                        const char *fmt, ...);

/* One more word of the command; sets too_long if it does not fit. */
void planner_add_word(struct planner *p, const char *word);

/* Has the user set this key of daemon.json, there or as a flag? */
bool planner_user_set(const struct planner *p, const char *key);

/* Want `key` to be `value` (a word; `quoted` in JSON) unless the user has set it. */
void planner_want(struct planner *p, const char *key, const char *value, bool quoted);

/* A setting with several flags, in the making:
 *
 *     struct draft d;
 *     draft_begin(&d, "dns");
 *     text_add(&d.json, "[\"%s\"]", a);
 *     draft_flag(&d, "--dns=%s", a);
 *     planner_want_draft(p, &d);
 */
struct draft {
    struct engine_setting s;
    struct text json; /* into s.json */
    bool cut;         /* a flag did not fit */
};
void draft_begin(struct draft *d, const char *key);
__attribute__((format(printf, 2, 3))) void draft_flag(struct draft *d, const char *fmt, ...);

/* Want it unless the user has set its key. One that did not fit becomes a finding. */
void planner_want_draft(struct planner *p, const struct draft *d);

/* Is CAP_* number `cap` in our effective set? */
bool planner_has_cap(const struct planner *p, int cap);

/* --- plan_command.c --- */

/* The flags the user gave: behind the command, and in `flags`. Borrowed from `conf`. */
void command_flags(struct flag_list *out, const struct engine_conf *conf);

/* Will the engine be rootless? By user id, flag or command. */
bool command_is_rootless(const struct engine_conf *conf, const struct engine_facts *facts,
                         const struct flag_list *given);

/* The first words: the user's, or those found on the PATH. 0; or -ENOENT, -EPERM when
 * there is nothing that could be started. Sets takes_flags and script_builds. */
int plan_command(struct planner *p, struct err *e);

/* --- locate.c --- */

/* XDG_RUNTIME_DIR, or what a rootless engine takes for it; in buf, which it returns. */
const char *locate_runtime_dir(char *buf, size_t cap, const struct engine_facts *f);

/* --- plan_network.c --- */

/* The API's sockets: a --host that is missing, --tls=false for plain TCP, out->socket. */
void plan_hosts(struct planner *p);

/* Turn iptables off where NAT is not possible. */
void plan_iptables(struct planner *p);
void plan_forwarding(struct planner *p);
void plan_bridge(struct planner *p);

/* --- plan_addresses.c --- */

/* DNS, subnets and MTU of the engine's networks. -EADDRINUSE for a subnet of the user's that
 * would take the box's own network away. */
int plan_addresses(struct planner *p, struct err *e);

/* --- plan_box.c --- */

/* The storage driver: the one asked for, or one that works where overlay does not. */
void plan_storage(struct planner *p);

/* May /sys/fs/cgroup be made writable, and divided? */
void plan_cgroup(struct planner *p);

/* Which mounts a root engine lacks. */
void plan_mounts(struct planner *p);

/* Findings only: the kind of box, and what is dangerous or left over in it. */
void plan_surroundings(struct planner *p);

#endif
