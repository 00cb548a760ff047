/* A directory's content, instead of another's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/place.h"

/* `act` for each name in the directory. What it does there does not disturb the reading: names are
 * read from the start until nothing is left to do. */
static int for_each(struct worker *w, int dir, const char *but,
                    int (*act)(struct worker *w, int dir, const char *name, int to), int to) {
    AUTO_FD int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return fail_sys(w, errno, "read directory %s", w->path);
    (void)fd_take(&fd);
    int rc = 0;
    for (bool acted = true; rc == 0 && acted;) {
        acted = false;
        rewinddir(d);
        for (const struct dirent *e; rc == 0 && (e = readdir(d));) {
            if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                (but && strcmp(e->d_name, but) == 0))
                continue;
            acted = true;
            rc = worker_wanted(w);
            if (rc == 0)
                rc = act(w, dir, e->d_name, to);
        }
    }
    (void)closedir(d);
    return rc;
}

static int remove_it(struct worker *w, int dir, const char *name, int to) {
    (void)to;
    return remove_tree(w, dir, name, name);
}

static int move_it(struct worker *w, int dir, const char *name, int to) {
    return renameat(dir, name, to, name) < 0 ? fail_sys(w, errno, "move %s into %s", name, w->path)
                                             : 0;
}

int empty_but(struct worker *w, int dir, const char *name) {
    return for_each(w, dir, name, remove_it, -1);
}

int move_all(struct worker *w, int from, int to) { return for_each(w, from, NULL, move_it, to); }
