/* Watching a directory, or all below it, by inotify(7).
 *
 * A directory that appears is watched first and read then, so what it holds is told by one or the
 * other; of files now and then by both. One that is moved is forgotten where it was and is new
 * where it goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/glob.h"
#include "base/own.h"
#include "channel/files/walk.h"

enum {
    EVENTS = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_MODIFY | IN_ATTRIB | IN_DELETE,
    ROOT_EVENTS = IN_DELETE_SELF | IN_MOVE_SELF,
    INOTIFY_BUFFER = 64 << 10,
};

struct watched {
    int wd, parent; /* watch descriptors; the root's parent is 0 */
    char *name;
    bool told; /* that it is there, by reading the directory above it */
};

struct watching {
    struct worker *w;
    int fd;
    int root;
    struct watched *list; /* by wd: the kernel numbers them upwards */
    size_t n;
    bool begun; /* FILE_WATCHING, the first event, is out */
    bool full;  /* something could not be watched, and that has been told */
    bool over;
    uint32_t our_cookie; /* of the file of ours that was moved last (inotify(7)); 0 */
    char buffer[INOTIFY_BUFFER] __attribute__((aligned(__alignof__(struct inotify_event))));
};

/* --- which directories ----------------------------------------------------------------------- */

static struct watched *find(struct watching *x, int wd) {
    size_t from = 0, to = x->n;
    while (from < to) {
        size_t mid = (from + to) / 2;
        if (x->list[mid].wd == wd)
            return &x->list[mid];
        if (x->list[mid].wd < wd)
            from = mid + 1;
        else
            to = mid;
    }
    return NULL;
}

static void forget(struct watching *x, struct watched *d) {
    free(d->name);
    size_t at = (size_t)(d - x->list);
    memmove(d, d + 1, (x->n - at - 1) * sizeof *d);
    x->n--;
}

static int remember(struct watching *x, int wd, int parent, const char *name) {
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    struct watched *known = find(x, wd);
    if (known) { /* moved, while events were lost */
        free(known->name);
        known->name = copy;
        known->parent = parent;
        known->told = false;
        return 0;
    }
    size_t at = x->n;
    while (at > 0 && x->list[at - 1].wd > wd)
        at--;
    memmove(&x->list[at + 1], &x->list[at], (x->n - at) * sizeof *x->list);
    x->list[at] = (struct watched){ .wd = wd, .parent = parent, .name = copy };
    x->n++;
    return 0;
}

/* The path of a watched directory below the root, from the root's. -errno: not any more. */
static int path_of(struct watching *x, int wd, char out[PATH_MAX]) {
    const struct watched *way[PATH_MAX / 2];
    size_t n = 0;
    for (const struct watched *d; wd != x->root; wd = d->parent) {
        d = find(x, wd);
        if (!d || n == sizeof way / sizeof way[0])
            return -ENOENT;
        way[n++] = d;
    }
    (void)snprintf(out, PATH_MAX, "%s", x->w->path);
    int rc = 0;
    while (rc == 0 && n > 0)
        rc = path_join(out, out, way[--n]->name);
    return rc;
}

/* Stop watching those whose directory above is not watched any more. */
static void forget_orphans(struct watching *x) {
    for (bool again = true; again;) {
        again = false;
        for (size_t i = x->n; i-- > 0;) {
            struct watched *d = &x->list[i];
            if (d->wd == x->root || find(x, d->parent))
                continue;
            (void)inotify_rm_watch(x->fd, d->wd);
            forget(x, d);
            again = true;
        }
    }
}

static void forget_named(struct watching *x, int parent, const char *name) {
    for (size_t i = 0; i < x->n; i++)
        if (x->list[i].parent == parent && strcmp(x->list[i].name, name) == 0) {
            (void)inotify_rm_watch(x->fd, x->list[i].wd);
            forget(x, &x->list[i]);
            forget_orphans(x);
            return;
        }
}

/* --- telling --------------------------------------------------------------------------------- */

/* Files that pinnace makes on the way to others are nobody's business. Those of O_TMPFILE, whose
 * name the kernel tells as "#INODE", are not even there. */
static bool is_ours(const char *name) {
    bool nameless = name[0] == '#' && name[1] && !name[1 + strspn(name + 1, "0123456789")];
    return nameless || (name[0] == '.' && strstr(name, ".pinnace-") != NULL);
}

/* `path` is of something that is not to be watched, nor told of. */
static bool is_left_out(const struct watching *x, const char *path) {
    const char *root = x->w->path;
    return glob_any(x->w->req->exclude, path + strlen(root) + (root[1] != '\0'));
}

static bool is_wanted(const struct worker *w, const struct file_event *e) {
    bool told = e->kind == FILE_WATCHING || e->kind == FILE_OVERFLOW || !*e->name;
    return told || !w->req->include || glob_any(w->req->include, e->name);
}

static int tell(struct watching *x, struct file_event *e) {
    struct worker *w = x->w;
    struct stat st;
    bool wanted = w->req->entries &&
                  (e->kind == FILE_CREATED || e->kind == FILE_WRITTEN || e->kind == FILE_CHMODED);
    size_t prefix = strlen(w->path) + (w->path[1] != '\0');
    e->name = strlen(e->path) > prefix ? e->path + prefix : "";
    if (!is_wanted(w, e))
        return 0;
    if (wanted && lstat(e->path, &st) == 0)
        e->entry = entry_make(w, AT_FDCWD, e->path, &st, e->path, e->name);
    return event_out(w, e);
}

static int tell_plain(struct watching *x, enum file_event_kind kind) {
    struct file_event e = { .kind = kind, .is_dir = true, .path = x->w->path };
    return tell(x, &e);
}

static int tell_full(struct watching *x) {
    bool news = !x->full && x->begun;
    x->full = true;
    return news ? tell_plain(x, FILE_OVERFLOW) : 0;
}

/* --- new directories ------------------------------------------------------------------------- */

static int kernel_watch(const struct watching *x, const char *path) {
    return inotify_add_watch(x->fd, path, EVENTS | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK);
}

/* Watch one. Its wd; 0: it is not there, or not ours to see, or there are too many; -errno. */
static int add(struct watching *x, const char *path, int parent, const char *name) {
    int wd = kernel_watch(x, path);
    if (wd < 0 && errno != ENOSPC)
        return 0;
    if (wd >= 0 && x->n >= MAX_WATCHES && !find(x, wd)) {
        (void)inotify_rm_watch(x->fd, wd);
        wd = -1;
    }
    int rc = wd < 0 ? tell_full(x) : remember(x, wd, parent, name);
    return rc < 0 ? rc : wd < 0 ? 0 : wd;
}

/* Has this very directory been told of, in this place, before its event was read? */
static bool is_told(struct watching *x, const char *path, int parent, const char *name) {
    int wd = kernel_watch(x, path);
    const struct watched *d = wd < 0 ? NULL : find(x, wd);
    return d && d->told && d->parent == parent && strcmp(d->name, name) == 0;
}

struct scan {
    struct watching *x;
    bool tells;                  /* what is there is new */
    int wds[MAX_TREE_DEPTH + 1]; /* of the directories on the way; 0: above the scan's */
};

static int scan_visit(struct walk *k) {
    struct scan *s = k->ctx;
    bool is_dir = S_ISDIR(k->st.st_mode);
    int wd = 0, rc = 0;
    if (k->path_cut || k->depth >= MAX_TREE_DEPTH)
        return tell_full(s->x);
    if (is_left_out(s->x, k->path))
        return WALK_ON;
    if (is_dir)
        wd = add(s->x, k->path, s->wds[k->depth - 1], k->name);
    if (wd >= 0 && s->tells && !is_ours(k->name)) {
        struct file_event e = { .kind = FILE_CREATED, .is_dir = is_dir, .path = k->path };
        rc = tell(s->x, &e);
    }
    if (wd > 0) {
        s->wds[k->depth] = wd;
        find(s->x, wd)->told = s->tells;
    }
    return wd < 0 || rc < 0 ? (wd < 0 ? wd : rc) : wd > 0 ? WALK_INTO : WALK_ON;
}

static int scan_barred(struct walk *k, int code) {
    (void)k, (void)code;
    return 0; /* then nothing is seen of it */
}

/* Watch all that is below a directory, which itself is watched. */
static int scan(struct watching *x, const char *path, int wd, bool tells) {
    struct scan s = { .x = x, .tells = tells };
    s.wds[0] = wd;
    struct walk k = { .w = x->w, .ctx = &s, .visit = scan_visit, .barred = scan_barred };
    int follow = wd == x->root ? 0 : O_NOFOLLOW;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | follow);
    return fd < 0 ? 0 : walk_tree(&k, fd, path);
}

static int appeared(struct watching *x, int parent, const char *path, const char *name) {
    int wd = add(x, path, parent, name);
    return wd > 0 ? scan(x, path, wd, true) : wd;
}

/* --- events ---------------------------------------------------------------------------------- */

/* In the order in which they are told, if one event has several. */
static const struct {
    uint32_t bits;
    enum file_event_kind kind;
} kinds[] = {
    { IN_CREATE | IN_MOVED_TO, FILE_CREATED },
    { IN_MOVED_FROM | IN_MOVE_SELF, FILE_RENAMED },
    { IN_ATTRIB, FILE_CHMODED },
    { IN_MODIFY, FILE_WRITTEN },
    { IN_DELETE | IN_DELETE_SELF | IN_UNMOUNT, FILE_REMOVED },
};

static int tell_kinds(struct watching *x, const struct inotify_event *i, const char *path) {
    int rc = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && rc == 0; k++) {
        struct file_event e = { .kind = kinds[k].kind,
                                .is_dir = (i->mask & IN_ISDIR) || i->len == 0,
                                .moved = (i->mask & IN_MOVED_TO) != 0,
                                .rewritten = (i->mask & IN_MOVED_TO) && i->cookie == x->our_cookie,
                                .path = path };
        if (i->mask & kinds[k].bits)
            rc = tell(x, &e);
    }
    return rc;
}

static int overflowed(struct watching *x) {
    int rc = tell_plain(x, FILE_OVERFLOW);
    return rc == 0 && x->w->req->recursive ? scan(x, x->w->path, x->root, false) : rc;
}

static int take_event(struct watching *x, const struct inotify_event *i) {
    char path[PATH_MAX];
    const char *name = i->len > 0 ? i->name : "";
    if (i->mask & IN_Q_OVERFLOW)
        return overflowed(x);
    struct watched *d = find(x, i->wd);
    if (i->mask & IN_IGNORED) { /* the directory is gone */
        x->over |= i->wd == x->root;
        if (d)
            forget(x, d);
        return 0;
    }
    if (is_ours(name) && (i->mask & IN_MOVED_FROM))
        x->our_cookie = i->cookie; /* of what its new name is told with */
    if (!d || path_of(x, i->wd, path) < 0 || path_join(path, path, name) < 0 || is_ours(name))
        return 0;
    if (*name && is_left_out(x, path))
        return 0;
    if (!*name && i->wd != x->root) /* the directory above tells the same */
        return 0;
    bool is_dir = (i->mask & IN_ISDIR) && *name && x->w->req->recursive;
    bool appears = is_dir && (i->mask & (IN_CREATE | IN_MOVED_TO));
    if (appears && is_told(x, path, i->wd, name))
        return 0;
    int rc = tell_kinds(x, i, path);
    if (rc == 0 && appears)
        rc = appeared(x, i->wd, path, name);
    if (is_dir && (i->mask & IN_MOVED_FROM))
        forget_named(x, i->wd, name);
    return rc;
}

static int take_events(struct watching *x) {
    ssize_t n = read(x->fd, x->buffer, sizeof x->buffer);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0
                                                 : fail_sys(x->w, errno, "watch %s", x->w->path);
    int rc = 0;
    for (const char *p = x->buffer; rc == 0 && !x->over && p < x->buffer + n;) {
        const struct inotify_event *i = (const void *)p;
        p += sizeof *i + i->len;
        rc = take_event(x, i);
    }
    return rc < 0 ? rc : text_flush(x->w);
}

/* --- the watch ------------------------------------------------------------------------------- */

/* File systems on which others change what our kernel does not see. */
static bool is_network(const char *path) {
    static const uint32_t types[] = { NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, 0xff534d42 /* CIFS */,
                                      0xfe534d42 /* SMB2 */, 0x65735546 /* FUSE */ };
    struct statfs fs;
    bool found = false;
    if (statfs(path, &fs) == 0)
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            found |= (uint32_t)fs.f_type == types[i];
    return found;
}

static int begin(struct watching *x) {
    struct worker *w = x->w;
    if (stat(w->path, &w->info.st) < 0)
        return fail_sys(w, errno, "%s", w->path);
    if (!S_ISDIR(w->info.st.st_mode))
        return fail_sys(w, ENOTDIR, "%s", w->path);
    if (!w->req->network_ok && is_network(w->path))
        return fail(w, FILE_NETWORK_FS, EOPNOTSUPP,
                    "%s is on a network or FUSE file system, where changes by others are not seen",
                    w->path);
    x->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (x->fd < 0 && errno == EMFILE)
        return fail(w, FILE_LIMIT, EMFILE,
                    "this user has too many watches: see /proc/sys/fs/inotify/max_user_instances");
    x->root = x->fd < 0 ? -1
                        : inotify_add_watch(x->fd, w->path,
                                            EVENTS | ROOT_EVENTS | IN_ONLYDIR | IN_EXCL_UNLINK);
    if (x->root < 0 && errno == ENOSPC)
        return fail(w, FILE_LIMIT, ENOSPC,
                    "this user watches too much: see /proc/sys/fs/inotify/max_user_watches");
    if (x->root < 0)
        return fail_sys(w, errno, "watch %s", w->path);
    return remember(x, x->root, 0, "");
}

static int watch(struct watching *x) {
    int rc = begin(x);
    if (rc == 0)
        rc = worker_opened(x->w);
    if (rc == 0 && x->w->req->recursive)
        rc = scan(x, x->w->path, x->root, false);
    if (rc == 0)
        rc = tell_plain(x, FILE_WATCHING);
    x->begun = true;
    if (rc == 0 && x->full)
        rc = tell_plain(x, FILE_OVERFLOW);
    if (rc == 0)
        rc = text_flush(x->w);
    while (rc == 0 && !x->over) {
        rc = worker_wait(x->w, x->fd, POLLIN);
        if (rc == 0)
            rc = take_events(x);
    }
    return rc;
}

int work_watch(struct worker *w) {
    struct watching *x = calloc(1, sizeof *x);
    if (x)
        x->list = calloc(MAX_WATCHES + 1, sizeof *x->list);
    if (!x || !x->list)
        return -ENOMEM;
    x->w = w;
    x->fd = -1;
    int rc = watch(x);
    fd_close(&x->fd); /* the process ends with this: its memory is not worth a walk */
    return rc;
}
