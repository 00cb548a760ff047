/* New contents: whole, in place, put together from files. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/own.h"
#include "channel/files/target.h"

/* --- base 64 --------------------------------------------------------------------------------- */

enum { CODED_PIECE = 64 << 10 };

/* The file's own bytes, in place: what comes out is shorter. How many there are then. */
static int64_t decode_file(struct worker *w, int fd) {
    char buf[CODED_PIECE];
    off_t from = 0, to = 0;
    for (ssize_t n; (n = pread(fd, buf, sizeof buf, from)) != 0; from += n) {
        if (n < 0)
            return fail_sys(w, errno, "read what was written of %s", w->path);
        bool last = (size_t)n < sizeof buf;
        ssize_t k = !last && memchr(buf, '=', (size_t)n) ? -1 : base64_decode(buf, (size_t)n, buf);
        if (k < 0)
            return fail(w, FILE_BAD_CODE, EINVAL, "the content for %s is no base 64", w->path);
        if (pwrite(fd, buf, (size_t)k, to) != k)
            return fail_sys(w, errno ? errno : EIO, "write %s", w->path);
        to += k;
    }
    return to;
}

static int decode(struct worker *w, int fd) {
    int64_t n = w->base64 ? decode_file(w, fd) : 0;
    if (n < 0 || !w->base64)
        return (int)n;
    return ftruncate(fd, n) < 0 ? fail_sys(w, errno, "write %s", w->path) : 0;
}

/* --- whole ----------------------------------------------------------------------------------- */

static int write_whole(struct worker *w, struct target *t) {
    struct temp temp;
    int rc = target_temp(w, t, &temp);
    if (rc < 0)
        return rc;
    rc = worker_opened(w);
    int64_t n = rc < 0 ? rc : pipe_to_file(w, temp.fd, 0, INT64_MAX);
    rc = n < 0 ? (int)n : worker_complete(w);
    if (rc == 0)
        rc = decode(w, temp.fd);
    if (rc == 0)
        rc = target_settle(w, t, &temp);
    temp_drop(&temp);
    return rc;
}

/* --- in place -------------------------------------------------------------------------------- */

static int write_in_place(struct worker *w, struct target *t) {
    enum { HOW = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
    mode_t mode = w->req->has_mode ? w->req->mode & 07777 : 0666;
    AUTO_FD int fd = t->exists ? -1 : openat(t->dir, t->name, HOW | O_CREAT | O_EXCL, mode);
    int rc = fd >= 0 ? give(w, fd) : 0;
    if (fd < 0)
        fd = openat(t->dir, t->name, HOW);
    if (fd < 0)
        return fail_sys(w, errno, "open %s", w->path);
    if (rc == 0)
        rc = worker_opened(w);
    if (rc < 0)
        return rc;
    if ((!t->exists || S_ISREG(t->st.st_mode)) && ftruncate(fd, 0) < 0)
        return fail_sys(w, errno, "empty %s", w->path);
    int64_t n = pipe_to_file(w, fd, 0, INT64_MAX);
    rc = n < 0 ? (int)n : worker_complete(w);
    if (rc == 0 && w->base64)
        rc = fail(w, FILE_BAD_PATH, EINVAL, "%s takes base 64 only as it is", w->path);
    return rc < 0 ? rc : set_xattrs(w, fd);
}

/* --- from files ------------------------------------------------------------------------------ */

static int append(struct worker *w, const char *source, struct temp *temp, off_t *at) {
    char path[PATH_MAX];
    bool slash;
    struct stat st;
    int rc = path_absolute(w, source, path, &slash);
    if (rc < 0)
        return rc;
    w->at = path;
    AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_sys(w, errno, "open %s", path);
    if (!S_ISREG(st.st_mode))
        return fail(w, S_ISDIR(st.st_mode) ? FILE_IS_DIR : FILE_BAD_PATH, EINVAL,
                    "%s is not a regular file", path);
    int64_t n = content_copy(w, fd, temp->fd, *at);
    *at += n > 0 ? n : 0;
    w->at = w->path;
    return n < 0 ? (int)n : 0;
}

/* But not what the sources have become. */
static int remove_sources(struct worker *w, const struct target *t) {
    int rc = 0;
    for (const char *const *p = w->req->sources; *p && rc == 0; p++) {
        char path[PATH_MAX];
        bool slash;
        struct stat st, made;
        rc = path_absolute(w, *p, path, &slash);
        bool is_target = rc == 0 && stat(path, &st) == 0 &&
                         fstatat(t->dir, t->name, &made, AT_SYMLINK_NOFOLLOW) == 0 &&
                         st.st_dev == made.st_dev && st.st_ino == made.st_ino;
        if (rc == 0 && !is_target && unlink(path) < 0 && errno != ENOENT)
            rc = fail_sys(w, errno, "remove %s, which is in %s now", path, w->path);
    }
    return rc;
}

static int compose(struct worker *w, struct target *t) {
    struct temp temp;
    off_t at = 0;
    int rc = target_temp(w, t, &temp);
    if (rc < 0)
        return rc;
    for (const char *const *p = w->req->sources; *p && rc == 0; p++)
        rc = append(w, *p, &temp, &at);
    if (rc == 0)
        rc = target_settle(w, t, &temp);
    temp_drop(&temp);
    return rc < 0 ? rc : remove_sources(w, t);
}

int work_write(struct worker *w) {
    struct target t = { .dir = -1 };
    int rc = target_find(w, &t);
    bool special = t.exists && !S_ISREG(t.st.st_mode);
    bool part = w->req->upload != NULL;
    if (rc == 0 && part && special)
        rc = fail(w, FILE_BAD_PATH, EINVAL, "%s is not a regular file", w->path);
    if (rc == 0 && part)
        rc = work_upload(w, &t);
    else if (rc == 0)
        rc = w->req->in_place || special ? write_in_place(w, &t) : write_whole(w, &t);
    if (rc == 0 && (!part || w->info.complete))
        rc = target_tell(w, &t);
    fd_close(&t.dir);
    return rc;
}

int work_compose(struct worker *w) {
    struct target t = { .dir = -1 };
    int rc = target_find(w, &t);
    if (rc == 0 && t.exists && !S_ISREG(t.st.st_mode))
        rc = fail(w, FILE_BAD_PATH, EINVAL, "%s is not a regular file", w->path);
    if (rc == 0)
        rc = compose(w, &t);
    if (rc == 0)
        rc = target_tell(w, &t);
    fd_close(&t.dir);
    return rc;
}
