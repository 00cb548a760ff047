/* PURE: the storage driver, cgroups, mounts, and what kind of box this is. */
#include "engine/planner.h"

#include <linux/capability.h>
#include <string.h>

static void plan_storage_auto(struct planner *p) {
    const struct engine_facts *f = p->facts;
    if (f->overlay != OVERLAY_FAILS)
        return;
    const char *driver = f->fuse_overlayfs ? "fuse-overlayfs" : "vfs";
    const char *why = strerror(f->overlay_code);
    if (f->stored_driver[0] && strcmp(f->stored_driver, driver) != 0) {
        planner_note(p, LOG_WARN,
                     "overlay does not work on %.100s (%s), but it holds data of %s, so the "
                     "storage driver is left alone",
                     f->data_root, why, f->stored_driver);
        return;
    }
    if (strcmp(driver, "vfs") == 0)
        planner_note(p, LOG_WARN,
                     "overlay does not work on %.100s (%s): vfs copies every layer in full, which "
                     "costs much time and disk; mount a volume there, or install fuse-overlayfs",
                     f->data_root, why);
    else
        planner_note(p, LOG_INFO, "overlay does not work on %.100s (%s): using fuse-overlayfs",
                     f->data_root, why);
    planner_want(p, "storage-driver", driver, true);
}

void plan_storage(struct planner *p) {
    const char *wanted = p->conf->storage_driver;
    if (planner_user_set(p, "storage-driver"))
        return;
    if (wanted && strcmp(wanted, "auto") != 0)
        planner_want(p, "storage-driver", wanted, true);
    else
        plan_storage_auto(p);
}

void plan_cgroup(struct planner *p) {
    const struct engine_facts *f = p->facts;
    if (p->conf->cgroup == ENGINE_CGROUP_OFF || p->out->rootless)
        return;
    if (f->cgroup == CGROUP_NONE)
        planner_note(p, LOG_WARN,
                     "no cgroup file system on /sys/fs/cgroup: dockerd will not start without");
    if (f->cgroup != CGROUP_UNIFIED)
        return;
    if (!f->cgroup_own_root) {
        planner_note(p, LOG_WARN,
                     "/sys/fs/cgroup shows a tree that is not ours alone (no cgroup namespace of "
                     "our own): left as it is, so limits of nested containers may not work");
        return;
    }
    bool remount = !f->cgroup_writable && f->cgroup_read_only && planner_has_cap(p, CAP_SYS_ADMIN);
    if (!f->cgroup_writable && !remount) {
        planner_note(p, LOG_WARN,
                     "/sys/fs/cgroup %s: no cgroup can be made there, so nested containers "
                     "cannot be started",
                     f->cgroup_read_only ? "is read-only" : "belongs to somebody else");
        return;
    }
    p->out->cgroup_remount = remount;
    p->out->cgroup_evacuate = true;
}

void plan_mounts(struct planner *p) {
    bool may = planner_has_cap(p, CAP_SYS_ADMIN) && p->facts->uid == 0;
    if (!p->out->rootless && !may)
        planner_note(p, LOG_WARN,
                     "no CAP_SYS_ADMIN: dockerd needs a privileged box, or a rootless engine");
    if (p->out->rootless && !p->facts->tun)
        planner_note(p, LOG_WARN,
                     "/dev/net/tun cannot be opened: rootlesskit makes no network without it; "
                     "give the container --device=/dev/net/tun");
    p->out->share_root = may && !p->out->rootless;
    p->out->mount_securityfs = may && !p->out->rootless;
    p->out->tmpfs_tmp = p->conf->tmpfs_tmp;
}

void plan_surroundings(struct planner *p) {
    const struct engine_facts *f = p->facts;
    if (f->host_socket[0])
        planner_note(
            p, LOG_WARN,
            "%s is mounted from outside: that is not a sandbox, whoever uses it is root outside",
            f->host_socket);
    if (f->gvisor)
        planner_note(p, LOG_INFO,
                     "this is gVisor: docker needs runsc's --net-raw and a storage driver other "
                     "than overlay2");
    if (f->firecracker)
        planner_note(p, LOG_INFO, "this is a Firecracker microVM");
    if (f->sysbox)
        planner_note(p, LOG_INFO, "this is a Sysbox container");
    if (f->kubernetes)
        planner_note(p, LOG_INFO, "this is a Kubernetes pod");
    if (f->dagger)
        planner_note(p, LOG_INFO, "this runs inside Dagger");
    if (!f->userns_initial && f->uid == 0)
        planner_note(p, LOG_INFO, "root is mapped: we are inside a user namespace");
    if (f->pidfile_exists)
        planner_note(p, LOG_DEBUG, "%.150s is left from an earlier run, or an engine is running",
                     f->pidfile);
}
