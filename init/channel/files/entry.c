/* Entries: what is told of one file, and how it gets to the channel. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/worker.h"

/* --- names of owners ------------------------------------------------------------------------- */

/* Looking one up reads all of /etc/passwd, and a list asks for the same few again and again. */
enum { CACHED_NAMES = 64 };

struct cached_name {
    bool known;
    uint32_t id;
    char name[64];
};

struct name_cache {
    struct cached_name users[CACHED_NAMES], groups[CACHED_NAMES];
};

static const char *name_of(struct cached_name *cache, uint32_t id, bool group) {
    struct cached_name *c = &cache[id % CACHED_NAMES];
    if (c->known && c->id == id)
        return c->name;
    const struct group *gr = group ? getgrgid(id) : NULL;
    const struct passwd *pw = group ? NULL : getpwuid(id);
    const char *name = gr ? gr->gr_name : pw ? pw->pw_name : "";
    *c = (struct cached_name){ .known = true, .id = id };
    if (*name && strlen(name) < sizeof c->name)
        (void)snprintf(c->name, sizeof c->name, "%s", name);
    else
        (void)snprintf(c->name, sizeof c->name, "%u", id);
    return c->name;
}

static struct name_cache *names(struct worker *w) {
    if (!w->names)
        w->names = calloc(1, sizeof *w->names);
    return w->names;
}

const char *owner_name(struct worker *w, uid_t uid) {
    return names(w) ? name_of(w->names->users, uid, false) : "";
}

const char *group_name(struct worker *w, gid_t gid) {
    return names(w) ? name_of(w->names->groups, gid, true) : "";
}

/* --- entries --------------------------------------------------------------------------------- */

enum { XATTR_ROOM = 128 << 10 }; /* a list of names and a value have at most 64 KiB (xattr(7)) */

struct entry_room {
    struct file_entry entry;
    char target[PATH_MAX], resolved[PATH_MAX];
    char names[XATTR_ROOM / 2], xattrs[XATTR_ROOM];
};

/* Append "key\0value\0"; what does not fit is left out. How long it is now. */
static size_t add_xattr(struct entry_room *r, size_t len, const char *path, const char *name,
                        size_t prefix) {
    size_t k = strlen(name + prefix) + 1;
    if (k == 1 || len + k + 2 > sizeof r->xattrs) /* an empty key would end the list */
        return len;
    ssize_t n = lgetxattr(path, name, r->xattrs + len + k, sizeof r->xattrs - len - k - 2);
    if (n < 0)
        return len;
    memcpy(r->xattrs + len, name + prefix, k);
    r->xattrs[len + k + (size_t)n] = '\0';
    return len + k + strnlen(r->xattrs + len + k, (size_t)n) + 1;
}

static const char *read_xattrs(struct worker *w, const char *path) {
    struct entry_room *r = w->room;
    const char *prefix = w->req->xattr_prefix ? w->req->xattr_prefix : "user.";
    ssize_t n = llistxattr(path, r->names, sizeof r->names);
    size_t len = 0;
    for (const char *p = r->names; n > 0 && p < r->names + n; p += strlen(p) + 1)
        if (has_prefix(p, prefix))
            len = add_xattr(r, len, path, p, strlen(prefix));
    r->xattrs[len] = '\0';
    return r->xattrs;
}

static void read_link(struct entry_room *r, int dir, const char *name, const char *path) {
    ssize_t n = readlinkat(dir, name, r->target, sizeof r->target - 1);
    r->target[n > 0 ? n : 0] = '\0';
    r->entry.has_pointed = fstatat(dir, name, &r->entry.pointed, 0) == 0;
    if (!r->entry.has_pointed || !realpath(path, r->resolved))
        r->resolved[0] = '\0';
}

const struct file_entry *entry_make(struct worker *w, int dir, const char *name,
                                    const struct stat *st, const char *path, const char *shown) {
    if (!w->room)
        w->room = malloc(sizeof *w->room);
    struct entry_room *r = w->room;
    if (!r)
        return NULL;
    r->target[0] = r->resolved[0] = '\0';
    r->entry = (struct file_entry){
        .path = path, .name = shown, .st = *st, .target = r->target, .resolved = r->resolved
    };
    if (S_ISLNK(st->st_mode))
        read_link(r, dir, name, path);
    if (w->req->xattrs)
        r->entry.xattrs = read_xattrs(w, path);
    (void)snprintf(r->entry.owner, sizeof r->entry.owner, "%s", owner_name(w, st->st_uid));
    (void)snprintf(r->entry.group, sizeof r->entry.group, "%s", group_name(w, st->st_gid));
    return &r->entry;
}

/* --- out ------------------------------------------------------------------------------------- */

enum { FLUSH_AT = 64 << 10 };

/* Mostly untouched, so it costs what is used. */
bool text_room(struct worker *w) {
    if (!w->text.buf)
        w->text = (struct text){ .buf = malloc(MAX_FILE_TEXT), .cap = MAX_FILE_TEXT };
    return w->text.buf != NULL;
}

int text_flush(struct worker *w) {
    int rc = w->text.len > 0 ? pipe_put(w, w->text.buf, w->text.len) : 0;
    w->text.len = 0;
    return rc;
}

/* After rendering something that began at `start`: once more into an empty buffer, if it was cut?
 */
static int rendered(struct worker *w, size_t start, bool *again) {
    *again = w->text.cut && start > 0;
    if (w->text.cut && start == 0)
        return fail(w, FILE_LIMIT, EMSGSIZE, "an entry of %s is longer than %d bytes", w->path,
                    MAX_FILE_TEXT);
    if (*again)
        w->text.len = start;
    w->text.cut = false;
    return *again || w->text.len > FLUSH_AT ? text_flush(w) : 0;
}

int entry_out(struct worker *w, const struct file_entry *e) {
    bool again = true;
    int rc = e && text_room(w) ? 0 : -ENOMEM;
    while (rc == 0 && again) {
        size_t start = w->text.len;
        w->req->entry(e, w->index, &w->text);
        rc = rendered(w, start, &again);
    }
    w->index++;
    return rc;
}

int event_out(struct worker *w, const struct file_event *e) {
    bool again = true;
    int rc = text_room(w) ? 0 : -ENOMEM;
    while (rc == 0 && again) {
        size_t start = w->text.len;
        w->req->event(e, w->index, &w->text);
        rc = rendered(w, start, &again);
    }
    w->index++;
    return rc;
}

int text_out(struct worker *w, const char *s) {
    if (!s)
        return 0;
    int rc = text_flush(w);
    return rc < 0 ? rc : pipe_put(w, s, strlen(s));
}

/* --- one entry, for the channel itself ------------------------------------------------------- */

static int send_text(struct worker *w) {
    struct file_text piece = { .word = FILE_SAYS_TEXT };
    for (size_t at = 0; at < w->text.len;) {
        size_t n = w->text.len - at < sizeof piece.bytes ? w->text.len - at : sizeof piece.bytes;
        memcpy(piece.bytes, w->text.buf + at, n);
        if (send(w->control, &piece, offsetof(struct file_text, bytes) + n, MSG_NOSIGNAL) < 0)
            return -ECANCELED;
        at += n;
    }
    return 0;
}

/* Device, inode, size, and when it last changed in any way. */
void etag_make(const struct stat *st, char out[64]) {
    uint64_t ns = (uint64_t)st->st_ctim.tv_sec * 1000000000 + (uint64_t)st->st_ctim.tv_nsec;
    (void)snprintf(out, 64, "\"%x-%llx-%llx-%llx\"", (unsigned)st->st_dev,
                   (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
                   (unsigned long long)ns);
}

int tell_entry(struct worker *w, const char *path) {
    char name[NAME_MAX + 1];
    AUTO_FD int dir = open_parent(w, path, false, name);
    if (dir < 0)
        return dir;
    const char *self = *name ? name : ".";
    if (fstatat(dir, self, &w->info.st, AT_SYMLINK_NOFOLLOW) < 0)
        return fail_sys(w, errno, "%s", path);
    etag_make(&w->info.st, w->info.etag);
    (void)snprintf(w->info.path, sizeof w->info.path, "%s", path);
    if (!w->req->entry)
        return 0;
    const struct file_entry *e = entry_make(w, dir, self, &w->info.st, path, *name ? name : "/");
    if (!e || !text_room(w))
        return -ENOMEM;
    w->req->entry(e, 0, &w->text);
    if (w->text.cut)
        return fail(w, FILE_LIMIT, EMSGSIZE, "the entry of %s is longer than %d bytes", path,
                    MAX_FILE_TEXT);
    return send_text(w);
}
