/* A tree as an archive. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/glob.h"
#include "base/own.h"
#include "channel/files/tar.h"
#include "channel/files/walk.h"

enum { SMALL_FILE = 32 << 10, FLUSH_AT = 64 << 10 };

struct packing {
    size_t prefix; /* of walk.path, before what is the name in the archive */
    size_t below;  /* the same, before what is relative to the directory itself */
    struct tar_entry entry;
    char head[TAR_HEAD_MAX];
};

static char type_of(mode_t mode) {
    return S_ISREG(mode)   ? '0'
           : S_ISLNK(mode) ? '2'
           : S_ISCHR(mode) ? '3'
           : S_ISBLK(mode) ? '4'
           : S_ISDIR(mode) ? '5'
                           : '6';
}

static int put(struct worker *w, const void *bytes, size_t n) {
    text_put(&w->text, bytes, n);
    return w->text.len > FLUSH_AT ? text_flush(w) : 0;
}

static int put_zeros(struct worker *w, uint64_t n) {
    int rc = 0;
    while (rc == 0 && n > 0) {
        size_t k = n < FLUSH_AT ? (size_t)n : FLUSH_AT;
        memset(w->text.buf + w->text.len, 0, k); /* there is room for several times as much */
        w->text.len += k;
        n -= k;
        rc = w->text.len > FLUSH_AT ? text_flush(w) : 0;
    }
    return rc;
}

static int put_head(struct worker *w, struct packing *p, const struct stat *st) {
    struct tar_entry *e = &p->entry;
    bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
    e->type = type_of(st->st_mode);
    e->mode = st->st_mode & 07777;
    e->uid = st->st_uid;
    e->gid = st->st_gid;
    e->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
    e->mtime = st->st_mtim;
    e->major = device ? major(st->st_rdev) : 0;
    e->minor = device ? minor(st->st_rdev) : 0;
    (void)snprintf(e->owner, sizeof e->owner, "%s", owner_name(w, st->st_uid));
    (void)snprintf(e->group, sizeof e->group, "%s", group_name(w, st->st_gid));
    int n = tar_head(e, p->head);
    return n < 0 ? fail_sys(w, -n, "archive %s", w->at) : put(w, p->head, (size_t)n);
}

/* Exactly as much as the head says, whatever the file has become meanwhile. */
static int put_content(struct worker *w, int fd, uint64_t size) {
    int64_t n;
    if (size <= SMALL_FILE) {
        n = pread(fd, w->text.buf + w->text.len, (size_t)size, 0);
        if (n < 0)
            return fail_sys(w, errno, "read %s", w->at);
        w->text.len += (size_t)n;
    } else {
        int rc = text_flush(w);
        n = rc < 0 ? rc : pipe_from_file(w, fd, 0, size);
        if (n < 0)
            return (int)n;
    }
    return put_zeros(w, size - (uint64_t)n + tar_padding(size));
}

static int pack_file(struct worker *w, struct packing *p, int dir, const char *name) {
    struct stat st;
    AUTO_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_sys(w, errno, "open %s", w->at);
    if (!S_ISREG(st.st_mode))
        return fail(w, FILE_FAILED, EINVAL, "%s is no longer a regular file", w->at);
    int rc = put_head(w, p, &st);
    return rc < 0 ? rc : put_content(w, fd, (uint64_t)st.st_size);
}

/* One entry; its name in the archive has been set. */
static int pack_one(struct worker *w, struct packing *p, int dir, const char *name,
                    const struct stat *st) {
    p->entry.target[0] = '\0';
    if (S_ISREG(st->st_mode))
        return pack_file(w, p, dir, name);
    if (S_ISSOCK(st->st_mode)) /* means nothing without its server; no archive has them */
        return 0;
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlinkat(dir, name, p->entry.target, sizeof p->entry.target - 1);
        if (n < 0)
            return errno == ENOENT ? 0 : fail_sys(w, errno, "read the link %s", w->at);
        p->entry.target[n] = '\0';
    }
    return put_head(w, p, st);
}

static int set_name(struct worker *w, struct packing *p, const char *name, bool is_dir) {
    int n = snprintf(p->entry.path, sizeof p->entry.path, "%s%s", name, is_dir ? "/" : "");
    return n >= (int)sizeof p->entry.path ? fail_sys(w, ENAMETOOLONG, "archive %s", w->at) : 0;
}

static int pack_visit(struct walk *k) {
    struct packing *p = k->ctx;
    bool is_dir = S_ISDIR(k->st.st_mode);
    if (glob_any(k->w->req->exclude, k->path + p->below))
        return WALK_ON;
    int rc = k->path_cut ? fail_sys(k->w, ENAMETOOLONG, "archive %s", k->path) : 0;
    if (rc == 0)
        rc = set_name(k->w, p, k->path + p->prefix, is_dir);
    if (rc == 0)
        rc = pack_one(k->w, p, k->at.fd, k->name, &k->st);
    return rc < 0 ? rc : is_dir ? WALK_INTO : WALK_ON;
}

static int pack_all(struct worker *w, struct packing *p, int dir, const char *name) {
    bool is_dir = S_ISDIR(w->info.st.st_mode);
    bool nameless = w->req->contents || strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    size_t len = strlen(w->path), dir_len = (size_t)(strrchr(w->path, '/') + 1 - w->path);
    p->below = len + (w->path[1] != '\0');
    p->prefix = nameless ? len + (w->path[1] != '\0') : dir_len;
    int rc = 0;
    if (!nameless || !is_dir) {
        rc = set_name(w, p, w->path + dir_len, is_dir);
        rc = rc < 0 ? rc : pack_one(w, p, dir, name, &w->info.st);
    }
    if (rc < 0 || !is_dir)
        return rc;
    int follow = w->req->contents ? 0 : O_NOFOLLOW;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow);
    if (fd < 0)
        return fail_sys(w, errno, "open directory %s", w->path);
    struct walk k = { .w = w, .ctx = p, .visit = pack_visit };
    return walk_tree(&k, fd, w->path);
}

/* What cannot be read at all is told before anything is sent. */
static int check(struct worker *w, int dir, const char *name) {
    bool follow = w->req->contents || strcmp(name, ".") == 0;
    if (fstatat(dir, name, &w->info.st, follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
        return fail_sys(w, errno, "%s", w->path);
    if (w->req->contents && !S_ISDIR(w->info.st.st_mode))
        return fail_sys(w, ENOTDIR, "%s", w->path);
    bool read = S_ISREG(w->info.st.st_mode) || S_ISDIR(w->info.st.st_mode);
    if (read && faccessat(dir, name, R_OK, 0) < 0)
        return fail_sys(w, errno, "open %s", w->path);
    etag_make(&w->info.st, w->info.etag);
    return 0;
}

int work_tar(struct worker *w) {
    char last[NAME_MAX + 1];
    AUTO_FD int dir = open_parent(w, w->path, false, last);
    if (dir < 0)
        return dir;
    const char *name = *last ? last : ".";
    AUTO_FREE struct packing *p = calloc(1, sizeof *p);
    int rc = check(w, dir, name);
    if (rc == 0 && (!p || !text_room(w)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = worker_opened(w);
    if (rc == 0)
        rc = pack_all(w, p, dir, name);
    if (rc == 0)
        rc = put_zeros(w, 2 * TAR_BLOCK);
    return rc < 0 ? rc : text_flush(w);
}
