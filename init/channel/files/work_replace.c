/* A directory's content, instead of another's: first what is there goes aside, by renames, which
 * can be undone; it is removed last. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/place.h"

enum { HOW = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

static bool is_one_of(const char *name, const char *const *list) {
    while (*list && strcmp(name, *list) != 0)
        list++;
    return *list != NULL;
}

/* Names are read again from the start until there is nothing left to be moved: a directory that
 * changes while it is read may leave some out (readdir(3)). */
static int move_all(struct worker *w, int from, int to, const char *const *but) {
    AUTO_FD int fd = openat(from, ".", HOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d)
        return fail_sys(w, errno, "read a directory in %s", w->path);
    (void)fd_take(&fd);
    int rc = 0;
    for (bool moved = true; rc == 0 && moved;) {
        moved = false;
        rewinddir(d);
        for (const struct dirent *e; rc == 0 && (e = readdir(d));) {
            if (is_one_of(e->d_name, but))
                continue;
            moved = true;
            if (renameat(from, e->d_name, to, e->d_name) < 0)
                rc = fail_sys(w, errno, "move %s out of the way or into place in %s", e->d_name,
                              w->path);
        }
    }
    (void)closedir(d);
    return rc;
}

/* All of `dir` but the two into `old`, then all of `with` into `dir`. */
static int swap(struct worker *w, int dir, int with, int old, const char *const *but) {
    static const char *const none[] = { ".", "..", NULL };
    int rc = move_all(w, dir, old, but);
    bool was = w->tidying, half = rc == 0;
    if (rc == 0)
        rc = move_all(w, with, dir, none);
    if (rc == 0)
        return 0;
    w->tidying = true; /* what has gone wrong is said already */
    if (half)
        (void)move_all(w, dir, with, but);
    (void)move_all(w, old, dir, none);
    w->tidying = was;
    return rc;
}

int replace_content(struct worker *w, int dir, const char *with) {
    char aside[NAME_MAX + 1];
    temp_name(aside, "replaced");
    AUTO_FD int new = openat(dir, with, HOW);
    AUTO_FD int made = make_dir(w, dir, aside, 0700);
    AUTO_FD int old = made < 0 ? -1 : openat(dir, aside, HOW);
    if (new < 0 || old < 0)
        return fail_sys(w, errno, "make room in %s", w->path);
    int rc = swap(w, dir, new, old, (const char *const[]){ ".", "..", with, aside, NULL });
    tidy_tree(w, dir, aside);
    return rc;
}
