#include "cli/host.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "conf/rundir.h"
#include "probes/attempt.h"

enum {
    BACKLOG_PAUSE_MS = 5, /* before a full backlog is tried again */
    KEEPALIVE_S = 30,     /* of silence; then a peer that has vanished is found out */
};

/* --- what was written ------------------------------------------------------------------------- */

/* "/run/box.vsock:1024": by way of a VMM's socket. */
static int parse_vmm(struct host *out, const char *text, struct err *e) {
    const char *port = strrchr(text, ':');
    if (!port)
        return err_set(e, EINVAL, "'%.80s' is not /PATH:PORT", text);
    (void)snprintf(out->path, sizeof out->path, "%.*s", (int)(port - text), text);
    if ((size_t)(port - text) >= sizeof out->path)
        return err_set(e, EINVAL, "a socket's path has at most %zu bytes", sizeof out->path - 1);
    return parse_uint(port + 1, 0, UINT32_MAX - 1, &out->port, e);
}

static int parse_vsock(struct host *out, const char *text, struct err *e) {
    char cid[16];
    size_t n = strcspn(text, ":");
    if (*text == '/')
        return parse_vmm(out, text, e);
    if (text[n] != ':' || n >= sizeof cid)
        return err_set(e, EINVAL, "'%.80s' is not CID:PORT", text);
    (void)snprintf(cid, sizeof cid, "%.*s", (int)n, text);
    int rc = parse_uint(cid, 0, UINT32_MAX - 1, &out->cid, e);
    return rc < 0 ? rc : parse_uint(text + n + 1, 0, UINT32_MAX - 1, &out->port, e);
}

int host_parse(struct host *out, const char *text, struct err *e) {
    int rc = 0;
    *out->path = '\0';
    (void)snprintf(out->text, sizeof out->text, "%s", text);
    if (has_prefix(text, "unix://")) {
        out->kind = HOST_UNIX;
        rc = path_check(text + 7, "unix", sizeof out->path, e);
        if (rc == 0)
            (void)snprintf(out->path, sizeof out->path, "%s", text + 7);
    } else if (has_prefix(text, "tcp://")) {
        out->kind = HOST_TCP;
        rc = endpoint_parse(&out->to, text + 6, "tcp", 0, HOST_OR_NAME, e);
    } else if (has_prefix(text, "vsock://")) {
        out->kind = HOST_VSOCK;
        rc = parse_vsock(out, text + 8, e);
    } else
        rc = err_set(e, EINVAL,
                     "it is not one of unix:///PATH, tcp://HOST:PORT, vsock://CID:PORT, "
                     "vsock:///PATH:PORT");
    return rc < 0 ? err_wrap(e, "host '%.80s'", text) : 0;
}

int host_find(struct host *out, const char *given, struct err *e) {
    char dir[RUNDIR_MAX];
    const char *run_dir = getenv("PINNACE_RUN_DIR"), *host = given ? given : getenv("PINNACE_HOST");
    *out = (struct host){ .kind = HOST_UNIX };
    if (host && host[0])
        return host_parse(out, host, e);
    if (rundir_find(run_dir ? run_dir : "auto", 0, dir, NULL) < 0)
        return err_set(e, ENOENT,
                       "no pinnace runs here (there is no run directory); -H or PINNACE_HOST "
                       "names one elsewhere");
    (void)snprintf(out->path, sizeof out->path, "%s/pinnace.sock", dir);
    (void)snprintf(out->text, sizeof out->text, "%s", out->path);
    return 0;
}

/* --- connecting ------------------------------------------------------------------------------- */

/* A backlog that is full says EAGAIN at once. */
static int dial_socket(const char *path, instant deadline) {
    int fd;
    while ((fd = dial_unix(path)) == -EAGAIN) {
        if (!instant_before(instant_now(), deadline))
            return -ETIMEDOUT;
        (void)poll(NULL, 0, BACKLOG_PAUSE_MS);
    }
    return fd;
}

/* Firecracker and Cloud Hypervisor have a machine's vsock as a socket of theirs: "CONNECT PORT" is
 * answered by "OK N", or by the end. Bytes behind that are the peer's already. */
static int dial_vmm(const struct host *h, instant deadline) {
    char line[64];
    size_t n = 0;
    AUTO_FD int fd = dial_socket(h->path, deadline);
    if (fd < 0)
        return fd;
    int len = snprintf(line, sizeof line, "CONNECT %u\n", h->port);
    int rc = send_all(fd, line, (size_t)len, deadline);
    if (rc < 0)
        return rc;
    do {
        ssize_t got = recv_some(fd, line + n, 1, deadline);
        if (got <= 0)
            return got < 0 ? (int)got : -ECONNREFUSED;
    } while (line[n] != '\n' && ++n < sizeof line - 1);
    line[n] = '\0';
    return has_prefix(line, "OK ") ? fd_take(&fd) : -EPROTO;
}

/* Streams may be silent for hours: a peer that is gone without a word must not be waited for. */
static void tune(int fd) {
    int on = 1, idle = KEEPALIVE_S, every = KEEPALIVE_S / 3;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
}

static int dial_tcp(const struct host *h, instant deadline, struct err *e) {
    struct address all[MAX_PROBE_ADDRS];
    int n = address_find(all, &h->to, deadline, e);
    int fd = n < 0 ? n : dial_any(all, (size_t)n, false, deadline, e);
    if (fd >= 0)
        tune(fd);
    return fd;
}

static int explain(const struct host *h, int rc, struct err *e) {
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        return err_set(e, -rc, "no pinnace answers at %s: %s", h->text, strerror(-rc));
    if (rc == -EACCES || rc == -EPERM)
        return err_set(e, EACCES, "you may not ask the pinnace at %s: %s", h->text, strerror(-rc));
    return err_sys(e, -rc, "connect to pinnace at %s", h->text);
}

int host_dial(const struct host *h, instant deadline, struct err *e) {
    if (h->kind == HOST_TCP) {
        int fd = dial_tcp(h, deadline, e);
        return fd < 0 ? err_wrap(e, "%s", h->text) : fd;
    }
    int fd = h->kind == HOST_UNIX ? dial_socket(h->path, deadline)
             : *h->path           ? dial_vmm(h, deadline)
                                  : dial_vsock(h->cid, h->port, deadline);
    return fd < 0 ? explain(h, fd, e) : fd;
}
