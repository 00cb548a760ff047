#include "conf/rundir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys/heard.h"

/* Whoever starts `pinnace run` in a box must not cut that box off from its clients. */
static bool is_taken(const char *dir) {
    char path[RUNDIR_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/pinnace.sock", dir);
    return socket_is_heard(path);
}

/* A directory that somebody else owns could be switched under us: /tmp is everybody's. */
static int usable(const char *path, int make, int mine, struct err *e) {
    struct stat st;
    if (make && mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_sys(e, errno, "make the run directory %s", path);
    if (lstat(path, &st) < 0)
        return err_sys(e, errno, "find the run directory %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(e, ENOTDIR, "the run directory %s is not a directory", path);
    if (mine && st.st_uid != geteuid())
        return err_set(e, EPERM, "the run directory %s belongs to another user", path);
    if (make && access(path, W_OK | X_OK) < 0)
        return err_sys(e, errno, "write in the run directory %s", path);
    if (make && is_taken(path))
        return err_set(e, EADDRINUSE, "another pinnace has the run directory %s", path);
    return 0;
}

int rundir_find(const char *wanted, int make, char out[RUNDIR_MAX], struct err *e) {
    if (wanted && strcmp(wanted, "auto") != 0) {
        if (snprintf(out, RUNDIR_MAX, "%s", wanted) >= RUNDIR_MAX)
            return err_set(e, ENAMETOOLONG, "run-dir %s has more than %d bytes", wanted,
                           RUNDIR_MAX - 1);
        return usable(out, make, make, e);
    }
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    (void)snprintf(out, RUNDIR_MAX, "/run/pinnace");
    if (usable(out, make, make, e) == 0)
        return 0;
    if (xdg && xdg[0] == '/' && snprintf(out, RUNDIR_MAX, "%s/pinnace", xdg) < RUNDIR_MAX &&
        usable(out, make, make, e) == 0)
        return 0;
    (void)snprintf(out, RUNDIR_MAX, "/tmp/pinnace-%u", (unsigned)geteuid());
    return usable(out, make, 1, e);
}
