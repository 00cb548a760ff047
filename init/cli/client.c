#include "cli/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "conf/rundir.h"

static int socket_path(char *out, size_t cap, struct err *e) {
    const char *host = getenv("PINNACE_HOST");
    const char *run_dir = getenv("PINNACE_RUN_DIR");
    char dir[RUNDIR_MAX];
    if (host && has_prefix(host, "unix://")) {
        (void)snprintf(out, cap, "%s", host + strlen("unix://"));
        return 0;
    }
    if (host)
        return err_set(e, EINVAL, "PINNACE_HOST=%.80s is not unix:///path/to.sock", host);
    int rc = rundir_find(run_dir ? run_dir : "auto", 0, dir, NULL);
    if (rc < 0)
        return err_set(e, ENOENT, "no pinnace runs here (there is no run directory)");
    (void)snprintf(out, cap, "%s/pinnace.sock", dir);
    return 0;
}

static int wait_for(int fd, short what, instant deadline, struct err *e) {
    struct pollfd p = { .fd = fd, .events = what };
    int n;
    do
        n = poll(&p, 1, instant_timeout_ms(deadline, instant_now()));
    while (n < 0 && errno == EINTR);
    return n > 0 ? 0 : err_sys(e, n == 0 ? ETIMEDOUT : errno, "wait for pinnace's answer");
}

static int client_connect(const char *path, struct err *e) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof to.sun_path)
        return err_set(e, ENAMETOOLONG, "%s is too long for a socket", path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return err_sys(e, errno, "ask pinnace at %s", path);
    return fd_take(&fd);
}

static int receive_all(int fd, instant deadline, struct answer *out, struct err *e) {
    size_t cap = 0, n = 0;
    for (;;) {
        if (n + 4096 > cap) {
            cap = cap ? cap * 2 : 16384;
            char *more = realloc(out->bytes, cap);
            if (!more)
                return err_set(e, ENOMEM, "out of memory");
            out->bytes = more;
        }
        int rc = wait_for(fd, POLLIN, deadline, e);
        if (rc < 0)
            return rc;
        ssize_t got = recv(fd, out->bytes + n, cap - n - 1, 0);
        if (got < 0)
            return err_sys(e, errno, "read pinnace's answer");
        n += (size_t)got;
        out->bytes[n] = '\0';
        out->len = n;
        if (got == 0)
            return 0;
    }
}

static int split_answer(struct answer *a, struct err *e) {
    char *end = strstr(a->bytes, "\r\n\r\n");
    static const char version[] = "HTTP/1.1 ";
    bool known = end && has_prefix(a->bytes, version);
    a->status = known ? (int)strtol(a->bytes + strlen(version), NULL, 10) : 0;
    if (a->status < 100)
        return err_set(e, EPROTO, "pinnace's answer is cut off");
    a->body = end + 4;
    a->len -= (size_t)(a->body - a->bytes);
    return 0;
}

int client_get(const char *path, instant deadline, struct answer *out, struct err *e) {
    char where[256], request[256];
    *out = (struct answer){ 0 };
    int rc = socket_path(where, sizeof where, e);
    if (rc < 0)
        return rc;
    AUTO_FD int fd = client_connect(where, e);
    if (fd < 0)
        return fd;
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: pinnace\r\n\r\n", path);
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        return err_sys(e, errno, "ask pinnace at %s", where);
    rc = receive_all(fd, deadline, out, e);
    if (rc == 0)
        rc = split_answer(out, e);
    if (rc < 0)
        answer_free(out);
    return rc;
}

void answer_free(struct answer *a) {
    free(a->bytes);
    *a = (struct answer){ 0 };
}
