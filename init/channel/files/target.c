#include "channel/files/target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "http/range.h"

/* --- the target ------------------------------------------------------------------------------ */

enum { MAX_LINKS = 40 }; /* as the kernel follows (path_resolution(7)) */

/* One more link at the end of the path? 1: t->path is what it points to. */
static int follow(struct worker *w, struct target *t) {
    char text[PATH_MAX], dir[PATH_MAX];
    ssize_t n = readlinkat(t->dir, t->name, text, sizeof text - 1);
    if (n < 0)
        return fail_sys(w, errno, "read the link %s", t->path);
    text[n] = '\0';
    (void)snprintf(dir, sizeof dir, "%s", t->path);
    strrchr(dir, '/')[1] = '\0';
    if (path_join(t->path, text[0] == '/' ? "/" : dir, text[0] == '/' ? text + 1 : text) < 0)
        return fail_sys(w, ENAMETOOLONG, "the target of the link %s", w->path);
    return 1;
}

static int find(struct worker *w, struct target *t) {
    (void)snprintf(t->path, sizeof t->path, "%s", w->path);
    for (int links = 0; links <= MAX_LINKS; links++) {
        fd_close(&t->dir);
        t->dir = open_parent_of_name(w, t->path, w->req->parents, t->name);
        if (t->dir < 0)
            return t->dir;
        t->exists = fstatat(t->dir, t->name, &t->st, AT_SYMLINK_NOFOLLOW) == 0;
        if (!t->exists)
            return errno == ENOENT ? 0 : fail_sys(w, errno, "look at %s", t->path);
        if (!S_ISLNK(t->st.st_mode))
            return 0;
        int rc = follow(w, t);
        if (rc < 0)
            return rc;
    }
    return fail_sys(w, ELOOP, "%s", w->path);
}

static int check_version(struct worker *w, const struct target *t) {
    char etag[64] = "";
    if (t->exists)
        etag_make(&t->st, etag);
    if (t->exists && w->req->only_new)
        return fail(w, FILE_CHANGED, EEXIST, "%s is there already", w->path);
    const char *wanted = w->req->if_match;
    if (wanted && !t->exists)
        return fail(w, FILE_CHANGED, ENOENT, "%s is not there", w->path);
    if (wanted && !http_etag_in((struct slice){ wanted, strlen(wanted) }, etag, false))
        return fail(w, FILE_CHANGED, ESTALE, "%s is of version %s now", w->path, etag);
    return 0;
}

/* A file that its user could not open for writing is not replaced either, though rename(2) could.
 */
static int check(struct worker *w, const struct target *t) {
    if (w->path_slash || (t->exists && S_ISDIR(t->st.st_mode)))
        return fail(w, FILE_IS_DIR, EISDIR, "%s is a directory", w->path);
    int rc = check_version(w, t);
    if (rc == 0 && t->exists && faccessat(t->dir, t->name, W_OK, 0) < 0)
        rc = fail_sys(w, errno, "write to %s", w->path);
    return rc;
}

int target_find(struct worker *w, struct target *t) {
    *t = (struct target){ .dir = -1 };
    int rc = find(w, t);
    return rc < 0 ? rc : check(w, t);
}

/* --- what belongs to a content --------------------------------------------------------------- */

static void clear_xattrs(int fd, const char *prefix) {
    AUTO_FREE char *names = malloc(XATTR_BYTES);
    ssize_t n = names ? flistxattr(fd, names, XATTR_BYTES) : -1;
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1)
        if (has_prefix(p, prefix))
            (void)fremovexattr(fd, p);
}

int set_xattrs(struct worker *w, int fd) {
    const char *prefix = w->req->xattr_prefix ? w->req->xattr_prefix : "user.";
    if (!w->req->set_xattrs)
        return 0;
    clear_xattrs(fd, prefix);
    for (const char *const *p = w->req->set_xattrs; *p; p++) {
        char name[XATTR_NAME + 1];
        const char *value = strchrnul(*p, '=');
        int n = snprintf(name, sizeof name, "%s%.*s", prefix, (int)(value - *p), *p);
        value += *value != '\0';
        if (n >= (int)sizeof name || fsetxattr(fd, name, value, strlen(value), 0) < 0)
            return fail_sys(w, n >= (int)sizeof name ? ENAMETOOLONG : errno,
                            "set the attribute %.60s of %s", name, w->path);
    }
    return 0;
}

/* One that becomes somebody else's does not lend that one's rights. */
static mode_t mode_of(const struct worker *w, const struct target *t) {
    bool changes = is_given(w) && t->st.st_uid != w->id.uid;
    if (t->exists)
        return t->st.st_mode & (changes ? 01777 : 07777);
    return w->req->has_mode ? w->req->mode & 07777 : 0644;
}

/* Mode, owner and attributes of the old file, or of a new one. 1: it cannot be made like the old
 * one, but that may be rewritten. */
static int dress(struct worker *w, const struct target *t, int fd) {
    bool kept = t->exists && !is_given(w);
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_sys(w, errno, "look at the new %s", w->path);
    bool differs = kept && (st.st_uid != t->st.st_uid || st.st_gid != t->st.st_gid);
    if (differs && fchown(fd, t->st.st_uid, t->st.st_gid) < 0)
        return 1;
    int rc = kept ? 0 : give(w, fd);
    AUTO_FD int old =
        t->exists ? openat(t->dir, t->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    if (old >= 0) {
        xattrs_copy(old, fd, "user.");
        xattrs_copy(old, fd, "system.posix_acl_access");
    }
    if (rc == 0 && fchmod(fd, mode_of(w, t)) < 0)
        rc = fail_sys(w, errno, "set the mode of the new %s", w->path);
    return rc < 0 ? rc : set_xattrs(w, fd);
}

/* --- into place ------------------------------------------------------------------------------ */

/* Into the file itself: one that is a mount of its own, or whose directory is not ours to write to.
 * The space is had before anything is overwritten. */
static int pour(struct worker *w, const struct target *t, int fd) {
    struct stat st;
    AUTO_FD int out = openat(t->dir, t->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (out < 0 || fstat(fd, &st) < 0)
        return fail_sys(w, errno, "open %s", w->path);
    if (st.st_size > t->st.st_size && fallocate(out, 0, 0, st.st_size) < 0 && errno != EOPNOTSUPP) {
        int code = errno;
        (void)!ftruncate(out, t->st.st_size);
        return fail_sys(w, code, "make room in %s", w->path);
    }
    int64_t n = content_copy(w, fd, out, 0);
    if (n < 0)
        return (int)n;
    if (ftruncate(out, st.st_size) < 0 || fsync(out) < 0)
        return fail_sys(w, errno, "write %s", w->path);
    return set_xattrs(w, out);
}

/* Errors after which writing into the file itself may still work. */
static bool may_pour(int rc) {
    return rc == -EBUSY || rc == -EXDEV || rc == -EACCES || rc == -EPERM || rc == -EROFS;
}

static int put(struct worker *w, const struct target *t, struct temp *temp) {
    int rc = t->exists ? -EEXIST : temp_put_new(temp, t->name);
    if (rc == -EEXIST && w->req->only_new)
        return fail(w, FILE_CHANGED, EEXIST, "%s is there already", w->path);
    if (rc == -EEXIST)
        rc = temp_put_over(temp, t->name);
    if (may_pour(rc) && t->exists)
        return pour(w, t, temp->fd);
    if (rc < 0)
        return fail_sys(w, -rc, "put %s into place", w->path);
    if (w->req->unsynced)
        return 0;
    AUTO_FD int dir = openat(t->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)!fsync(dir); /* the new name; one that may not be read does not get this */
    return 0;
}

/* Two of us that were both to replace one version: the second has to see what the first has done.
 * One that hangs does not hold the others up for ever. */
static int lock_target(const struct target *t) {
    int fd = openat(t->dir, t->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    for (int tries = 0; fd >= 0 && lock_file(fd) == -EAGAIN && tries < 500; tries++)
        (void)nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
    return fd;
}

int target_settle(struct worker *w, struct target *t, struct temp *temp) {
    bool apart = temp->dir != t->dir; /* made elsewhere, only to be poured */
    int rc = apart ? 1 : dress(w, t, temp->fd);
    if (rc >= 0 && !w->req->unsynced && fsync(temp->fd) < 0)
        rc = fail_sys(w, errno, "write %s", w->path);
    if (rc < 0)
        return rc;
    bool to_pour = rc > 0;
    AUTO_FD int lock = w->req->if_match ? lock_target(t) : -1;
    (void)lock; /* held to the end of this */
    if (w->req->if_match) {
        t->exists = fstatat(t->dir, t->name, &t->st, AT_SYMLINK_NOFOLLOW) == 0;
        rc = check_version(w, t);
    }
    if (rc >= 0)
        rc = worker_wanted(w);
    return rc < 0 ? rc : to_pour ? pour(w, t, temp->fd) : put(w, t, temp);
}

int target_temp(struct worker *w, const struct target *t, struct temp *temp) {
    int rc = temp_open(temp, t->dir, t->name);
    if (!may_pour(rc) || !t->exists)
        return rc < 0 ? fail_sys(w, -rc, "make a file beside %s", w->path) : 0;
    static const char *const places[] = { "/tmp", "/var/tmp", "/dev/shm", NULL };
    for (const char *const *p = places; *p; p++) {
        temp->fd = open(*p, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        temp->dir = -1;
        if (temp->fd >= 0)
            return 0;
    }
    return fail_sys(w, -rc, "make a file beside %s, or in /tmp", w->path);
}

int target_tell(struct worker *w, const struct target *t) {
    int rc = tell_entry(w, w->path);
    if (rc == 0 && fstatat(t->dir, t->name, &w->info.st, AT_SYMLINK_NOFOLLOW) == 0)
        etag_make(&w->info.st, w->info.etag);
    w->info.created = !t->exists;
    return rc;
}
