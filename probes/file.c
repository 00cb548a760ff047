/* file:PATH — ready when there is something at PATH. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "probes/attempt.h"
#include "probes/kinds.h"

int check_file(struct probe_spec *spec, const char *given, struct err *e) {
    (void)snprintf(spec->arg, sizeof spec->arg, "%s", given);
    return path_check(given, "file", PATH_MAX, e);
}

int probe_file(const struct probe_spec *spec, instant deadline, struct err *e) {
    AUTO_WATCH struct path_watch w = path_watch_open();
    struct stat st;
    for (;;) {
        path_watch_arm(&w, spec->arg);
        if (stat(spec->arg, &st) == 0)
            return 0;
        int why = errno;
        if (why != ENOENT && why != ENOTDIR)
            return err_sys(e, why, "look at %s", spec->arg);
        if (path_watch_wait(&w, false, deadline) < 0)
            return err_set(e, ETIMEDOUT, "look at %s: %s", spec->arg, strerror(why));
    }
}
