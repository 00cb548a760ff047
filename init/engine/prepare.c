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
#include "engine/plan.h"
#include "engine/procfs.h"
#include "engine/stale.h"
#include "engine/survey.h"
#include "sys/file.h"

#define UNIT "engine"
#ifndef STATX_ATTR_MOUNT_ROOT
#define STATX_ATTR_MOUNT_ROOT 0x2000 /* linux/stat.h, since 5.8 */
#endif

bool engine_present(const char *path) {
    return survey_has_program(path, "dockerd") || survey_has_program(path, "dockerd-entrypoint.sh");
}

/* STATX_ATTR_MOUNT_ROOT, Linux 5.8: the root of a mount. Before that, a mount from another file
 * system at least has another device than its directory. */
static bool is_mounted(const char *dir, const char *path) {
    struct statx in, at;
    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &at) < 0 ||
        statx(AT_FDCWD, dir, 0, STATX_BASIC_STATS, &in) < 0)
        return false;
    if (at.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT)
        return at.stx_attributes & STATX_ATTR_MOUNT_ROOT;
    return at.stx_dev_major != in.stx_dev_major || at.stx_dev_minor != in.stx_dev_minor;
}

const char *engine_mounted_socket(void) {
    if (is_mounted("/var/run", "/var/run/docker.sock"))
        return "/var/run/docker.sock";
    return is_mounted("/run", "/run/docker.sock") ? "/run/docker.sock" : NULL;
}

/* What is found and decided, and what daemon.json said. */
struct prepare {
    const struct engine_conf *conf;
    struct engine_facts facts;
    struct engine_plan plan;
    const char *json; /* as it was read; "" if missing or unreadable */
    size_t json_len;
};

/* The caller frees *text, which `p` borrows. */
static void read_json(struct prepare *p, char **text) {
    int rc = file_read(p->facts.json_path, MAX_DAEMON_JSON, text, &p->json_len, NULL);
    p->facts.json_error = rc < 0 && rc != -ENOENT && rc != -ENOTDIR ? -rc : 0;
    p->json = *text ? *text : "";
}

static struct json_text json_text(const struct prepare *p) {
    return (struct json_text){ p->json, p->json_len };
}

static bool holds_already(const char *path, const char *text, size_t len) {
    AUTO_FREE char *old = NULL;
    size_t old_len;
    return file_read(path, MAX_DAEMON_JSON, &old, &old_len, NULL) == 0 && old_len == len &&
           memcmp(old, text, len) == 0;
}

static int write_json(const struct prepare *p, struct err *e) {
    const struct engine_plan *plan = &p->plan;
    struct json_want wants[MAX_ENGINE_SETTINGS + 1] = { 0 };
    struct json_text base = plan->json_from_scratch ? (struct json_text){ "", 0 } : json_text(p);
    struct json_merged merged;
    for (size_t i = 0; i < plan->nsettings; i++)
        wants[i] = (struct json_want){ plan->settings[i].key, plan->settings[i].json };
    int rc = daemon_json_merge(&merged, plan->json_write, base, wants, e);
    if (rc < 0)
        return rc;
    AUTO_FREE char *owned = merged.text;
    if (rc == 0)
        merged.len = base.len ? base.len : 3;
    const char *text = rc == 1 ? owned : base.len ? base.at : "{}\n";
    if (holds_already(plan->json_write, text, merged.len))
        return 0;
    rc = file_replace(plan->json_write, text, merged.len, e);
    if (rc < 0)
        return rc;
    log_info(UNIT, "%s%s: %s", plan->json_write, plan->json_from_scratch ? " written anew" : "",
             merged.diff[0] ? merged.diff : "no settings of ours");
    return 0;
}

/* Plan and write daemon.json. A file that cannot be written after all is one more fact,
 * and gives another plan; the last one needs no file. */
static int settle(struct prepare *p, struct err *e) {
    struct err why;
    for (;;) {
        int rc = engine_plan(&p->plan, p->conf, &p->facts, json_text(p), e);
        if (rc < 0 || !p->plan.json_write[0] || write_json(p, &why) == 0)
            return rc;
        log_warn(UNIT, "%s", why.text);
        if (p->facts.json_writable)
            p->facts.json_writable = false;
        else
            p->facts.run_writable = false;
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
        log_warn(UNIT, "%s is read-only and stays so: %s; nested containers cannot have limits",
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

int engine_prepare(const struct engine_conf *conf, const struct engine_network *net, pid_t init_pid,
                   struct engine_result *out, struct err *e) {
    (void)net;
    struct prepare p = { .conf = conf };
    memset(out, 0, sizeof *out);
    survey_self(&p.facts);
    engine_locate_json(conf, &p.facts);
    AUTO_FREE char *json = NULL;
    read_json(&p, &json);
    engine_locate_state(conf, &p.facts, json_text(&p));
    survey_box(&p.facts);
    int rc = settle(&p, e);
    tell_findings(&p.plan);
    if (rc < 0)
        return rc;
    act(&p, init_pid, out);
    out->nwords = p.plan.nwords;
    memcpy(out->words, p.plan.words, sizeof out->words);
    memcpy(out->socket, p.plan.socket, sizeof out->socket);
    return 0;
}
