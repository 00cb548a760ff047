/* publish.c — telling the world: log lines, the timeline, the file `ready`, sd_notify(3),
 * the s6 descriptor, and the channel. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "pid1/box.h"
#include "svc/notify.h"

#define READY "READY=1\nSTATUS=ready"
enum { NOTIFY_MS = 5000 };

void publish_mark(struct box *b, int unit, enum mark_kind kind) {
    timeline_add(&b->timeline, b->loop.now, unit, kind);
    publish_change(b);
}

void publish_change(struct box *b) {
    b->told.box = false;
    b->seq++;
}

/* --- upwards ------------------------------------------------------------------------------ */

static int notify_run(void *arg) {
    const struct box *b = arg;
    int rc = notify_send(b->notify_up, READY, instant_add(instant_now(), span_ms(NOTIFY_MS)));
    if (rc < 0)
        log_warn(NULL, "tell NOTIFY_SOCKET %s: %s", b->notify_up, strerror(-rc));
    return rc < 0;
}

static void notified(struct child *c, struct exit_info how) {
    (void)c; /* it has said itself what went wrong */
    (void)how;
}

/* sd_notify(3). Where that may take a while, in a fork. */
static void notify_up(struct box *b) {
    int keep = log_fd();
    struct fork_req r = {
        .title = "notify", .run = notify_run, .arg = b, .keep = &keep, .nkeep = 1
    };
    if (!b->notify_up)
        return;
    if (!notify_waits(b->notify_up)) {
        (void)notify_run(b);
        return;
    }
    struct err e = { 0 };
    pid_t pid = b->notifier.pid ? 0 : b->sys->fork(b->sys, &r, &e);
    b->notifier.exited = notified;
    if (pid < 0)
        log_warn(NULL, "NOTIFY_SOCKET %s is not told: %s", b->notify_up, e.text);
    if (pid > 0)
        children_add(&b->children, &b->notifier, pid);
}

/* s6: a newline, then the end of file. Not blocking: it may be any descriptor. */
static void notify_fd(struct box *b) {
    if (b->ready_fd < 0)
        return;
    (void)fcntl(b->ready_fd, F_SETFL, O_NONBLOCK);
    (void)!write(b->ready_fd, "\n", 1);
    fd_close(&b->ready_fd);
}

static void ready_file(const struct box *b, bool there) {
    char path[RUNDIR_MAX + 16];
    if (!b->has_run_dir)
        return;
    (void)snprintf(path, sizeof path, "%s/ready", b->run_dir);
    if (!there) {
        (void)unlink(path);
        return;
    }
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        log_warn(NULL, "make %s: %s", path, strerror(errno));
}

static void became_ready(struct box *b) {
    char d[24];
    bool first = instant_is_never(b->ready_at);
    timer_stop(&b->boot_deadline);
    if (b->phase == PHASE_BOOT)
        b->phase = PHASE_SERVE;
    publish_mark(b, -1, MARK_BOX_READY);
    if (first)
        b->ready_at = b->loop.now;
    b->channel.pump(&b->channel); /* first: who sees the file may ask at once */
    ready_file(b, true);
    enum log_level level = b->nunits > (b->main >= 0 ? 1U : 0U) ? LOG_INFO : LOG_DEBUG;
    log_line(level, NULL, "ready%s%s", first ? " after " : " again",
             first ? format_span(d, sizeof d, instant_since(b->ready_at, b->started)) : "");
    if (first) {
        notify_up(b);
        notify_fd(b);
    }
}

static void became_unready(struct box *b) {
    ready_file(b, false);
    publish_mark(b, -1, MARK_BOX_UNREADY);
    if (b->phase < PHASE_DRAIN)
        log_warn(NULL, "no longer ready");
}

/* --- units ---------------------------------------------------------------------------------- */

bool box_is_main_started(const struct box *b) { return b->main < 0 || b->svcs[b->main].executed; }

/* Ready: every unit that can be is up, but for those that somebody has stopped, and CMD has been
 * executed. */
static bool is_ready(const struct box *b) {
    if (b->phase < PHASE_BOOT || b->phase >= PHASE_DRAIN || !box_is_main_started(b))
        return false;
    for (size_t i = 0; i < b->nunits; i++)
        if ((int)i != b->main && !svc_is_up(&b->svcs[i]) && !b->svcs[i].parked)
            return false;
    return true;
}

static enum mark_kind mark_of(enum svc_state s) {
    switch (s) {
    case SVC_STARTING:
        return MARK_SPAWN;
    case SVC_READY:
        return MARK_READY;
    case SVC_STOPPING:
        return MARK_STOPPING;
    case SVC_FAILED:
        return MARK_FAILED;
    default:
        return MARK_ENDED;
    }
}

static void log_change(const struct box *b, const struct svc *s, enum svc_state was) {
    char d[24], wait[24];
    const char *name = s->conf->name;
    bool quiet = s->kind == SVC_KIND_MAIN; /* CMD's own output and status speak for it */
    span took = instant_since(b->loop.now, was == SVC_STARTING ? s->since : b->loop.now);
    switch (s->state) {
    case SVC_READY:
        if (!quiet && s->conf->ready)
            log_info(name, "ready (pid %d)", s->child.pid);
        break;
    case SVC_BACKOFF:
        log_warn(name, "%s; starting it again in up to %s", s->reason,
                 format_span(wait, sizeof wait, svc_backoff(s->conf, s->ends, 0)));
        break;
    case SVC_FAILED:
        log_error(name, "failed: %s", s->reason);
        break;
    case SVC_DONE:
        if (!quiet)
            log_info(name, "done");
        break;
    case SVC_STOPPING:
        if (s->found_dead)
            log_warn(name, "%s; stopping it", s->reason);
        break;
    default:
        log_debug(name, "%s after %s", svc_state_name(s->state), format_span(d, sizeof d, took));
    }
}

void publish_unit(struct box *b, struct svc *s, enum svc_state was) {
    size_t i = (size_t)(s - b->svcs);
    bool ended = was != s->state && svc_state_runs(was) && !svc_state_runs(s->state);
    b->gear[i].stale = true;
    b->gear[i].flush |= ended && b->gear[i].log_read >= 0;
    publish_mark(b, (int)i, mark_of(s->state));
    if (s->kind != SVC_KIND_MAIN || s->state == SVC_BACKOFF)
        log_change(b, s, was);
}

static void unit_noted(struct supervisor *sup, struct svc *s) {
    struct box *b = CONTAINER_OF(sup, struct box, sup);
    b->gear[s - b->svcs].stale = true;
    publish_change(b);
}

void publish_init(struct box *b) {
    b->sup.noted = unit_noted;
    b->notify_up = getenv("NOTIFY_SOCKET");
    b->ready_at = INSTANT_NEVER;
    b->ready_fd = b->conf->pinnace.ready_fd ? (int)b->conf->pinnace.ready_fd : -1;
    if (b->ready_fd >= 0)
        (void)fcntl(b->ready_fd, F_SETFD, FD_CLOEXEC);
    ready_file(b, false); /* of a box before this one */
}

void publish_turn(struct box *b) {
    bool ready = is_ready(b);
    if (ready != b->ready) {
        b->ready = ready;
        if (ready)
            became_ready(b);
        else
            became_unready(b);
    }
    if (b->told.orphans != b->children.orphans) {
        b->told.orphans = b->children.orphans;
        b->told.box = false;
    }
    b->log.pump(&b->log);
    b->channel.pump(&b->channel);
}
