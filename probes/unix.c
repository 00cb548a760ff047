/* unix:PATH — ready when the socket at PATH accepts a connection. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "probes/attempt.h"
#include "probes/kinds.h"

int check_unix(struct probe_spec *spec, const char *given, struct err *e) {
    (void)snprintf(spec->arg, sizeof spec->arg, "%s", given);
    return path_check(given, "unix", UNIX_PATH_CAP, e);
}

/* connect(2) refuses a plain file as it does a stale socket; people want to know. */
static int explain(const char *path, int why, int code, struct err *e) {
    struct stat st;
    if (why == ECONNREFUSED && stat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return err_set(e, code, "connect %s: it is not a socket", path);
    if (why == EAGAIN)
        return err_set(e, code, "connect %s: its backlog is full", path);
    return err_set(e, code, "connect %s: %s", path, strerror(why));
}

int await_unix(struct path_watch *w, const char *path, instant deadline, struct err *e) {
    for (;;) {
        path_watch_arm(w, path);
        int fd = dial_unix(path);
        if (fd >= 0)
            return fd;
        bool missing = fd == -ENOENT || fd == -ENOTDIR;
        bool deaf = fd == -ECONNREFUSED || fd == -EAGAIN;
        if (!missing && !deaf)
            return explain(path, -fd, -fd, e);
        if (path_watch_wait(w, deaf, deadline) < 0)
            return explain(path, -fd, ETIMEDOUT, e);
    }
}

int probe_unix(const struct probe_spec *spec, instant deadline, struct err *e) {
    AUTO_WATCH struct path_watch w = path_watch_open();
    AUTO_FD int fd = await_unix(&w, spec->arg, deadline, e);
    return fd < 0 ? fd : 0;
}
