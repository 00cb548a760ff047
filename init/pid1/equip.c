/* equip.c — what units and roles are given: pipes, sockets, cgroups, directories. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "pid1/box.h"

/* Services run as any user, and each may say that it is ready. */
static int make_notify(struct box *b, size_t i, struct err *e) {
    struct unit_gear *g = &b->gear[i];
    if (!b->has_run_dir)
        return err_set(e, ENOENT, "%s: ready = notify needs a run directory", b->confs[i]->name);
    char dir[RUNDIR_MAX + 8];
    (void)snprintf(dir, sizeof dir, "%s/notify", b->run_dir);
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return err_sys(e, errno, "make %s", dir);
    (void)snprintf(g->notify_path, sizeof g->notify_path, "%s/%s", dir, b->confs[i]->name);
    g->notify = bind_unix(g->notify_path, SOCK_DGRAM, 0666, e);
    return g->notify < 0 ? g->notify : 0;
}

static int make_log_pipe(struct unit_gear *g, struct err *e) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(e, errno, "make a log pipe");
    g->log_read = p[0];
    g->log_write = p[1];
    /* The reading description only: a service's stdout must not be non-blocking. */
    (void)fcntl(g->log_read, F_SETFL, O_NONBLOCK);
    return 0;
}

static int equip_unit(struct box *b, size_t i, struct err *e) {
    struct unit_gear *g = &b->gear[i];
    struct svc *s = &b->svcs[i];
    const struct probe_spec *ready = b->confs[i]->ready;
    *g = (struct unit_gear){ .log_read = -1, .log_write = -1, .notify = -1, .cgroup = -1 };
    s->cgroup_fd = -1;
    s->stdio[0] = s->stdio[1] = s->stdio[2] = -1;
    int rc = 0;
    if (ready && ready->kind == PROBE_NOTIFY)
        rc = make_notify(b, i, e);
    else if (s->kind == SVC_KIND_ENGINE && b->has_run_dir)
        (void)make_notify(b, i, NULL); /* dockerd says READY=1: a hint, not needed */
    if (rc == 0 && s->kind != SVC_KIND_MAIN) {
        rc = make_log_pipe(g, e);
        s->stdio[0] = b->null_fd;
        s->stdio[1] = s->stdio[2] = g->log_write;
    }
    s->notify_path = g->notify >= 0 ? g->notify_path : NULL;
    b->log_units[i] = (struct log_unit){
        .name = b->confs[i]->name,
        .pipe_fd = g->log_read,
        .notify_fd = g->notify,
        .regex = ready && ready->kind == PROBE_LOG ? ready->arg : NULL,
        .target = b->confs[i]->log,
    };
    return rc;
}

static void make_log_dir(struct box *b) {
    const char *wanted = b->conf->pinnace.log_dir;
    bool automatic = strcmp(wanted, "auto") == 0;
    if (strcmp(wanted, "none") == 0 || (automatic && !b->has_run_dir))
        return;
    if (automatic)
        (void)snprintf(b->log_dir, sizeof b->log_dir, "%s/log", b->run_dir);
    else
        (void)snprintf(b->log_dir, sizeof b->log_dir, "%s", wanted);
    b->has_log_dir = mkdir(b->log_dir, 0755) == 0 || errno == EEXIST;
    if (!b->has_log_dir)
        log_warn(NULL, "no log files: make %s: %s", b->log_dir, strerror(errno));
}

int equip_units(struct box *b, struct err *e) {
    size_t n = b->nunits + 1;
    b->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (b->null_fd < 0)
        return err_sys(e, errno, "open /dev/null");
    b->log_units = calloc(n, sizeof *b->log_units);
    b->log_progress = mmap(NULL, n * sizeof b->log_progress->written[0], PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!b->log_units || b->log_progress == MAP_FAILED)
        return err_set(e, ENOMEM, "out of memory");
    make_log_dir(b);
    int rc = 0;
    for (size_t i = 0; i < b->nunits && rc == 0; i++)
        rc = equip_unit(b, i, e);
    return rc;
}

/* One leaf a service below the directory that prepare made. Without it, or where a leaf
 * cannot be made, a service shares our own cgroup, and its process group is all we have. */
void equip_cgroups(struct box *b) {
    for (size_t i = 0; i < b->nunits; i++) {
        char path[96];
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/pinnace/%s", b->confs[i]->name);
        if (b->svcs[i].kind == SVC_KIND_MAIN || (mkdir(path, 0755) < 0 && errno != EEXIST))
            continue;
        b->gear[i].cgroup = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        b->svcs[i].cgroup_fd = b->gear[i].cgroup;
    }
}

void equip_fini(struct box *b) {
    for (size_t i = 0; b->gear && i < b->nunits; i++) {
        fd_close(&b->gear[i].log_read);
        fd_close(&b->gear[i].log_write);
        fd_close(&b->gear[i].notify);
        fd_close(&b->gear[i].cgroup);
    }
    if (b->log_progress && b->log_progress != MAP_FAILED)
        (void)munmap(b->log_progress, (b->nunits + 1) * sizeof b->log_progress->written[0]);
    b->log_progress = NULL;
    mem_release(&b->log_units);
    fd_close(&b->null_fd);
}
