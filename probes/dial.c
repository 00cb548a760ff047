/* Connecting. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "base/own.h"
#include "probes/attempt.h"

enum { REFUSED_PAUSE_MS = 5 };

/* One address being tried. */
struct call {
    const struct address *to;
    int fd;  /* -1 when not under way */
    int why; /* errno of the last try, 0 before it ends */
};

static void call_fail(struct call *c, int why) {
    c->why = why;
    fd_close(&c->fd);
}

static void call_start(struct call *c) {
    c->why = 0;
    c->fd = socket(c->to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        c->why = errno;
    else if (connect(c->fd, (const struct sockaddr *)&c->to->sa, c->to->len) < 0 &&
             errno != EINPROGRESS)
        call_fail(c, errno);
}

/* A connect to a port of the ephemeral range, tried again and again, sooner or later
 * gets that very port as its own and meets itself (simultaneous open, RFC 9293 3.5). */
static bool met_itself(int fd) {
    struct sockaddr_storage here, there;
    memset(&here, 0, sizeof here);
    memset(&there, 0, sizeof there);
    socklen_t a = sizeof here, b = sizeof there;
    return getsockname(fd, (struct sockaddr *)&here, &a) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &b) == 0 && a == b &&
           memcmp(&here, &there, a) == 0;
}

/* poll says that it is decided. True: connected. */
static bool call_connected(struct call *c) {
    int why = 0;
    socklen_t len = sizeof why;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
        why = errno;
    if (why == 0 && met_itself(c->fd)) {
        /* Reset, for a TIME_WAIT would keep the service from its port. */
        struct linger reset = { .l_onoff = 1, .l_linger = 0 };
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        why = ECONNREFUSED;
    }
    if (why != 0)
        call_fail(c, why);
    return why == 0;
}

struct calls {
    struct call call[MAX_PROBE_ADDRS];
    size_t n;
    bool patient;
    instant again; /* when the refused ones are tried next */
};

static bool call_refused(const struct calls *cs, const struct call *c) {
    return cs->patient && c->fd < 0 && c->why == ECONNREFUSED;
}

static void calls_start(struct calls *cs, instant now) {
    if (instant_before(now, cs->again))
        return;
    for (size_t i = 0; i < cs->n; i++)
        if (call_refused(cs, &cs->call[i]))
            call_start(&cs->call[i]);
    cs->again = instant_add(now, span_ms(REFUSED_PAUSE_MS));
}

/* One poll: the descriptor that got through, -EAGAIN to go on, -ETIMEDOUT, or -ENOTCONN
 * when there is nothing left to wait for. */
static int calls_turn(struct calls *cs, instant deadline) {
    struct pollfd p[MAX_PROBE_ADDRS];
    bool waiting = false, refused = false;
    for (size_t i = 0; i < cs->n; i++) {
        p[i] = (struct pollfd){ .fd = cs->call[i].fd, .events = POLLOUT };
        waiting = waiting || p[i].fd >= 0;
        refused = refused || call_refused(cs, &cs->call[i]);
    }
    if (!waiting && !refused)
        return -ENOTCONN;
    instant until = refused ? instant_min(cs->again, deadline) : deadline;
    int n = poll(p, (nfds_t)cs->n, instant_timeout_ms(until, instant_now()));
    for (size_t i = 0; n > 0 && i < cs->n; i++)
        if (p[i].revents && call_connected(&cs->call[i]))
            return fd_take(&cs->call[i].fd);
    return instant_before(instant_now(), deadline) ? -EAGAIN : -ETIMEDOUT;
}

/* The first address is the one people mean, so its trouble is the one that is told. */
static int calls_explain(const struct calls *cs, int rc, struct err *e) {
    char text[ADDRESS_TEXT];
    const struct call *c = &cs->call[0];
    (void)address_text(c->to, text);
    if (c->why == 0)
        return err_set(e, ETIMEDOUT, "connect %s: no answer in time", text);
    return err_set(e, rc == -ETIMEDOUT ? ETIMEDOUT : c->why, "connect %s: %s", text,
                   strerror(c->why));
}

int dial_any(const struct address *to, size_t n, bool patient, instant deadline, struct err *e) {
    struct calls cs = { .n = n, .patient = patient, .again = { 0 } };
    for (size_t i = 0; i < n; i++) {
        cs.call[i] = (struct call){ .to = &to[i], .fd = -1 };
        call_start(&cs.call[i]);
    }
    cs.again = instant_add(instant_now(), span_ms(REFUSED_PAUSE_MS));
    int rc;
    while ((rc = calls_turn(&cs, deadline)) == -EAGAIN)
        calls_start(&cs, instant_now());
    if (rc < 0)
        rc = calls_explain(&cs, rc, e);
    for (size_t i = 0; i < n; i++)
        fd_close(&cs.call[i].fd);
    return rc;
}

int dial_unix(const char *path) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, strlen(path));
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return -errno;
    return fd_take(&fd);
}

int dial_vsock(unsigned cid, unsigned port, instant deadline) {
    struct sockaddr_vm to = { .svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port };
    int why = 0;
    socklen_t len = sizeof why;
    AUTO_FD int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        int rc = errno == EINPROGRESS ? await_fd(fd, POLLOUT, deadline) : -errno;
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0)
            rc = -why;
        if (rc < 0)
            return rc;
    }
    return fd_take(&fd);
}
