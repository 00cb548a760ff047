#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "channel/files/worker.h"

int path_join(char out[PATH_MAX], const char *dir, const char *name) {
    size_t n = strlen(dir), k = strlen(name);
    bool slash = n > 0 && dir[n - 1] != '/' && k > 0;
    if (n + slash + k >= PATH_MAX)
        return -ENAMETOOLONG;
    memmove(out, dir, n);
    if (slash)
        out[n++] = '/';
    memcpy(out + n, name, k + 1);
    return 0;
}

/* Take out empty and "." parts, and slashes at the end. */
static void clean(char *path, bool *slash) {
    char *to = path;
    *slash = false;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        *slash = p[n] == '/' || (n == 1 && *p == '.');
        if (n > 0 && !(n == 1 && *p == '.')) {
            *to++ = '/';
            memmove(to, p, n);
            to += n;
        }
        p += n + (p[n] == '/');
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

/* Of a clean path: ".." and the part before it, whatever that is. */
static void drop_ups(char *path) {
    char *to = path;
    for (const char *p = path; *p;) { /* "/name" each */
        size_t n = 1 + strcspn(p + 1, "/");
        bool up = n == 3 && memcmp(p, "/..", 3) == 0;
        while (up && to > path && *--to != '/')
            ;
        memmove(to, p, up ? 0 : n);
        to += up ? 0 : n;
        p += n;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

/* One text on top of where relative ones begin, which is absolute. */
static int place(const struct worker *w, const char *dir, const char *in, char out[PATH_MAX]) {
    bool home = in[0] == '~' && (in[1] == '/' || !in[1]);
    if (in[0] == '/')
        return path_join(out, "/", in + 1);
    return path_join(out, home ? w->home : dir, home ? in + 1 + (in[1] == '/') : in);
}

int path_absolute(struct worker *w, const char *in, char out[PATH_MAX], bool *slash) {
    char base[PATH_MAX], whole[PATH_MAX];
    int rc = place(w, w->home, w->req->base ? w->req->base : "", base);
    if (rc == 0)
        rc = place(w, base, in, whole);
    if (rc < 0)
        return fail(w, FILE_BAD_PATH, ENAMETOOLONG, "the path %.100s... is longer than %d bytes",
                    in, PATH_MAX - 1);
    clean(whole, slash);
    if (w->req->lexical && in[0] != '/')
        drop_ups(whole);
    memcpy(out, whole, strlen(whole) + 1);
    return 0;
}

bool is_given(const struct worker *w) { return w->req->as_root && w->req->user; }

int give(struct worker *w, int fd) {
    if (!is_given(w))
        return 0;
    if (fchownat(fd, "", w->id.uid, w->id.gid, AT_EMPTY_PATH) < 0)
        return fail_sys(w, errno, "give %s to %s", w->path, w->req->user);
    return 0;
}

int set_mode(int dir, const char *name, mode_t mode) {
    return fchmodat(dir, name, mode & 07777, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int make_dir(struct worker *w, int dir, const char *name, mode_t mode) {
    if (mkdirat(dir, name, mode) < 0)
        return errno == EEXIST ? -EEXIST
                               : fail_sys(w, errno, "make directory %s for %s", name, w->path);
    AUTO_FD int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_sys(w, errno, "open the new directory %s for %s", name, w->path);
    int rc = give(w, fd);
    return rc < 0 ? rc : fd_take(&fd);
}

/* The next directory on the way; made, if it is missing and `make`. */
static int step(struct worker *w, int dir, const char *name, bool make) {
    int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 || errno != ENOENT || !make)
        return fd < 0 ? -errno : fd;
    int made = make_dir(w, dir, name, 0777);
    if (made != -EEXIST)
        return made;
    fd = openat(dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC); /* or it is a link to nowhere */
    return fd < 0 ? -errno : fd;
}

/* Component by component, so that what is made is made where the one before is. */
static int walk_to(struct worker *w, const char *path, size_t len, bool make) {
    AUTO_FD int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < len;) {
        char name[NAME_MAX + 1];
        size_t n = strcspn(path + at, "/");
        n = n < len - at ? n : len - at;
        if (n > NAME_MAX)
            return -ENAMETOOLONG;
        memcpy(name, path + at, n);
        name[n] = '\0';
        at += n + 1;
        int next = n > 0 ? step(w, fd, name, make) : 0;
        if (next < 0)
            return next;
        if (n == 0)
            continue;
        fd_close(&fd);
        fd = next;
    }
    return fd < 0 ? -errno : fd_take(&fd);
}

int make_dirs(struct worker *w, const char *path) {
    int fd = walk_to(w, path, strlen(path), true);
    return fd < 0 ? fail_sys(w, -fd, "make directory %s", path) : fd;
}

int open_parent(struct worker *w, const char *path, bool make, char name[NAME_MAX + 1]) {
    const char *last = strrchr(path, '/') + 1;
    if (strlen(last) > NAME_MAX)
        return fail_sys(w, ENAMETOOLONG, "%s", path);
    (void)snprintf(name, NAME_MAX + 1, "%s", last);
    char dir[PATH_MAX];
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(last - path), path);
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && make)
        return make_dirs(w, dir);
    return fd < 0 ? fail_sys(w, errno, "open the directory of %s", path) : fd;
}

int open_parent_of_name(struct worker *w, const char *path, bool make, char name[NAME_MAX + 1]) {
    int fd = open_parent(w, path, make, name);
    if (fd < 0 || (*name && strcmp(name, "..") != 0))
        return fd;
    fd_close(&fd);
    return fail(w, FILE_BAD_PATH, EINVAL, "%s does not end in a name", path);
}
