#include "pid1/role.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"

enum {
    RESTART_MIN_MS = 5,   /* pause before a role that died is started again; doubles */
    RESTART_MAX_MS = 250, /* services wait for the log role when their pipes are full */
    STEADY_S = 10,        /* having lived so long, the pause starts over */
    AGAIN_MS = 20,        /* pause before descriptors that the kernel refused are sent again */
};

static void sock_close(struct role *r) {
    loop_unwatch(&r->sock);
    fd_close(&r->sock.fd);
}

static void start_later(struct role *r) {
    int64_t ms = RESTART_MIN_MS;
    for (unsigned i = 1; i < r->failures && ms < RESTART_MAX_MS; i++)
        ms *= 2;
    timer_arm(r->loop, &r->restart, span_ms(ms < RESTART_MAX_MS ? ms : RESTART_MAX_MS));
}

static void failed(struct role *r) {
    if (instant_since(r->loop->now, r->started).ns > span_s(STEADY_S).ns)
        r->failures = 0;
    r->failures++;
    start_later(r);
}

/* One message. As wire_recv(). */
static int hear_one(struct role *r) {
    union wire_any m;
    int fds[JOB_NFDS] = { -1, -1, -1, -1 };
    int rc = r->takes_fds ? wire_recv_fds(r->sock.fd, &m, fds) : wire_recv(r->sock.fd, &m);
    if (rc > 0 && r->said)
        r->said(r, &m, fds);
    for (int i = 0; i < JOB_NFDS; i++)
        fd_close(&fds[i]);
    return rc;
}

static int hear(struct role *r) {
    int rc = 1;
    for (int i = 0; i < MAX_HEARD && rc > 0; i++)
        rc = hear_one(r);
    if (rc < 0) {
        sock_close(r);
        role_kill(r);
    }
    return rc;
}

void role_hear(struct role *r) {
    if (r->sock.fd >= 0)
        (void)hear(r);
}

/* Its last words: they are not said again. Its children may still hold its end; what one of them
 * says from now on fails, rather than being lost. */
static void hear_last(struct role *r) {
    if (r->sock.fd < 0)
        return;
    (void)shutdown(r->sock.fd, SHUT_RD);
    while (hear_one(r) > 0)
        continue;
    sock_close(r);
}

static void exited(struct child *c, struct exit_info how) {
    struct role *r = CONTAINER_OF(c, struct role, child);
    hear_last(r);
    timer_stop(&r->again);
    if (r->ended)
        r->ended(r);
    if (r->quitting)
        return;
    log_warn(NULL, "role %s ended (%s %d) and is started again", r->name,
             how.signaled ? "signal" : "exit status", how.code);
    r->restarts++;
    failed(r);
}

/* A role that does not make sense is ended; its exit starts the next one. */
static void sock_ready(struct source *s, uint32_t got) {
    struct role *r = CONTAINER_OF(s, struct role, sock);
    if (hear(r) >= 0 && (got & EPOLLOUT) && s->want != EPOLLIN) {
        s->want = EPOLLIN;
        (void)loop_watch(r->loop, s);
        r->pump(r);
    }
}

static void again_fired(struct timer *t) {
    struct role *r = CONTAINER_OF(t, struct role, again);
    r->pump(r);
}

static void restart_fired(struct timer *t) { role_start(CONTAINER_OF(t, struct role, restart)); }

void role_init(struct role *r, struct loop *l, struct children *cs) {
    r->loop = l;
    r->children = cs;
    r->child.exited = exited;
    r->restart.fire = restart_fired;
    r->again.fire = again_fired;
    r->sock = (struct source){ .fd = -1, .want = EPOLLIN, .ready = sock_ready };
}

static int role_fork(struct role *r, struct err *e) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return err_sys(e, errno, "make a socket pair");
    AUTO_FD int ours = pair[0];
    AUTO_FD int theirs = pair[1];
    struct fork_req req = { .title = r->name };
    r->describe(r, &req, theirs);
    pid_t pid = r->loop->sys->fork(r->loop->sys, &req, e);
    if (pid < 0)
        return pid;
    children_add(r->children, &r->child, pid);
    r->sock.fd = fd_take(&ours);
    r->sock.want = EPOLLIN;
    return loop_watch(r->loop, &r->sock);
}

void role_start(struct role *r) {
    struct err e = { 0 };
    timer_stop(&r->restart);
    r->started = r->loop->now;
    if (role_fork(r, &e) < 0 && !r->child.pid) {
        log_error(NULL, "role %s cannot start: %s; trying again", r->name, e.text);
        failed(r);
        return;
    }
    r->pump(r);
}

static bool sent(struct role *r, int rc) {
    if (rc == -EAGAIN && r->sock.want == EPOLLIN) {
        r->sock.want = EPOLLIN | EPOLLOUT;
        (void)loop_watch(r->loop, &r->sock);
    }
    if (rc == -ETOOMANYREFS)
        timer_arm(r->loop, &r->again, span_ms(AGAIN_MS));
    return rc == 0;
}

bool role_send(struct role *r, const struct wire_head *m) {
    return r->sock.fd >= 0 && sent(r, wire_send(r->sock.fd, m));
}

bool role_send_fds(struct role *r, const struct wire_job *m, const int fds[JOB_NFDS]) {
    return r->sock.fd >= 0 && sent(r, wire_send_fds(r->sock.fd, m, fds));
}

void role_quit(struct role *r) {
    struct wire_word quit = { .head = WIRE_HEAD(WIRE_QUIT, struct wire_word) };
    timer_stop(&r->restart);
    r->quitting = true;
    if (r->child.pid && !role_send(r, &quit.head))
        role_kill(r);
}

void role_kill(struct role *r) {
    if (r->child.pid)
        (void)r->loop->sys->kill(r->loop->sys, r->child.pid, SIGKILL);
}

bool role_runs(const struct role *r) { return r->child.pid != 0 || timer_armed(&r->restart); }
