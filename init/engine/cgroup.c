#include "engine/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"
#include "sys/file.h"

enum { BACKOFF_FIRST_MS = 1, BACKOFF_MAX_MS = 100 };

static int in_root(char *path, size_t cap, const char *root, const char *name) {
    return snprintf(path, cap, "%s/%s", root, name) < (int)cap ? 0 : -ENAMETOOLONG;
}

/* A leaf or inner node below the root. */
static int make_group(const char *root, const char *name, struct err *e) {
    char path[PATH_MAX];
    int rc = in_root(path, sizeof path, root, name);
    if (rc == 0 && mkdir(path, 0755) < 0 && errno != EEXIST)
        rc = -errno;
    return rc < 0 ? err_sys(e, -rc, "make the cgroup %s/%s", root, name) : 0;
}

/* 1: an ordinary group that has to be emptied; 0: the real root of the hierarchy, which
 * has no cgroup.type and may keep its processes; -EOPNOTSUPP: threaded. */
static int kind_of(const char *root, struct err *e) {
    char path[PATH_MAX], type[32];
    if (in_root(path, sizeof path, root, "cgroup.type") < 0)
        return err_sys(e, ENAMETOOLONG, "%s", root);
    file_peek(path, type, sizeof type);
    type[strcspn(type, "\n")] = '\0';
    if (type[0] == '\0')
        return 0;
    if (strcmp(type, "domain") == 0)
        return 1;
    return err_set(e, EOPNOTSUPP, "%s is a '%s' cgroup, whose children cannot have limits", root,
                   type);
}

static int move(const char *root, const char *pid) {
    return file_poke(root, "init/cgroup.procs", pid);
}

static void note_left(struct cgroup_report *r, const char *pid) {
    struct text t = { .buf = r->left_pids,
                      .cap = sizeof r->left_pids,
                      .len = strlen(r->left_pids) };
    text_add(&t, "%s%s", t.len ? " " : "", pid);
    r->left++;
}

/* One pass: everything that is in the root now. */
static int move_all(const char *root, struct cgroup_report *r, struct err *e) {
    char path[PATH_MAX];
    AUTO_FREE char *pids = NULL;
    size_t len;
    char *save = NULL;
    if (in_root(path, sizeof path, root, "cgroup.procs") < 0)
        return err_sys(e, ENAMETOOLONG, "%s", root);
    int rc = file_read(path, MAX_PROC_TEXT, &pids, &len, e);
    if (rc < 0)
        return rc;
    r->left = 0;
    r->left_pids[0] = '\0';
    for (char *pid = strtok_r(pids, "\n", &save); pid; pid = strtok_r(NULL, "\n", &save)) {
        /* "0" would mean ourselves to the kernel, but is somebody we cannot see. */
        rc = strcmp(pid, "0") == 0 ? -EPERM : move(root, pid);
        if (rc == 0)
            r->moved++;
        else if (rc != -ESRCH) /* ended meanwhile */
            note_left(r, pid);
    }
    return 0;
}

static void note_controller(char *list, size_t cap, const char *name) {
    struct text t = { .buf = list, .cap = cap, .len = strlen(list) };
    text_add(&t, "%s%s", t.len ? " " : "", name);
}

/* All controllers for the children of `dir`. In one write, which the kernel takes or
 * refuses as a whole; if one of them is the reason (cpu with real-time tasks, say), one
 * by one. -EBUSY while processes are in the way. */
static int enable_all(const char *dir, struct cgroup_report *r) {
    char path[PATH_MAX], names[256], change[512], *save = NULL;
    struct text all = TEXT(change);
    int rc = in_root(path, sizeof path, dir, "cgroup.controllers");
    if (rc < 0)
        return rc;
    r->enabled[0] = r->refused[0] = change[0] = '\0';
    file_peek(path, names, sizeof names);
    names[strcspn(names, "\n")] = '\0';
    struct text enabled = TEXT(r->enabled);
    text_add(&enabled, "%s", names);
    for (char *c = strtok_r(names, " ", &save); c; c = strtok_r(NULL, " ", &save))
        text_add(&all, "%s+%s", all.len ? " " : "", c);
    if (all.len == 0)
        return 0;
    rc = file_poke(dir, "cgroup.subtree_control", change);
    if (rc == 0 || rc == -EBUSY || rc == -EROFS || rc == -EACCES || rc == -EPERM)
        return rc;
    r->enabled[0] = '\0';
    for (char *c = strtok_r(change, " ", &save); c; c = strtok_r(NULL, " ", &save)) {
        bool ok = file_poke(dir, "cgroup.subtree_control", c) == 0;
        note_controller(ok ? r->enabled : r->refused, sizeof r->enabled, c + 1);
    }
    return 0;
}

/* Pass after pass, as processes outside of our control (docker exec) may join the root
 * between a move and the enabling. */
static int empty_and_enable(const char *root, struct cgroup_report *r, struct err *e) {
    int pause = BACKOFF_FIRST_MS, rc = -EBUSY;
    for (r->rounds = 0; r->rounds < MAX_CGROUP_ROUNDS && rc == -EBUSY;) {
        r->rounds++;
        rc = move_all(root, r, e);
        if (rc < 0)
            return rc;
        rc = enable_all(root, r);
        if (rc == -EBUSY && r->rounds < MAX_CGROUP_ROUNDS) {
            (void)poll(NULL, 0, pause);
            pause = 2 * pause < BACKOFF_MAX_MS ? 2 * pause : BACKOFF_MAX_MS;
        }
    }
    if (rc == -EBUSY && r->left == 0)
        return err_set(e, EBUSY, "new processes keep joining %s, even after %d rounds", root,
                       r->rounds);
    if (rc == -EBUSY)
        return err_set(e, EBUSY, "after %d rounds %s still has %d of its processes (pids %s)",
                       r->rounds, root, r->left, r->left_pids);
    return rc < 0 ? err_sys(e, -rc, "enable controllers in %s", root) : 0;
}

/* Processes to the leaf, controllers to the children. */
static int vacate(const char *root, pid_t init_pid, struct cgroup_report *r, struct err *e) {
    char pid[16];
    int rc = make_group(root, "init", e);
    if (rc < 0)
        return rc;
    (void)snprintf(pid, sizeof pid, "%d", (int)init_pid);
    rc = move(root, pid);
    if (rc < 0)
        return err_sys(e, -rc, "move process %s to %s/init", pid, root);
    r->moved++;
    return empty_and_enable(root, r, e);
}

static int make_leaf(const char *root, struct cgroup_report *r, struct err *e) {
    char leaf[PATH_MAX];
    struct cgroup_report inner = { 0 };
    int rc = make_group(root, "pinnace", e);
    if (rc < 0)
        return rc;
    rc = in_root(leaf, sizeof leaf, root, "pinnace");
    if (rc == 0)
        rc = enable_all(leaf, &inner);
    if (rc < 0)
        return err_sys(e, -rc, "enable controllers in %s/pinnace", root);
    r->leaf = true;
    return 0;
}

int cgroup_divide(const char *root, pid_t init_pid, struct cgroup_report *r, struct err *e) {
    *r = (struct cgroup_report){ 0 };
    int kind = kind_of(root, e);
    if (kind < 0)
        return kind;
    int rc = kind == 1 ? vacate(root, init_pid, r, e) : enable_all(root, r);
    if (rc < 0)
        return kind == 1 ? rc : err_sys(e, -rc, "enable controllers in %s", root);
    return make_leaf(root, r, e);
}

int cgroup_remount(const char *root) {
    struct statvfs v;
    if (statvfs(root, &v) < 0)
        return -errno;
    /* A bind remount changes this mount only, never the shared file system, and must
     * repeat the flags it is to keep (mount(2)). */
    unsigned long keep = 0;
    keep |= v.f_flag & ST_NOSUID ? MS_NOSUID : 0UL;
    keep |= v.f_flag & ST_NODEV ? MS_NODEV : 0UL;
    keep |= v.f_flag & ST_NOEXEC ? MS_NOEXEC : 0UL;
    return mount(NULL, root, NULL, MS_REMOUNT | MS_BIND | keep, NULL) < 0 ? -errno : 0;
}
