/* roles.c — the roles of a box, and what PID 1 tells them. */
#include <string.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/log.h"
#include "pid1/box.h"

/* --- log ------------------------------------------------------------------------------- */

static void describe_log(struct role *r, struct fork_req *req, int child_sock) {
    struct box *b = CONTAINER_OF(r, struct box, log);
    b->log_args = (struct log_role){ .sock = child_sock,
                                     .units = b->log_units,
                                     .n = b->nunits,
                                     .dir = b->has_log_dir ? b->log_dir : NULL,
                                     .progress = b->log_progress };
    req->run = log_role_run;
    req->arg = &b->log_args;
    size_t n = 0;
    b->log_keep[n++] = child_sock;
    b->log_keep[n++] = log_fd();
    for (size_t i = 0; i < b->nunits; i++) {
        b->log_keep[n++] = b->gear[i].log_read;
        b->log_keep[n++] = b->gear[i].notify;
    }
    req->keep = b->log_keep; /* -1 stands for none */
    req->nkeep = n;
}

static void log_said(struct role *r, const union wire_any *m, int fds[JOB_NFDS]) {
    (void)fds;
    struct box *b = CONTAINER_OF(r, struct box, log);
    if (m->head.kind == WIRE_SAID && m->word.unit >= 0 && m->word.unit < (int)b->nunits)
        svc_said(&b->svcs[m->word.unit], (enum probe_kind)m->word.what);
}

static void log_pump(struct role *r) {
    struct box *b = CONTAINER_OF(r, struct box, log);
    for (size_t i = 0; i < b->nunits; i++) {
        struct wire_word flush = { .head = WIRE_HEAD(WIRE_FLUSH, struct wire_word),
                                   .unit = (int)i };
        if (b->gear[i].flush && !role_send(r, &flush.head))
            return;
        b->gear[i].flush = false;
    }
}

/* --- channel ------------------------------------------------------------------------------ */

static void describe_channel(struct role *r, struct fork_req *req, int child_sock) {
    struct box *b = CONTAINER_OF(r, struct box, channel);
    b->channel_args = (struct channel_role){
        .sock = child_sock,
        .channels = (const struct channel_conf *const *)b->conf->channels,
        .listen = b->listen,
        .nchannels = b->conf->nchannels,
        .shared = b->channel_shared,
        .run_dir = b->has_run_dir ? b->run_dir : NULL,
        .log_dir = b->has_log_dir ? b->log_dir : NULL,
        .env = b->job_env,
        .sigmask = b->sup.sigmask,
        .sigchld_ignored = b->sup.sigchld_ignored,
        .nofile = b->sup.nofile,
    };
    size_t n = 0;
    b->channel_keep[n++] = child_sock;
    b->channel_keep[n++] = log_fd();
    for (size_t i = 0; i < b->conf->nchannels; i++)
        b->channel_keep[n++] = b->listen[i];
    req->run = channel_role_run;
    req->arg = &b->channel_args;
    req->keep = b->channel_keep; /* -1 stands for none */
    req->nkeep = n;
    /* A new one knows nothing, and nobody has asked it for anything. */
    b->told.marks = 0;
    b->told.box = false;
    b->nasked = 0;
    held_forgotten(&b->jobs);
    for (size_t i = 0; i < b->nunits; i++)
        b->gear[i].stale = true;
}

static void channel_said(struct role *r, const union wire_any *m, int fds[JOB_NFDS]) {
    struct box *b = CONTAINER_OF(r, struct box, channel);
    if (m->head.kind == WIRE_JOB)
        drain_late(b, m->job.pid);
    if (m->head.kind >= WIRE_JOB && m->head.kind <= WIRE_JOB_DONE)
        held_said(&b->jobs, &m->job, fds);
    else if (m->head.kind == WIRE_UNIT_DO)
        units_said(b, &m->unit_do);
}

static void channel_ended(struct role *r) {
    held_adopt(&CONTAINER_OF(r, struct box, channel)->jobs);
}

static bool send_unit(struct box *b, size_t i) {
    const struct svc *s = &b->svcs[i];
    struct wire_unit u = {
        .head = WIRE_HEAD(WIRE_UNIT, struct wire_unit),
        .index = (int)i,
        .kind = (int)s->kind,
        .state = (int)s->state,
        .pid = s->child.pid,
        .ended = s->ended || s->exec_failure.code,
        .exit_status = svc_exit_status(s),
        .starts = s->starts,
        .failures = s->failures,
        .since = s->since,
    };
    memcpy(u.name, s->conf->name, sizeof u.name);
    memcpy(u.reason, s->reason, sizeof u.reason);
    return role_send(&b->channel, &u.head);
}

static bool send_mark(struct box *b, uint32_t i) {
    struct wire_mark m = { .head = WIRE_HEAD(WIRE_MARK, struct wire_mark),
                           .at = b->timeline.marks[i].at,
                           .unit = b->timeline.marks[i].unit,
                           .kind = b->timeline.marks[i].kind };
    return role_send(&b->channel, &m.head);
}

static bool send_box(struct box *b) {
    struct wire_box w = {
        .head = WIRE_HEAD(WIRE_BOX, struct wire_box),
        .seq = b->seq,
        .phase = (int)b->phase,
        .pid = (int)getpid(),
        .nunits = (int)b->nunits,
        .ready = b->ready,
        .started = b->started,
        .ready_at = b->ready_at,
        .orphans = b->children.orphans,
        .role_restarts = b->log.restarts + b->channel.restarts + b->net.restarts,
        .marks_lost = b->timeline.lost,
        .bugs = bug_count(),
    };
    memcpy(w.reason, b->reason, sizeof w.reason);
    return role_send(&b->channel, &w.head);
}

/* Jobs, units and marks first, the box last: when it arrives the picture is whole. */
static void channel_pump(struct role *r) {
    struct box *b = CONTAINER_OF(r, struct box, channel);
    if (!held_pump(&b->jobs) || !units_pump(b))
        return;
    for (size_t i = 0; i < b->nunits; i++) {
        if (b->gear[i].stale && !send_unit(b, i))
            return;
        b->gear[i].stale = false;
    }
    for (; b->told.marks < b->timeline.n; b->told.marks++)
        if (!send_mark(b, b->told.marks))
            return;
    if (!b->told.box)
        b->told.box = send_box(b);
}

/* --- net ---------------------------------------------------------------------------------- */

static void describe_net(struct role *r, struct fork_req *req, int child_sock) {
    struct box *b = CONTAINER_OF(r, struct box, net);
    b->net_args = (struct net_role){ .sock = child_sock, .conf = &b->net_conf, .box = &b->net_box };
    size_t n = 0;
    b->net_keep[n++] = child_sock;
    b->net_keep[n++] = log_fd();
    for (size_t i = 0; i < NET_NSOCKETS; i++)
        b->net_keep[n++] = b->net_args.sockets[i] = b->net_sockets[i];
    req->run = net_role_run;
    req->arg = &b->net_args;
    req->keep = b->net_keep; /* -1 stands for none */
    req->nkeep = n;
}

static void net_pump(struct role *r) { (void)r; } /* it hears of what it needs by itself */

/* --- all ---------------------------------------------------------------------------------- */

void roles_quit(struct box *b) {
    role_quit(&b->log);
    role_quit(&b->channel);
    role_quit(&b->net);
}

void roles_kill(struct box *b) {
    role_kill(&b->log);
    role_kill(&b->channel);
    role_kill(&b->net);
}

bool roles_run(const struct box *b) {
    return role_runs(&b->log) || role_runs(&b->channel) || role_runs(&b->net);
}

size_t roles_pids(const struct box *b, pid_t out[MAX_ROLES]) {
    out[0] = b->log.child.pid;
    out[1] = b->channel.child.pid;
    out[2] = b->net.child.pid;
    return MAX_ROLES;
}

void roles_init(struct box *b) {
    b->log = (struct role){
        .name = "log", .describe = describe_log, .said = log_said, .pump = log_pump
    };
    b->channel = (struct role){ .name = "channel",
                                .describe = describe_channel,
                                .said = channel_said,
                                .takes_fds = true,
                                .pump = channel_pump,
                                .ended = channel_ended };
    b->net = (struct role){ .name = "net", .describe = describe_net, .pump = net_pump };
    role_init(&b->net, &b->loop, &b->children);
    role_init(&b->log, &b->loop, &b->children);
    role_init(&b->channel, &b->loop, &b->children);
}
