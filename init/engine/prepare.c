#include "engine/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "engine/cgroup.h"
#include "engine/json_file.h"
#include "engine/plan.h"
#include "engine/procfs.h"
#include "engine/stale.h"
#include "engine/survey.h"
#include "engine/version.h"
#include "sys/file.h"
#include "sys/mountpoint.h"

#define UNIT "engine"

bool engine_present(const char *path) {
    return survey_has_program(path, "dockerd") || survey_has_program(path, "dockerd-entrypoint.sh");
}

const char *engine_mounted_socket(void) {
    if (is_mounted("/var/run", "/var/run/docker.sock"))
        return "/var/run/docker.sock";
    return is_mounted("/run", "/run/docker.sock") ? "/run/docker.sock" : NULL;
}

/* What is found and decided, and what daemon.json said. */
struct prepare {
    const struct engine_conf *conf;
    const struct engine_network *net;
    struct engine_facts facts;
    struct engine_plan plan;
    struct json_file json;
};

static bool holds_already(const char *path, struct json_text text) {
    AUTO_FREE char *old = NULL;
    size_t old_len;
    return file_read(path, MAX_DAEMON_JSON, &old, &old_len, NULL) == 0 && old_len == text.len &&
           memcmp(old, text.at, text.len) == 0;
}

/* A file that is ours as a whole: nobody's text is lost with it. */
static int write_anew(const char *path, struct json_text text, struct err *e) {
    if (holds_already(path, text))
        return 0;
    int rc = file_replace(path, text.at, text.len, e);
    return rc < 0 ? rc : 1;
}

static void list_wants(const struct engine_plan *plan, struct json_want *wants) {
    for (size_t i = 0; i < plan->nsettings; i++)
        wants[i] = (struct json_want){ plan->settings[i].key, plan->settings[i].json };
}

static int write_json(struct prepare *p, struct err *e) {
    static const struct json_text nothing = { "{}\n", 3 };
    const struct engine_plan *plan = &p->plan;
    struct json_want wants[MAX_ENGINE_SETTINGS + 1] = { 0 };
    struct json_text base = json_file_base(&p->json);
    struct json_merged merged;
    if (plan->json_from_scratch)
        base.len = 0;
    list_wants(plan, wants);
    int rc = daemon_json_merge(&merged, plan->json_write, base, wants, e);
    if (rc < 0)
        return rc;
    AUTO_FREE char *owned = merged.text;
    struct json_text text = base.len ? base : nothing;
    if (rc == 1)
        text = (struct json_text){ owned, merged.len };
    bool beside = strcmp(plan->json_write, p->facts.json_path) != 0;
    if (plan->json_from_scratch || beside)
        rc = write_anew(plan->json_write, text, e);
    else
        rc = json_file_write(&p->json, text, e);
    if (rc <= 0)
        return rc;
    if (p->json.ours && !plan->json_from_scratch && !beside)
        daemon_json_changes(merged.diff, base, json_file_text(&p->json), wants);
    log_info(UNIT, "%s%s: %s", plan->json_write, plan->json_from_scratch ? " written anew" : "",
             merged.diff[0] ? merged.diff : "no settings of ours");
    return 0;
}

/* Nothing is to be written to daemon.json: what an earlier prepare wrote there goes. */
static int take_back(struct prepare *p, struct err *e) {
    static const struct json_want nothing[] = { { NULL, NULL } };
    char diff[MAX_JSON_DIFF];
    if (!p->json.ours)
        return 0;
    daemon_json_changes(diff, json_file_base(&p->json), json_file_text(&p->json), nothing);
    int rc = json_file_restore(&p->json, e);
    if (rc == 0)
        log_info(UNIT, "%s is again as it was before pinnace: %s", p->json.path, diff);
    return rc;
}

/* What could not be done after all is one more fact, and gives another plan. */
static void learn_failure(struct prepare *p) {
    if (!p->plan.json_write[0])
        json_file_disown(&p->json);
    else if (p->facts.json_writable)
        p->facts.json_writable = false;
    else
        p->facts.run_writable = false;
}

/* Plan and write daemon.json. The last plan needs no file. */
static int settle(struct prepare *p, struct err *e) {
    struct err why;
    for (;;) {
        int rc = engine_plan(&p->plan, p->conf, &p->facts, p->net, json_file_base(&p->json), e);
        if (rc < 0)
            return rc;
        /* Where it lies elsewhere, dockerd does not look at the file that was ours. */
        if ((p->plan.json_write[0] ? write_json(p, &why) : take_back(p, &why)) == 0)
            return 0;
        log_warn(UNIT, "%s", why.text);
        learn_failure(p);
    }
}

static void tell_findings(const struct engine_plan *plan) {
    for (size_t i = 0; i < plan->nfindings; i++)
        log_line(plan->findings[i].level, UNIT, "%s", plan->findings[i].text);
}

static bool divide_cgroup(const struct engine_plan *plan, pid_t init_pid) {
    static const char root[] = "/sys/fs/cgroup";
    struct cgroup_report r;
    struct err why;
    int rc = plan->cgroup_remount ? cgroup_remount(root) : 0;
    if (rc < 0) {
        log_warn(UNIT,
                 "%s is read-only and stays so: %s; no cgroup can be made there, so nested "
                 "containers cannot be started",
                 root, strerror(-rc));
        return false;
    }
    if (!plan->cgroup_evacuate)
        return false;
    if (cgroup_divide(root, init_pid, &r, &why) < 0) {
        log_warn(UNIT, "cgroup: %s; nested containers may not have limits", why.text);
        return false;
    }
    log_info(UNIT,
             "cgroup: %d processes moved to %s/init in %d rounds; controllers for children: %s",
             r.moved, root, r.rounds, r.enabled[0] ? r.enabled : "none");
    if (r.refused[0])
        log_warn(UNIT, "cgroup: the kernel did not enable %s", r.refused);
    return r.leaf;
}

static void share_root(void) {
    if (mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) < 0)
        log_warn(UNIT, "/ cannot be made a shared mount: %s; bind propagation will not work",
                 strerror(errno));
    else
        log_debug(UNIT, "/ is a shared mount");
}

static void mount_securityfs(void) {
    static const char point[] = "/sys/kernel/security";
    struct statfs fs;
    if (statfs(point, &fs) < 0 || fs.f_type == SECURITYFS_MAGIC)
        return; /* not in this kernel, or there already */
    if (mount("securityfs", point, "securityfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        log_info(UNIT, "%s cannot be mounted: %s; dockerd will not see AppArmor", point,
                 strerror(errno));
    else
        log_info(UNIT, "mounted %s", point);
}

static void mount_tmp(void) {
    AUTO_FREE char *mounts = NULL;
    size_t len;
    struct mount_line m;
    if (file_read("/proc/self/mountinfo", MAX_PROC_TEXT, &mounts, &len, NULL) == 0 &&
        mountinfo_find(mounts, "/tmp", &m))
        return; /* a mount of its own already: a second one would hide it */
    if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
        log_warn(UNIT, "no tmpfs on /tmp: %s", strerror(errno));
    else
        log_info(UNIT, "mounted a tmpfs on /tmp");
}

static void clean_up(const struct prepare *p) {
    struct stale_report r;
    /* A socket mounted from outside belongs to the engine there. */
    const char *socket = p->facts.host_socket[0] ? "" : p->plan.socket;
    stale_remove(p->facts.pidfile, p->facts.exec_root, socket, &r);
    if (r.live_pid)
        log_warn(UNIT, "an engine is running already (pid %d)", r.live_pid);
    else if (r.answered)
        log_warn(UNIT, "somebody answers on %s already", p->plan.socket);
}

static void act(const struct prepare *p, pid_t init_pid, struct engine_result *out) {
    const struct engine_plan *plan = &p->plan;
    out->cgroup_leaf = divide_cgroup(plan, init_pid);
    if (plan->mount_securityfs)
        mount_securityfs();
    if (plan->tmpfs_tmp)
        mount_tmp();
    if (plan->share_root)
        share_root();
    clean_up(p);
}

static void read_json(const struct engine_conf *conf, struct engine_facts *f,
                      struct json_file *json) {
    survey_self(f);
    engine_locate_json(conf, f);
    json_file_read(json, f->json_path);
    f->json_error = json->error;
}

void engine_find_subnets(const struct engine_conf *conf, struct engine_subnets *out) {
    struct engine_facts facts;
    struct json_file file;
    read_json(conf, &facts, &file);
    engine_read_subnets(out, conf, json_file_base(&file));
    out->rootless = engine_is_rootless(conf, &facts);
    json_file_free(&file);
}

static void survey(struct prepare *p) {
    read_json(p->conf, &p->facts, &p->json);
    engine_locate_state(p->conf, &p->facts, json_file_base(&p->json));
    survey_box(&p->facts);
    if (engine_plan_asks_version(p->net))
        p->facts.dockerd_major = engine_version(engine_program(p->conf));
    if (p->json.edited && p->conf->daemon_json == ENGINE_JSON_MERGE)
        log_info(UNIT, "%s was changed since pinnace wrote it: all that is there counts as yours",
                 p->json.path);
}

int engine_prepare(const struct engine_conf *conf, const struct engine_network *net, pid_t init_pid,
                   struct engine_result *out, struct err *e) {
    struct prepare p = { .conf = conf, .net = net };
    memset(out, 0, sizeof *out);
    survey(&p);
    int rc = settle(&p, e);
    tell_findings(&p.plan);
    json_file_free(&p.json);
    if (rc < 0)
        return rc;
    act(&p, init_pid, out);
    out->nwords = p.plan.nwords;
    memcpy(out->words, p.plan.words, sizeof out->words);
    memcpy(out->socket, p.plan.socket, sizeof out->socket);
    return 0;
}

int engine_examine(const struct engine_conf *conf, const struct engine_network *net,
                   void (*emit)(void *arg, enum log_level level, const char *text), void *arg,
                   struct err *e) {
    char text[MAX_SETTING_JSON + MAX_ENGINE_PATH + 64];
    struct prepare p = { .conf = conf, .net = net };
    survey(&p);
    int rc = engine_plan(&p.plan, conf, &p.facts, net, json_file_base(&p.json), e);
    json_file_free(&p.json);
    for (size_t i = 0; i < p.plan.nfindings; i++)
        emit(arg, p.plan.findings[i].level, p.plan.findings[i].text);
    for (size_t i = 0; rc == 0 && i < p.plan.nsettings; i++) {
        const struct engine_setting *s = &p.plan.settings[i];
        (void)snprintf(text, sizeof text, "%s: \"%s\": %s",
                       p.plan.json_write[0] ? p.plan.json_write : p.facts.json_path, s->key,
                       s->json);
        emit(arg, LOG_INFO, text);
    }
    return rc;
}
