#include "channel/e2b/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/box_waits.h"
#include "channel/unit_log.h"

enum { LAST_LINES_MS = 200 }; /* from a service's end until its last lines are in its log */

struct service_log {
    struct e2b_stream *s;
    struct channel *channel;
    struct box_observer observer;
    struct child child;
    struct source pipe;
    struct timer linger;
    int unit;
    int32_t pid;
};

/* --- which one -------------------------------------------------------------------------------- */

static const struct wire_unit *unit_of(const struct service_log *l) {
    return &l->channel->mirror.units[l->unit];
}

void services_put(const struct channel *ch, struct text *t) {
    for (size_t i = 0; i < ch->mirror.nunits; i++) {
        const struct wire_unit *u = &ch->mirror.units[i];
        if (u->pid <= 0)
            continue;
        proto_comma(t);
        text_add(t, "{\"config\":{");
        proto_put_text(t, "cmd", u->name);
        text_add(t, ",\"args\":[],\"envs\":{}},\"pid\":%d", (int)u->pid);
        proto_put_text(t, "tag", u->name);
        text_add(t, "}");
    }
}

static int find(const struct mirror *m, const struct e2b_selector *which) {
    for (size_t i = 0; i < m->nunits; i++) {
        const struct wire_unit *u = &m->units[i];
        bool is_it = which->by_pid ? u->pid == which->pid : strcmp(u->name, which->tag) == 0;
        if (is_it && u->pid > 0)
            return (int)i;
    }
    return -1;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* How it ended is known only as a shell's status. */
static void send_end(struct service_log *l) {
    char buf[256];
    struct text t = TEXT(buf);
    const struct wire_unit *u = unit_of(l);
    int status = u->ended ? u->exit_status : 0;
    text_add(&t, "{\"event\":{\"end\":{");
    if (status)
        text_add(&t, "\"exitCode\":%d,\"error\":\"exit status %d\",", status, status);
    text_add(&t, "\"exited\":true,\"status\":\"exit status %d\"}}}", status);
    e2b_stream_text(l->s, &t);
    e2b_stream_end(l->s);
}

static void linger_over(struct timer *t) { send_end(CONTAINER_OF(t, struct service_log, linger)); }

static void changed(struct box_observer *o) {
    struct service_log *l = CONTAINER_OF(o, struct service_log, observer);
    if (unit_of(l)->pid == l->pid || timer_armed(&l->linger))
        return;
    timer_arm(&l->channel->loop, &l->linger, span_ms(LAST_LINES_MS));
}

/* --- its log ---------------------------------------------------------------------------------- */

static void read_log(struct service_log *l) {
    char buf[E2B_CHUNK];
    ssize_t n = 0;
    while (e2b_stream_room(l->s) >= E2B_DATA && (n = read(l->pipe.fd, buf, sizeof buf)) > 0)
        e2b_send_data(l->s, "stdout", buf, (size_t)n);
    bool ended = n == 0 && e2b_stream_room(l->s) >= E2B_DATA;
    if (ended || e2b_stream_room(l->s) < E2B_DATA)
        loop_unwatch(&l->pipe);
    else
        (void)loop_watch(&l->channel->loop, &l->pipe);
}

static void pipe_ready(struct source *s, uint32_t got) {
    (void)got;
    read_log(CONTAINER_OF(s, struct service_log, pipe));
}

void service_log_room(struct service_log *l) {
    if (l->pipe.fd >= 0)
        read_log(l);
}

static void reader_exited(struct child *c, struct exit_info how) { (void)c, (void)how; }

struct reading {
    struct unit_log log;
    int fd;
};

static int run_reader(void *arg) {
    struct reading *r = arg;
    return unit_log_write(r->fd, &r->log);
}

static bool start_reader(struct service_log *l, bool replay) {
    struct channel *ch = l->channel;
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return false;
    l->pipe.fd = p[0];
    AUTO_FD int writer = p[1];
    struct reading r = {
        .log = { .dir = ch->role->log_dir, .tail = replay ? -1 : 0, .follow = true }, .fd = writer
    };
    memcpy(r.log.name, unit_of(l)->name, sizeof r.log.name);
    struct fork_req f = {
        .title = "reader", .run = run_reader, .arg = &r, .keep = &writer, .nkeep = 1
    };
    pid_t pid = fcntl(l->pipe.fd, F_SETFL, O_NONBLOCK) < 0 ? -1 : ch->sys.fork(&ch->sys, &f, NULL);
    if (pid < 0)
        return false;
    children_add(&ch->children, &l->child, pid);
    return loop_watch(&ch->loop, &l->pipe) == 0;
}

/* CMD writes to the box's own output, and there may be no log files: then there are no lines. */
struct service_log *service_log_begin(struct e2b_stream *s, const struct e2b_selector *which,
                                      bool replay) {
    struct channel *ch = channel_of(s->x);
    int unit = find(&ch->mirror, which);
    struct service_log *l = unit < 0 ? NULL : calloc(1, sizeof *l);
    char buf[64];
    struct text t = TEXT(buf);
    if (!l)
        return NULL;
    *l = (struct service_log){ .s = s,
                               .channel = ch,
                               .observer.changed = changed,
                               .child.exited = reader_exited,
                               .pipe = { .fd = -1, .want = EPOLLIN, .ready = pipe_ready },
                               .linger.fire = linger_over,
                               .unit = unit,
                               .pid = ch->mirror.units[unit].pid };
    box_observe(ch, &l->observer);
    text_add(&t, "{\"event\":{\"start\":{\"pid\":%d}}}", (int)l->pid);
    e2b_stream_text(s, &t);
    bool logged = ch->role->log_dir && strcmp(unit_of(l)->name, "main") != 0;
    if (logged && !start_reader(l, replay))
        e2b_stream_fail(s, E2B_EXHAUSTED, "cannot fork to read the log of %s", unit_of(l)->name);
    return l;
}

void service_log_free(struct service_log *l) {
    if (!l)
        return;
    if (l->child.pid) {
        (void)kill(l->child.pid, SIGKILL);
        children_forget(&l->child);
    }
    loop_unwatch(&l->pipe);
    fd_close(&l->pipe.fd);
    timer_stop(&l->linger);
    list_remove(&l->observer.link);
    free(l);
}
