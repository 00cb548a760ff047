/* Copies and moves, also from one file system to another. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/place.h"
#include "channel/files/walk.h"

/* --- copying one ----------------------------------------------------------------------------- */

static uid_t owner_of(const struct worker *w, const struct stat *st) {
    return w->req->as_root && w->req->user ? w->id.uid : st->st_uid;
}

static gid_t group_of(const struct worker *w, const struct stat *st) {
    return w->req->as_root && w->req->user ? w->id.gid : st->st_gid;
}

/* Setuid and setgid bits only for the owner they were meant for. */
static mode_t mode_of(const struct stat *st, const struct stat *made) {
    mode_t mode = st->st_mode & 07777;
    if (made->st_uid != st->st_uid)
        mode &= (mode_t)~S_ISUID;
    if (made->st_gid != st->st_gid)
        mode &= (mode_t)~S_ISGID;
    return mode;
}

/* Owner, then mode, then times. By the descriptor where there is one: the directory may be somebody
 * else's, who can put another file of ours into the copy's place. */
static int give_attributes(struct worker *w, int fd, const struct stat *st) {
    struct timespec times[2] = { st->st_atim, st->st_mtim };
    struct stat made;
    if (fchown(fd, owner_of(w, st), group_of(w, st)) < 0)
        (void)!fchown(fd, (uid_t)-1, group_of(w, st));
    if (fstat(fd, &made) < 0 || fchmod(fd, mode_of(st, &made)) < 0 || futimens(fd, times) < 0)
        return fail_sys(w, errno, "set mode and times of the copy of %s", w->at);
    return 0;
}

/* The same by name, for what has none. */
static int name_attributes(struct worker *w, int dir, const char *name, const struct stat *st) {
    struct timespec times[2] = { st->st_atim, st->st_mtim };
    struct stat made;
    if (fstatat(dir, name, &made, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_sys(w, errno, "look at the copy of %s", w->at);
    if ((made.st_mode & S_IFMT) != (st->st_mode & S_IFMT))
        return fail(w, FILE_FAILED, EINVAL, "the copy of %s is being replaced", w->at);
    if (fchownat(dir, name, owner_of(w, st), group_of(w, st), AT_SYMLINK_NOFOLLOW) < 0)
        (void)!fchownat(dir, name, (uid_t)-1, group_of(w, st), AT_SYMLINK_NOFOLLOW);
    int rc = fstatat(dir, name, &made, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (rc == 0 && !S_ISLNK(st->st_mode))
        rc = set_mode(dir, name, mode_of(st, &made));
    if (rc == 0 && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        rc = -errno;
    return rc < 0 ? fail_sys(w, -rc, "set mode and times of the copy of %s", w->at) : 0;
}

/* O_NONBLOCK: what was a file may be a FIFO by now. */
static int copy_file(struct worker *w, int from_dir, const char *from, int to_dir, const char *to) {
    struct stat st;
    AUTO_FD int in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (in < 0 || fstat(in, &st) < 0)
        return fail_sys(w, errno, "open %s", w->at);
    if (!S_ISREG(st.st_mode))
        return fail(w, FILE_FAILED, EINVAL, "%s is no longer a regular file", w->at);
    AUTO_FD int out =
        openat(to_dir, to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return fail_sys(w, errno, "make the copy of %s", w->at);
    int64_t n = content_copy(w, in, out, 0);
    if (n < 0)
        return (int)n;
    xattrs_copy(in, out, "user.");
    return give_attributes(w, out, &st);
}

static int copy_link(struct worker *w, int from_dir, const char *from, int to_dir, const char *to) {
    char target[PATH_MAX];
    ssize_t n = readlinkat(from_dir, from, target, sizeof target - 1);
    if (n < 0)
        return fail_sys(w, errno, "read the link %s", w->at);
    target[n] = '\0';
    return symlinkat(target, to_dir, to) < 0 ? fail_sys(w, errno, "make a link like %s", w->at) : 0;
}

/* One entry without what is below it. A directory stays as it is made until it is filled. */
static int copy_one(struct worker *w, int from_dir, const char *from, const struct stat *st,
                    int to_dir, const char *to) {
    int rc = 0;
    if (S_ISDIR(st->st_mode))
        return mkdirat(to_dir, to, 0700) < 0 ? fail_sys(w, errno, "make a directory like %s", w->at)
                                             : 0;
    if (S_ISREG(st->st_mode))
        return copy_file(w, from_dir, from, to_dir, to);
    if (S_ISLNK(st->st_mode))
        rc = copy_link(w, from_dir, from, to_dir, to);
    else if (mknodat(to_dir, to, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0)
        rc = fail_sys(w, errno, "make a file of the kind of %s", w->at);
    return rc < 0 ? rc : name_attributes(w, to_dir, to, st);
}

/* --- copying trees --------------------------------------------------------------------------- */

static int copy_visit(struct walk *k) {
    struct cursor *to = k->ctx;
    int rc = copy_one(k->w, k->at.fd, k->name, &k->st, to->fd, k->name);
    return rc < 0 ? rc : S_ISDIR(k->st.st_mode) ? WALK_INTO : WALK_ON;
}

static int copy_entered(struct walk *k) {
    struct cursor *to = k->ctx;
    xattrs_copy(k->at.fd, to->fd, "user.");
    int rc = cursor_down(to, k->name);
    return rc < 0 ? fail_sys(k->w, -rc, "enter the copy of %s", k->path) : 0;
}

/* By name: the directory that holds it is ours alone until it is left itself. */
static int copy_leave(struct walk *k) {
    struct cursor *to = k->ctx;
    int rc = cursor_up(to);
    if (rc < 0)
        return fail_sys(k->w, -rc, "go back up in the copy of %s, which is being moved about",
                        k->path);
    return name_attributes(k->w, to->fd, k->name, &k->st);
}

static int copy_below(struct worker *w, int from, int to) {
    struct cursor *c = calloc(1, sizeof *c);
    if (!c) {
        fd_close(&from);
        fd_close(&to);
        return -ENOMEM;
    }
    xattrs_copy(from, to, "user.");
    cursor_begin(c, to);
    struct walk k = {
        .w = w, .ctx = c, .visit = copy_visit, .entered = copy_entered, .leave = copy_leave
    };
    int rc = walk_tree(&k, from, w->path);
    cursor_end(c);
    free(c);
    return rc;
}

static int copy_all(struct worker *w, int from_dir, const char *from, int to_dir, const char *to) {
    struct stat st;
    if (fstatat(from_dir, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_sys(w, errno, "%s", w->path);
    int rc = copy_one(w, from_dir, from, &st, to_dir, to);
    if (rc < 0 || !S_ISDIR(st.st_mode))
        return rc;
    enum { HOW = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
    AUTO_FD int in = openat(from_dir, from, HOW);
    AUTO_FD int out = openat(to_dir, to, HOW);
    AUTO_FD int root = out < 0 ? -1 : fcntl(out, F_DUPFD_CLOEXEC, 0);
    if (in < 0 || root < 0)
        return fail_sys(w, errno, "open %s%s", in < 0 ? "" : "the copy of ", w->path);
    rc = copy_below(w, fd_take(&in), fd_take(&out));
    return rc < 0 ? rc : give_attributes(w, root, &st);
}

int copy_tree(struct worker *w, int from_dir, const char *from, int to_dir, const char *to) {
    int rc = copy_all(w, from_dir, from, to_dir, to);
    if (rc < 0)
        tidy_tree(w, to_dir, to);
    return rc;
}

/* --- into place ------------------------------------------------------------------------------ */

struct way {
    int from_dir, to_dir;
    char from[NAME_MAX + 1], to[NAME_MAX + 1];
    struct stat st; /* of what is moved or copied */
};

static void way_close(struct way *y) {
    fd_close(&y->from_dir);
    fd_close(&y->to_dir);
}

/* Is `dir` the directory `st`, or below it? */
static bool is_inside(int dir, const struct stat *st) {
    AUTO_FD int fd = openat(dir, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat here, above = { 0 };
    for (bool root = false; fd >= 0 && !root && fstat(fd, &here) == 0;) {
        if (here.st_dev == st->st_dev && here.st_ino == st->st_ino)
            return true;
        int up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        root = up < 0 || fstat(up, &above) < 0 ||
               (above.st_dev == here.st_dev && above.st_ino == here.st_ino);
        fd_close(&fd);
        fd = up;
    }
    return false;
}

/* What can be refused before anything is copied. The kernel has the last word all the same. */
static int way_refuse(struct worker *w, const struct way *y) {
    struct stat st;
    bool is_dir = S_ISDIR(y->st.st_mode);
    if (is_dir && is_inside(y->to_dir, &y->st))
        return fail(w, FILE_BAD_PATH, EINVAL, "%s is inside of %s", w->to, w->path);
    if (w->to_slash && !is_dir)
        return fail(w, FILE_IS_DIR, EISDIR, "%s/ can only be a directory, and %s is none", w->to,
                    w->path);
    if (fstatat(y->to_dir, y->to, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : fail_sys(w, errno, "look at %s", w->to);
    if (!w->req->replace)
        return fail(w, FILE_EXISTS, EEXIST, "%s is there already", w->to);
    if (S_ISDIR(st.st_mode) && w->req->keep_dirs)
        return fail(w, FILE_EXISTS, EEXIST, "%s is a directory", w->to);
    if (S_ISDIR(st.st_mode) && !is_dir)
        return fail(w, FILE_IS_DIR, EISDIR, "%s is a directory, and %s is none", w->to, w->path);
    if (!S_ISDIR(st.st_mode) && is_dir)
        return fail(w, FILE_NOT_DIR, ENOTDIR, "%s is a directory, and %s is none", w->path, w->to);
    return 0;
}

static int way_open(struct worker *w, struct way *y) {
    *y = (struct way){ .from_dir = -1, .to_dir = -1 };
    y->from_dir = open_parent_of_name(w, w->path, false, y->from);
    if (y->from_dir < 0)
        return y->from_dir;
    if (fstatat(y->from_dir, y->from, &y->st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_sys(w, errno, "%s", w->path);
    y->to_dir = open_parent_of_name(w, w->to, w->req->parents, y->to);
    return y->to_dir < 0 ? y->to_dir : way_refuse(w, y);
}

static int put(struct worker *w, int from_dir, const char *from, const struct way *y) {
    int rc = w->req->replace ? renameat(from_dir, from, y->to_dir, y->to) < 0 ? -errno : 0
                             : rename_new(from_dir, from, y->to_dir, y->to);
    if (rc == -EEXIST && w->req->replace)
        rc = -ENOTEMPTY;
    if (rc == -EXDEV || rc == 0)
        return rc;
    return rc == -EEXIST ? fail_sys(w, EEXIST, "%s", w->to)
                         : fail_sys(w, -rc, "move %s to %s", w->path, w->to);
}

/* A copy under a temporary name beside the place, then the place. */
static int copy_into_place(struct worker *w, const struct way *y) {
    char temporary[NAME_MAX + 1];
    temp_name(temporary, y->to);
    int rc = copy_tree(w, y->from_dir, y->from, y->to_dir, temporary);
    if (rc < 0)
        return rc;
    rc = worker_wanted(w);
    if (rc == 0)
        rc = put(w, y->to_dir, temporary, y);
    if (rc < 0)
        tidy_tree(w, y->to_dir, temporary);
    return rc;
}

/* rename(2) of two links to one file does nothing at all. */
static bool is_same_file(const struct way *y) {
    struct stat from, to, from_dir, to_dir;
    if (fstatat(y->from_dir, y->from, &from, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstatat(y->to_dir, y->to, &to, AT_SYMLINK_NOFOLLOW) < 0 ||
        fstat(y->from_dir, &from_dir) < 0 || fstat(y->to_dir, &to_dir) < 0)
        return false;
    bool same_name = from_dir.st_dev == to_dir.st_dev && from_dir.st_ino == to_dir.st_ino &&
                     strcmp(y->from, y->to) == 0;
    return !same_name && from.st_nlink > 1 && from.st_dev == to.st_dev && from.st_ino == to.st_ino;
}

static int move(struct worker *w, const struct way *y) {
    int rc = put(w, y->from_dir, y->from, y);
    if (rc == 0)
        return w->req->replace && is_same_file(y) ? remove_tree(w, y->from_dir, y->from, w->path)
                                                  : 0;
    if (rc != -EXDEV)
        return rc;
    rc = copy_into_place(w, y);
    return rc < 0 ? rc : remove_tree(w, y->from_dir, y->from, w->path);
}

/* `to`, or the same name within it. */
static int go_into(struct worker *w) {
    struct stat st;
    if (!w->req->into || stat(w->to, &st) < 0 || !S_ISDIR(st.st_mode))
        return 0;
    w->to_slash = false;
    return path_join(w->to, w->to, strrchr(w->path, '/') + 1) < 0
               ? fail_sys(w, ENAMETOOLONG, "move %s into %s", w->path, w->to)
               : 0;
}

int work_move(struct worker *w) {
    struct way y;
    int rc = go_into(w);
    if (rc < 0)
        return rc;
    rc = way_open(w, &y);
    if (rc == 0)
        rc = move(w, &y);
    way_close(&y);
    return rc < 0 ? rc : tell_entry(w, w->to);
}

int work_copy(struct worker *w) {
    struct way y;
    int rc = way_open(w, &y);
    if (rc == 0)
        rc = copy_into_place(w, &y);
    way_close(&y);
    return rc < 0 ? rc : tell_entry(w, w->to);
}
