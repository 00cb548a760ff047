/* An archive into a directory, and nowhere else: every name is walked part by part from that
 * directory's descriptor, through real directories only. Links are made, but never gone through. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/place.h"
#include "channel/files/tar.h"

enum { UNTAR_PIECE = 256 << 10 };

struct made { /* what an entry's file gets once it is whole */
    uint32_t mode, uid, gid;
    struct timespec mtime;
};

struct late { /* a directory: filled first */
    char *path;
    struct made made;
};

struct untar {
    struct worker *w;
    int root;
    int parent; /* -1, or the directory parent_path: entries of one follow each other */
    char parent_path[PATH_MAX];
    char name[NAME_MAX + 1]; /* of the entry, in `parent` */
    int fd;                  /* the file that is being filled; -1 */
    struct made made;        /* for it */
    struct late *late;
    size_t nlate, cap;
    size_t refused; /* entries that could not be made, and the first of them: */
    char first[256];
    struct tar_reader reader;
    char bytes[UNTAR_PIECE];
};

/* --- places below the root ------------------------------------------------------------------- */

static int step(struct untar *u, int dir, const char *name, bool make) {
    enum { HOW = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
    int fd = openat(dir, name, HOW);
    if (fd >= 0 || errno != ENOENT || !make)
        return fd < 0 ? -errno : fd;
    int made = make_dir(u->w, dir, name, 0777);
    if (made != -EEXIST)
        return made;
    fd = openat(dir, name, HOW);
    return fd < 0 ? -errno : fd;
}

/* The directory `path` below the root; `path` has been cleaned, so it has no "..". The fd or
 * -errno. */
static int open_below(struct untar *u, const char *path, size_t len, bool make) {
    AUTO_FD int fd = openat(u->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    unsigned depth = 0;
    for (size_t at = 0; fd >= 0 && at < len;) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(path + at, "/");
        if (n > NAME_MAX)
            return -ENAMETOOLONG;
        if (++depth > MAX_TREE_DEPTH)
            return -E2BIG;
        memcpy(name, path + at, n);
        name[n] = '\0';
        int next = step(u, fd, name, make);
        if (next < 0)
            return next;
        fd_close(&fd);
        fd = next;
        at += n + 1;
    }
    return fd < 0 ? -errno : fd_take(&fd);
}

/* Where the cleaned path's last part is to be: sets parent and name. */
static int find_place(struct untar *u, const char *path) {
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;
    const char *last = slash ? slash + 1 : path;
    if (strlen(last) > NAME_MAX)
        return fail_sys(u->w, ENAMETOOLONG, "%.200s in the archive", path);
    (void)snprintf(u->name, sizeof u->name, "%s", last);
    if (u->parent >= 0 && strlen(u->parent_path) == len && memcmp(u->parent_path, path, len) == 0)
        return 0;
    fd_close(&u->parent);
    u->parent = open_below(u, path, len, true);
    if (u->parent == -E2BIG)
        return fail(u->w, FILE_LIMIT, E2BIG,
                    "%.200s in the archive is more than %d directories deep", path, MAX_TREE_DEPTH);
    if (u->parent < 0)
        return fail_sys(u->w, -u->parent, "go to the place of %.200s in the archive", path);
    memcpy(u->parent_path, path, len);
    u->parent_path[len] = '\0';
    return 0;
}

/* Take away what is there and is not a directory; a directory that is empty, too, unless it is to
 * stay. 0: nothing is there now; 1: a directory is. */
static int clear_place(struct untar *u, const char *path, bool keep_dir) {
    if (unlinkat(u->parent, u->name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR)
        return fail_sys(u->w, errno, "replace %.200s", path);
    if (keep_dir)
        return 1;
    return unlinkat(u->parent, u->name, AT_REMOVEDIR) < 0
               ? fail_sys(u->w, errno == ENOTEMPTY ? EISDIR : errno, "replace %.200s", path)
               : 0;
}

/* --- what they get --------------------------------------------------------------------------- */

static struct made made_of(const struct untar *u) {
    const struct tar_entry *e = &u->reader.entry;
    const struct worker *w = u->w;
    bool give_away = w->req->as_root && w->req->user;
    bool keep = w->req->keep_owner && geteuid() == 0;
    struct made m = { .mode = e->mode & 07777,
                      .uid = keep        ? e->uid
                             : give_away ? w->id.uid
                                         : geteuid(),
                      .gid = keep        ? e->gid
                             : give_away ? w->id.gid
                                         : getegid(),
                      .mtime = e->mtime };
    /* Such a bit is meant for one owner. */
    if (m.uid != e->uid)
        m.mode &= (uint32_t)~S_ISUID;
    if (m.gid != e->gid)
        m.mode &= (uint32_t)~S_ISGID;
    return m;
}

static bool gives(const struct worker *w) {
    return (w->req->as_root && w->req->user) || (w->req->keep_owner && geteuid() == 0);
}

static int dress(struct untar *u, const struct made *m, int dir, const char *name, bool has_mode) {
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, m->mtime };
    int rc = 0;
    if (gives(u->w) && fchownat(dir, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0)
        rc = -errno;
    if (rc == 0 && has_mode)
        rc = set_mode(dir, name, m->mode);
    if (rc == 0 && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        rc = -errno;
    return rc < 0 ? fail_sys(u->w, -rc, "set owner, mode and time of %.200s", name) : 0;
}

/* The file that was being filled is whole. By its descriptor: nobody can have put another in its
 * place. */
static int finish_file(struct untar *u) {
    AUTO_FD int fd = fd_take(&u->fd);
    const struct made *m = &u->made;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, m->mtime };
    if (fd < 0)
        return 0;
    if ((gives(u->w) && fchown(fd, m->uid, m->gid) < 0) || fchmod(fd, m->mode) < 0 ||
        futimens(fd, times) < 0)
        return fail_sys(u->w, errno, "set owner, mode and time of %.200s", u->name);
    return 0;
}

/* A directory's mode might keep us out of it, and filling it changes its time. */
static int remember(struct untar *u, const char *path, const struct made *m) {
    if (u->nlate == u->cap && u->cap < MAX_UNTAR_DIRS) {
        size_t cap = u->cap ? 2 * u->cap : 64;
        struct late *grown = reallocarray(u->late, cap, sizeof *grown);
        if (!grown)
            return -ENOMEM;
        u->late = grown;
        u->cap = cap;
    }
    if (u->nlate == u->cap)
        return set_mode(u->parent, u->name, m->mode | S_IRWXU);
    u->late[u->nlate].path = strdup(path);
    u->late[u->nlate].made = *m;
    return u->late[u->nlate++].path ? 0 : -ENOMEM;
}

/* The last first, so that the mode of an outer one does not keep us from an inner one. One that is
 * no longer a directory, or not there, has been replaced by a later entry. */
static void finish_dirs(struct untar *u) {
    u->w->tidying = true;
    while (u->nlate > 0) {
        struct late *l = &u->late[--u->nlate];
        struct stat st;
        if (l->path && find_place(u, l->path) == 0 &&
            fstatat(u->parent, u->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
            (void)dress(u, &l->made, u->parent, u->name, true);
        free(l->path);
    }
    u->w->tidying = false;
}

/* --- entries --------------------------------------------------------------------------------- */

static int make_file(struct untar *u, const char *path) {
    enum { HOW = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };
    u->fd = openat(u->parent, u->name, HOW, 0600);
    u->made = made_of(u);
    return u->fd < 0 ? fail_sys(u->w, errno, "make %.200s", path) : 0;
}

static int make_directory(struct untar *u, const char *path) {
    AUTO_FD int fd = make_dir(u->w, u->parent, u->name, 0700);
    struct made m = made_of(u);
    return fd < 0 ? fd : remember(u, path, &m);
}

static int make_link(struct untar *u, const char *path) {
    struct made m = made_of(u);
    if (symlinkat(u->reader.entry.target, u->parent, u->name) < 0)
        return fail_sys(u->w, errno, "make the link %.200s", path);
    return dress(u, &m, u->parent, u->name, false);
}

/* To a regular file below the root, that the archive or somebody else has put there. */
static int make_hard_link(struct untar *u, const char *path) {
    char target[PATH_MAX];
    struct stat st;
    if (tar_clean_path(u->reader.entry.target, target) < 0 || !*target)
        return fail(u->w, FILE_BAD_PATH, EINVAL, "the hard link %.100s in the archive is to %.100s",
                    path, u->reader.entry.target);
    const char *slash = strrchr(target, '/');
    AUTO_FD int dir = open_below(u, target, slash ? (size_t)(slash - target) : 0, false);
    if (dir < 0 || fstatat(dir, slash ? slash + 1 : target, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_sys(u->w, dir < 0 ? -dir : errno, "find %.100s, which %.100s is a hard link to",
                        target, path);
    if (!S_ISREG(st.st_mode))
        return fail(u->w, FILE_BAD_PATH, EINVAL,
                    "%.100s is a hard link to %.100s, which is no file", path, target);
    if (linkat(dir, slash ? slash + 1 : target, u->parent, u->name, 0) < 0)
        return fail_sys(u->w, errno, "make the hard link %.100s to %.100s", path, target);
    return 0;
}

/* Most users may not make devices: the rest of the archive is worth having all the same. */
static int make_node(struct untar *u, const char *path) {
    const struct tar_entry *e = &u->reader.entry;
    mode_t kind = e->type == '3' ? S_IFCHR : e->type == '4' ? S_IFBLK : S_IFIFO;
    dev_t dev = kind == S_IFIFO ? 0 : makedev(e->major, e->minor);
    struct made m = made_of(u);
    if (mknodat(u->parent, u->name, kind | 0600, dev) == 0)
        return dress(u, &m, u->parent, u->name, true);
    if (errno != EPERM || kind == S_IFIFO)
        return fail_sys(u->w, errno, "make %.200s", path);
    if (u->refused++ == 0)
        (void)snprintf(u->first, sizeof u->first, "%.200s", path);
    return 0;
}

static int make_entry(struct untar *u, const char *path) {
    switch (u->reader.entry.type) {
    case '0':
        return make_file(u, path);
    case '1':
        return make_hard_link(u, path);
    case '2':
        return make_link(u, path);
    case '5':
        return make_directory(u, path);
    default:
        return make_node(u, path);
    }
}

static int take_entry(struct untar *u) {
    const struct tar_entry *e = &u->reader.entry;
    char path[PATH_MAX];
    int rc = finish_file(u);
    if (rc == 0)
        rc = worker_wanted(u->w);
    if (rc < 0)
        return rc;
    if (tar_clean_path(e->path, path) < 0)
        return fail(u->w, FILE_BAD_PATH, EINVAL, "%.200s in the archive leads out of its place",
                    e->path);
    if (!*path) /* the place itself, which stays as it is */
        return e->type == '5'
                   ? 0
                   : fail(u->w, FILE_BAD_ARCHIVE, EINVAL, "the archive has no name for a file");
    rc = find_place(u, path);
    if (rc == 0)
        rc = clear_place(u, path, e->type == '5');
    return rc < 0 ? rc : rc > 0 ? 0 : make_entry(u, path);
}

static int take_data(struct untar *u, const char *data, size_t n) {
    while (u->fd >= 0 && n > 0) {
        ssize_t k = write(u->fd, data, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail_sys(u->w, errno, "write %.200s of the archive", u->name);
        data += k;
        n -= (size_t)k;
    }
    return 0;
}

/* --- the archive ----------------------------------------------------------------------------- */

/* 1: it has ended; 0: more bytes are needed. */
static int feed(struct untar *u, const char *in, size_t n, bool end) {
    for (;;) {
        const char *data;
        size_t used, len;
        struct err e = { 0 };
        int rc = 0;
        enum tar_event ev = tar_read(&u->reader, in, n, end, &used, &data, &len, &e);
        in += used;
        n -= used;
        if (ev == TAR_ENTRY)
            rc = take_entry(u);
        else if (ev == TAR_DATA)
            rc = take_data(u, data, len);
        else if (ev == TAR_BAD)
            rc = fail(u->w, FILE_BAD_ARCHIVE, EINVAL, "%s", e.text);
        if (rc < 0 || ev == TAR_END || ev == TAR_MORE)
            return rc < 0 ? rc : ev == TAR_END;
    }
}

static int take_archive(struct untar *u) {
    int ended = 0;
    for (;;) {
        ssize_t n = pipe_get(u->w, u->bytes, sizeof u->bytes);
        if (n <= 0) {
            int rc = n < 0 ? (int)n : worker_complete(u->w);
            rc = rc < 0 || ended ? rc : feed(u, u->bytes, 0, true);
            return rc < 0 ? rc : finish_file(u);
        }
        if (!ended) /* what comes after the end only fills up a record */
            ended = feed(u, u->bytes, (size_t)n, false);
        if (ended < 0)
            return ended;
    }
}

static int unpack(struct untar *u) {
    int rc = take_archive(u);
    if (u->fd >= 0) { /* not to be taken for a whole one */
        (void)unlinkat(u->parent, u->name, 0);
        fd_close(&u->fd);
    }
    finish_dirs(u);
    if (rc == 0 && u->refused > 0)
        return fail(u->w, FILE_DENIED, EPERM,
                    "all is unpacked but %zu device nodes, which only root can make: %.200s",
                    u->refused, u->first);
    return rc;
}

static int open_root(struct worker *w) {
    AUTO_FD int fd = open(w->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && w->req->parents)
        fd = make_dirs(w, w->path);
    if (fd < 0 || fstat(fd, &w->info.st) < 0)
        return fd < -1 ? fd : fail_sys(w, errno, "open directory %s", w->path);
    return fd_take(&fd);
}

static int untar(struct worker *w, int root) {
    AUTO_FREE struct untar *u = calloc(1, sizeof *u);
    if (!u)
        return -ENOMEM;
    u->w = w;
    u->root = root;
    u->parent = u->fd = -1;
    tar_reader_init(&u->reader);
    int rc = unpack(u);
    fd_close(&u->parent);
    free(u->late);
    return rc;
}

/* Beside what is there, and then instead of it: an archive that is broken changes nothing. The
 * directory itself stays, for others may be in it, or it may be a mount. */
static int untar_instead(struct worker *w, int root) {
    char name[NAME_MAX + 1];
    temp_name(name, "unpacked");
    AUTO_FD int temp = make_dir(w, root, name, 0700);
    if (temp < 0)
        return temp == -EEXIST ? fail_sys(w, EEXIST, "make a directory in %s", w->path) : temp;
    int rc = untar(w, temp);
    if (rc == 0)
        rc = worker_wanted(w);
    if (rc == 0)
        rc = replace_content(w, root, name);
    tidy_tree(w, root, name);
    return rc;
}

int work_untar(struct worker *w) {
    AUTO_FD int root = open_root(w);
    int rc = root < 0 ? root : worker_opened(w);
    if (rc == 0)
        rc = w->req->replace_all ? untar_instead(w, root) : untar(w, root);
    return rc < 0 ? rc : tell_entry(w, w->path);
}
