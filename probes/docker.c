/* docker[:SOCKET] — ready when the engine answers GET /_ping.
 *
 * dockerd listens long before it serves. One request is sent as soon as the socket is
 * there; it lies in the backlog and is answered at the instant of readiness, so there
 * is no interval to choose. A bare connect would be a false yes.
 */
#include <errno.h>
#include <stdio.h>

#include "base/own.h"
#include "probes/attempt.h"
#include "probes/kinds.h"

#define DOCKER_SOCKET "/var/run/docker.sock"

/* None given: it stays empty, so that who knows where the engine's socket is can still say so. */
int check_docker(struct probe_spec *spec, const char *given, struct err *e) {
    (void)snprintf(spec->arg, sizeof spec->arg, "%s", given);
    return given[0] ? path_check(spec->arg, "docker", UNIX_PATH_CAP, e) : 0;
}

static int ping(int fd, const char *path, instant deadline, struct err *e) {
    struct http_answer a;
    http_answer_init(&a, NULL);
    int rc = http_exchange(fd, "docker", "/_ping", &a, deadline, e);
    if (rc < 0) {
        (void)err_wrap(e, "GET /_ping on %s", path);
        return rc;
    }
    if (a.status == 200)
        return 0;
    return err_set(e, EPROTO, "GET /_ping on %s: status %d %s, wanted 200", path, a.status,
                   a.phrase);
}

int probe_docker(const struct probe_spec *spec, instant deadline, struct err *e) {
    AUTO_WATCH struct path_watch w = path_watch_open();
    const char *path = spec->arg[0] ? spec->arg : DOCKER_SOCKET;
    for (;;) {
        AUTO_FD int fd = await_unix(&w, path, deadline, e);
        if (fd < 0)
            return fd;
        int rc = ping(fd, path, deadline, e);
        if (rc != -ECONNRESET && rc != -EPIPE)
            return rc;
        /* The engine that we asked is gone; the next one makes its socket anew. */
        if (path_watch_wait(&w, true, deadline) < 0) {
            e->code = ETIMEDOUT;
            return -ETIMEDOUT;
        }
    }
}
