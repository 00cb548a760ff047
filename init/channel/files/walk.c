#include "channel/files/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/grow.h"
#include "base/own.h"

/* --- cursor ---------------------------------------------------------------------------------- */

void cursor_begin(struct cursor *c, int fd) {
    c->fd = fd;
    c->depth = 0;
}

int cursor_down(struct cursor *c, const char *name) {
    if (c->depth >= MAX_TREE_DEPTH)
        return -E2BIG;
    AUTO_FD int fd = openat(c->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct stat st = { 0 };
    bool keep = c->depth < MAX_TREE_FDS;
    if (!keep && fstat(c->fd, &st) < 0)
        return -errno;
    c->up[c->depth].dev = st.st_dev;
    c->up[c->depth].ino = st.st_ino;
    c->up[c->depth].fd = keep ? c->fd : -1;
    if (!keep)
        fd_close(&c->fd);
    c->fd = fd_take(&fd);
    c->depth++;
    return 0;
}

int cursor_up(struct cursor *c) {
    unsigned d = c->depth - 1;
    AUTO_FD int fd = fd_take(&c->up[d].fd);
    struct stat st;
    if (fd < 0) {
        fd = openat(c->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
            return -errno;
        if (st.st_dev != c->up[d].dev || st.st_ino != c->up[d].ino)
            return -ESTALE;
    }
    fd_close(&c->fd);
    c->fd = fd_take(&fd);
    c->depth = d;
    return 0;
}

void cursor_end(struct cursor *c) {
    fd_close(&c->fd);
    while (c->depth > 0)
        fd_close(&c->up[--c->depth].fd);
}

/* --- the names in one directory -------------------------------------------------------------- */

struct names {
    char *bytes; /* one after the other, each with its NUL */
    size_t len, cap;
    const char **list;
    size_t n;
    bool more; /* there are more: read again when these are done with */
};

static void names_free(struct names *s) {
    free(s->bytes);
    free(s->list);
    *s = (struct names){ 0 };
}

static int names_add(struct names *s, const char *name) {
    size_t k = strlen(name) + 1;
    if (!mem_grow(&s->bytes, &s->cap, s->len + k, 1))
        return -ENOMEM;
    memcpy(s->bytes + s->len, name, k);
    s->len += k;
    s->n++;
    return 0;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int names_index(struct names *s, bool sorted) {
    s->list = calloc(s->n + 1, sizeof *s->list);
    if (!s->list)
        return -ENOMEM;
    const char *p = s->bytes;
    for (size_t i = 0; i < s->n; i++, p += strlen(p) + 1)
        s->list[i] = p;
    if (sorted)
        qsort(s->list, s->n, sizeof *s->list, by_bytes);
    return 0;
}

/* Read at most `max` names. `dir` stays open. 0, or -errno. */
static int names_read(struct names *s, int dir, size_t max, bool sorted) {
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* from its beginning */
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int rc = d ? 0 : -errno;
    if (!d && fd >= 0)
        (void)close(fd);
    while (rc == 0 && !s->more) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e) {
            rc = -errno;
            break;
        }
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        s->more = s->n == max;
        if (!s->more)
            rc = names_add(s, e->d_name);
    }
    if (d)
        (void)closedir(d);
    return rc < 0 ? rc : names_index(s, sorted);
}

/* --- the walk -------------------------------------------------------------------------------- */

enum { BATCH = 16384 };

struct level {
    struct names names;
    size_t next;
    size_t path_len; /* of the directory's own path within walk.path */
    struct stat st;  /* of the directory, as it was gone into */
};

struct levels {
    struct level at[MAX_TREE_DEPTH + 1];
};

static int enter(struct walk *k, struct level *l) {
    l->next = 0;
    names_free(&l->names);
    int rc = names_read(&l->names, k->at.fd, k->any_order ? BATCH : MAX_DIR_NAMES, !k->any_order);
    if (rc < 0)
        return fail_sys(k->w, -rc, "read directory %s", k->path);
    if (l->names.more && !k->any_order)
        return fail(k->w, FILE_LIMIT, E2BIG, "there are more than %d names in %s", MAX_DIR_NAMES,
                    k->path);
    return 0;
}

static int told_barred(struct walk *k, int code) {
    if (code == ENOENT || code == ECANCELED)
        return code == ENOENT ? 0 : -code;
    if (code == E2BIG)
        return fail(k->w, FILE_LIMIT, E2BIG, "%s is more than %d directories deep", k->path,
                    MAX_TREE_DEPTH);
    if (k->barred)
        return k->barred(k, code);
    return fail_sys(k->w, code, "open %s", k->path);
}

static void set_path(struct walk *k, size_t dir_len, const char *name) {
    int n = snprintf(k->path + dir_len, sizeof k->path - dir_len, "%s%s",
                     dir_len > 0 && k->path[dir_len - 1] == '/' ? "" : "/", name);
    k->path_cut = n < 0 || (size_t)n >= sizeof k->path - dir_len;
}

/* The next name of the level. 1: it has been gone into; 0; or -errno. */
static int visit_next(struct walk *k, struct level *l) {
    k->name = l->names.list[l->next++];
    k->depth = k->at.depth + 1;
    k->path[l->path_len] = '\0';
    set_path(k, l->path_len, k->name);
    int rc = worker_wanted(k->w);
    if (rc < 0)
        return rc;
    if (fstatat(k->at.fd, k->name, &k->st, AT_SYMLINK_NOFOLLOW) < 0) {
        k->st = (struct stat){ 0 };
        return told_barred(k, errno);
    }
    rc = k->visit(k);
    if (rc != WALK_INTO)
        return rc;
    rc = cursor_down(&k->at, k->name);
    if (rc < 0)
        return told_barred(k, -rc);
    l[1].st = k->st;
    l[1].path_len = strlen(k->path);
    rc = k->entered ? k->entered(k) : 0;
    if (rc == 0)
        rc = enter(k, l + 1);
    return rc < 0 ? rc : 1;
}

/* Back in the directory above, whose name in turn is that of the one just left. */
static int leave_level(struct walk *k, struct level *l) {
    names_free(&l->names);
    k->path[l->path_len] = '\0';
    int rc = cursor_up(&k->at);
    if (rc < 0)
        return fail_sys(k->w, -rc, "go back up from %s, which is being moved about", k->path);
    k->name = l[-1].names.list[l[-1].next - 1];
    k->st = l->st;
    k->depth = k->at.depth + 1;
    return k->leave ? k->leave(k) : 0;
}

static int run(struct walk *k, struct levels *levels) {
    struct level *l = &levels->at[0];
    l->path_len = strlen(k->path);
    int rc = enter(k, l);
    while (rc >= 0) {
        if (l->next < l->names.n) {
            rc = visit_next(k, l);
            l += rc > 0;
        } else if (l->names.more) {
            k->path[l->path_len] = '\0';
            rc = enter(k, l);
        } else if (l == &levels->at[0]) {
            return 0;
        } else {
            rc = leave_level(k, l--);
        }
    }
    return rc;
}

int walk_tree(struct walk *k, int fd, const char *path) {
    AUTO_FREE struct levels *levels = calloc(1, sizeof *levels);
    cursor_begin(&k->at, fd);
    (void)snprintf(k->path, sizeof k->path, "%s", path);
    k->w->at = k->path;
    k->path_cut = false;
    int rc = levels ? run(k, levels) : -ENOMEM;
    for (size_t i = 0; levels && i <= MAX_TREE_DEPTH; i++)
        names_free(&levels->at[i].names);
    cursor_end(&k->at);
    k->w->at = k->w->path;
    return rc;
}
