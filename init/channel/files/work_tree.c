/* Lists, removals, modes and owners, new directories. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/target.h"
#include "channel/files/walk.h"

/* --- list ------------------------------------------------------------------------------------ */

struct listing {
    unsigned depth;
    size_t prefix; /* of a path, before what is relative to the list */
};

static int list_visit(struct walk *k) {
    const struct listing *l = k->ctx;
    if (k->path_cut)
        return fail(k->w, FILE_BAD_PATH, ENAMETOOLONG,
                    "a path below %.100s is longer than %d bytes", k->w->path, PATH_MAX - 1);
    if (k->w->req->visible && k->name[0] == '.')
        return WALK_ON;
    const char *shown = l->depth > 1 ? k->path + l->prefix : k->name, *path = k->path;
    char as[PATH_MAX];
    if (k->w->req->shown) {
        if (path_join(as, k->w->req->shown, k->path + l->prefix) < 0)
            return fail_sys(k->w, ENAMETOOLONG, "a path below %.100s", k->w->path);
        path = as;
    }
    const struct file_entry *e = entry_make(k->w, k->at.fd, k->name, &k->st, path, shown);
    int rc = entry_out(k->w, e);
    bool into = S_ISDIR(k->st.st_mode) && k->depth < l->depth;
    return rc < 0 ? rc : into ? WALK_INTO : WALK_ON;
}

/* A directory below that may not be looked into, or was just replaced, is told but not its content.
 * That even its own names cannot be looked at is an error: a list that is empty would be a lie. */
static int list_barred(struct walk *k, int code) {
    bool told = k->st.st_mode != 0;
    return told ? 0 : fail_sys(k->w, code, "look at %s", k->path);
}

/* Open the directory that is worked on; info is of it. */
static int open_dir(struct worker *w) {
    AUTO_FD int fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &w->info.st) < 0)
        return fail_sys(w, errno, "open directory %s", w->path);
    etag_make(&w->info.st, w->info.etag);
    return fd_take(&fd);
}

int work_list(struct worker *w) {
    AUTO_FD int fd = open_dir(w);
    int rc = fd < 0 ? fd : worker_opened(w);
    if (rc < 0)
        return rc;
    struct listing l = { .depth = w->req->depth ? w->req->depth : 1,
                         .prefix = strlen(w->path) + (w->path[1] != '\0') };
    struct walk k = { .w = w, .ctx = &l, .visit = list_visit, .barred = list_barred };
    rc = text_out(w, w->req->head);
    if (rc == 0)
        rc = walk_tree(&k, fd_take(&fd), w->path);
    if (rc == 0)
        rc = text_out(w, w->req->tail);
    w->info.entries = w->index;
    return rc < 0 ? rc : text_flush(w);
}

/* --- remove ---------------------------------------------------------------------------------- */

/* 0 or -errno; -EISDIR nothing said. */
static int remove_one(struct worker *w, int dir, const char *name, const char *path, int flags) {
    if (unlinkat(dir, name, flags) == 0 || errno == ENOENT)
        return 0;
    return errno == EISDIR ? -EISDIR : fail_sys(w, errno, "remove %s", path);
}

static int remove_visit(struct walk *k) {
    if (S_ISDIR(k->st.st_mode))
        return WALK_INTO;
    int rc = remove_one(k->w, k->at.fd, k->name, k->path, 0);
    return rc == -EISDIR ? WALK_INTO : rc; /* it has become one */
}

static int remove_leave(struct walk *k) {
    return remove_one(k->w, k->at.fd, k->name, k->path, AT_REMOVEDIR);
}

/* Not a directory any more; or one that may not be read, but perhaps is empty. */
static int remove_barred(struct walk *k, int code) {
    bool swapped = code == ENOTDIR || code == ELOOP;
    if (unlinkat(k->at.fd, k->name, swapped ? 0 : AT_REMOVEDIR) == 0)
        return 0;
    return fail_sys(k->w, code, "open directory %s", k->path);
}

int remove_tree(struct worker *w, int dir, const char *name, const char *path) {
    int rc = remove_one(w, dir, name, path, 0);
    if (rc != -EISDIR)
        return rc;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0)
        return fail_sys(w, errno, "open directory %s", path);
    if (fd < 0)
        return 0;
    struct walk k = { .w = w,
                      .any_order = true,
                      .visit = remove_visit,
                      .leave = remove_leave,
                      .barred = remove_barred };
    rc = walk_tree(&k, fd, path);
    return rc < 0 ? rc : remove_one(w, dir, name, path, AT_REMOVEDIR);
}

void tidy_tree(struct worker *w, int dir, const char *name) {
    bool was = w->tidying;
    w->tidying = true;
    (void)remove_tree(w, dir, name, name);
    w->tidying = was;
}

int work_remove(struct worker *w) {
    char name[NAME_MAX + 1];
    AUTO_FD int dir = open_parent_of_name(w, w->path, false, name);
    struct stat st;
    if (dir >= 0 && w->req->upload)
        return upload_remove(w, dir, name);
    int rc = dir < 0 ? dir : fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
    if (rc == -ENOENT && w->req->missing_ok) {
        forgive(w);
        return 0;
    }
    if (rc < 0)
        return fail_sys(w, -rc, "remove %s", w->path);
    if (w->req->plain && S_ISDIR(st.st_mode))
        return fail_sys(w, EISDIR, "remove %s", w->path);
    if (w->req->recursive)
        return remove_tree(w, dir, name, w->path);
    rc = remove_one(w, dir, name, w->path, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    return rc == -EISDIR ? fail_sys(w, EISDIR, "remove %s", w->path) : rc;
}

/* --- mode and owner -------------------------------------------------------------------------- */

struct change {
    uid_t uid; /* -1: leave */
    gid_t gid;
    bool mode_first; /* a directory's mode will still let us in */
};

static int find_owners(struct worker *w, struct change *c) {
    const char *owner = w->req->owner, *group = w->req->group;
    struct identity id = { 0 };
    *c = (struct change){ .uid = (uid_t)-1, .gid = (gid_t)-1 };
    if (owner && (strchr(owner, ':') || find_identity(owner, &id) < 0))
        return fail(w, FILE_BAD_USER, ENOENT, "there is no user '%.200s'", owner);
    if (owner)
        c->uid = id.uid;
    char text[256];
    (void)snprintf(text, sizeof text, "0:%s", group ? group : "");
    if (group && find_identity(text, &id) < 0)
        return fail(w, FILE_BAD_USER, ENOENT, "there is no group '%.200s'", group);
    if (group)
        c->gid = id.gid;
    c->mode_first = !w->req->has_mode || (w->req->mode & S_IRWXU) == S_IRWXU;
    return 0;
}

/* The owner first: changing it takes setuid bits away (chown(2)). */
static int change_one(struct worker *w, const struct change *c, int dir, const char *name,
                      const struct stat *st, const char *path) {
    bool own = c->uid != (uid_t)-1 || c->gid != (gid_t)-1;
    if (own && fchownat(dir, name, c->uid, c->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : fail_sys(w, errno, "change the owner of %s", path);
    if (!w->req->has_mode || S_ISLNK(st->st_mode))
        return 0;
    int rc = set_mode(dir, name, w->req->mode);
    bool gone = rc == -ENOENT || rc == -EOPNOTSUPP || rc == -ELOOP; /* or a link by now */
    return rc == 0 || gone ? 0 : fail_sys(w, -rc, "change the mode of %s", path);
}

static int change_visit(struct walk *k) {
    const struct change *c = k->ctx;
    bool is_dir = S_ISDIR(k->st.st_mode);
    int rc = is_dir && !c->mode_first ? 0 : change_one(k->w, c, k->at.fd, k->name, &k->st, k->path);
    return rc < 0 ? rc : is_dir ? WALK_INTO : WALK_ON;
}

static int change_leave(struct walk *k) {
    const struct change *c = k->ctx;
    return c->mode_first ? 0 : change_one(k->w, c, k->at.fd, k->name, &k->st, k->path);
}

static int change_below(struct worker *w, struct change *c) {
    struct walk k = { .w = w, .ctx = c, .visit = change_visit, .leave = change_leave };
    int fd = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? fail_sys(w, errno, "open directory %s", w->path) : walk_tree(&k, fd, w->path);
}

int work_chmod(struct worker *w) {
    struct change c;
    int rc = find_owners(w, &c);
    char real[PATH_MAX],
        name[NAME_MAX + 1]; /* a link that is named itself is followed, as chmod(1) does */
    if (rc == 0 && !realpath(w->path, real))
        rc = fail_sys(w, errno, "%s", w->path);
    AUTO_FD int dir = rc < 0 ? -1 : open_parent(w, real, false, name);
    const char *self = dir >= 0 && *name ? name : ".";
    struct stat st;
    if (dir >= 0 && fstatat(dir, self, &st, AT_SYMLINK_NOFOLLOW) < 0)
        rc = fail_sys(w, errno, "%s", w->path);
    if (dir < 0 || rc < 0)
        return rc < 0 ? rc : dir;
    bool below = w->req->recursive && S_ISDIR(st.st_mode);
    if (below && !c.mode_first)
        rc = change_below(w, &c);
    if (rc == 0)
        rc = change_one(w, &c, dir, self, &st, w->path);
    if (rc == 0 && below && c.mode_first)
        rc = change_below(w, &c);
    return rc < 0 ? rc : tell_entry(w, w->path);
}

/* --- new directories ------------------------------------------------------------------------- */

static int dir_is_there(struct worker *w, int dir, const char *name) {
    struct stat st = { 0 };
    bool there = fstatat(dir, name, &st, 0) == 0;
    w->info.st = st; /* also with the failure: it is this that is in the way, and not a parent */
    if (!there || !S_ISDIR(st.st_mode))
        return fail(w, FILE_NOT_DIR, ENOTDIR, "%s is there, and is no directory", w->path);
    if (!w->req->parents)
        return fail(w, FILE_EXISTS, EEXIST, "%s is there already", w->path);
    return tell_entry(w, w->path);
}

int work_mkdir(struct worker *w) {
    char name[NAME_MAX + 1];
    AUTO_FD int dir = open_parent(w, w->path, w->req->parents, name);
    if (dir < 0)
        return dir;
    const char *self = *name ? name : ".";
    AUTO_FD int made = make_dir(w, dir, self, w->req->has_mode ? w->req->mode & 0777 : 0777);
    if (made == -EEXIST)
        return dir_is_there(w, dir, self);
    if (made < 0)
        return made;
    w->info.created = true;
    int rc = w->req->has_mode ? set_mode(dir, self, w->req->mode) : 0; /* past the umask */
    return rc < 0 ? fail_sys(w, -rc, "set the mode of %s", w->path) : tell_entry(w, w->path);
}
