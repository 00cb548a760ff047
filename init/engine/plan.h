/* plan.h — PURE: configuration, facts and the text of daemon.json give a plan.
 *
 *     struct engine_facts f;
 *     survey_self(&f);
 *     engine_locate_json(&conf, &f);          // where daemon.json is
 *     ...read it...
 *     engine_locate_state(&conf, &f, json);   // data root, exec root, pid file
 *     survey_box(&f);
 *     if (engine_plan(&plan, &conf, &f, json, &e) < 0) ...
 *
 * What the user wrote, as a flag or as a key of daemon.json, always wins; each setting
 * of ours goes to exactly one place, because dockerd dies of one that is in both.
 */
#ifndef ENGINE_PLAN_H
#define ENGINE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "engine/daemon_json.h"
#include "engine/prepare.h"
#include "engine/survey.h"

/* Something worth telling: what was found, and what is or can be done about it. */
struct finding {
    enum log_level level;
    char text[300];
};

enum {
    MAX_ENGINE_SETTINGS = 12,      /* of ours in one plan; a further one is left out, says so */
    MAX_SETTING_FLAGS = MAX_POOLS, /* words of one setting: a list has one for each item */
    MAX_SETTING_FLAG = 96,         /* bytes of such a word; the setting is left out, says so */
    MAX_SETTING_JSON = 320         /* bytes of its value in daemon.json; the same */
};

/* One setting of ours that the user has not made. */
struct engine_setting {
    char key[32];                                    /* its name in daemon.json */
    char json[MAX_SETTING_JSON];                     /* its value there, without any space */
    char flags[MAX_SETTING_FLAGS][MAX_SETTING_FLAG]; /* as flags: "--storage-driver=vfs" */
    size_t nflags;
};

struct engine_plan {
    uint32_t nwords; /* the command: strings with their NUL, as in struct engine_result */
    size_t words_len;
    char words[MAX_ENGINE_TEXT];
    char socket[108]; /* sun_path of what dockerd will listen on; "" if none is known */
    bool rootless;

    /* daemon.json: settings to add. json_write "" when there is nothing to write. */
    struct engine_setting settings[MAX_ENGINE_SETTINGS];
    size_t nsettings;
    char json_write[MAX_ENGINE_PATH]; /* where the merged text goes */
    bool json_from_scratch;           /* the text that is there does not count */

    bool cgroup_remount;  /* /sys/fs/cgroup is read-only and may be made writable */
    bool cgroup_evacuate; /* and then divided */
    bool share_root;      /* mount --make-rshared / */
    bool mount_securityfs;
    bool tmpfs_tmp;

    struct finding findings[MAX_FINDINGS];
    size_t nfindings;
};

/* Fill in facts->json_path. */
void engine_locate_json(const struct engine_conf *conf, struct engine_facts *facts);

/* Fill in facts->data_root, exec_root and pidfile. */
void engine_locate_state(const struct engine_conf *conf, struct engine_facts *facts,
                         struct json_text json);

/* The user's subnets in flags and in the text of daemon.json. */
void engine_read_subnets(struct engine_subnets *out, const struct engine_conf *conf,
                         struct json_text json);

/* Will it run in rootlesskit's namespaces? By user id, flag or command. */
bool engine_is_rootless(const struct engine_conf *conf, const struct engine_facts *facts);

/* The program whose version counts: the user's dockerd, or the one on the PATH. */
const char *engine_program(const struct engine_conf *conf);

/* Would the plan be another one if dockerd's version were known? */
bool engine_plan_asks_version(const struct engine_network *net);

/* `net` may be NULL: no network settings of ours, and no clash is looked for. 0; or -ENOENT,
 * -EPERM, -E2BIG when there is nothing that could be started, -EADDRINUSE when a subnet of the
 * user's would take the box's own network away, with the reason. A daemon.json that cannot be
 * understood is a finding: it is left alone, and dockerd has the last word on it. */
int engine_plan(struct engine_plan *out, const struct engine_conf *conf,
                const struct engine_facts *facts, const struct engine_network *net,
                struct json_text json, struct err *e);

#endif
