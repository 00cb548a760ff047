/* Contents that come in parts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/target.h"

/* An upload is a hidden file beside its target that has what came so far. Its name says whose it
 * is: the client's word, the target's name (hashed: it may be long), and how large it will be. */
static size_t upload_stem(const struct worker *w, const char *target, char out[NAME_MAX + 1]) {
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *p = target; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 16777619U;
    return (size_t)snprintf(out, NAME_MAX + 1, ".pinnace-%.64s-%08x.", w->req->upload, hash);
}

/* The upload of this name, whatever its size. False: there is none. */
static bool upload_find(int dir, const char *stem, char out[NAME_MAX + 1]) {
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e = NULL;
    while (d && (e = readdir(d)))
        if (has_prefix(e->d_name, stem)) {
            (void)snprintf(out, NAME_MAX + 1, "%s", e->d_name);
            break;
        }
    bool found = e != NULL;
    if (d)
        (void)closedir(d);
    else
        fd_close(&fd);
    return found;
}

static int upload_open(struct worker *w, const struct target *t, char name[NAME_MAX + 1]) {
    char other[NAME_MAX + 1];
    size_t n = upload_stem(w, t->name, name);
    bool found = upload_find(t->dir, name, other);
    (void)snprintf(name + n, NAME_MAX + 1 - n, "%llu", (unsigned long long)w->req->total);
    if (found && strcmp(name, other) != 0)
        return fail(w, FILE_BAD_RANGE, EINVAL, "the upload %s of %s has %s bytes, not %llu",
                    w->req->upload, w->path, other + n, (unsigned long long)w->req->total);
    if (!found && w->req->from == UPLOAD_ASK)
        return -ENOENT;
    AUTO_FD int fd =
        openat(t->dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail_sys(w, errno, "open the upload of %s", w->path);
    /* Its name can be foreseen: somebody may have put a link to another file of ours there. */
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink > 1)
        return fail(w, FILE_DENIED, EPERM, "the upload %s of %s is not ours", w->req->upload,
                    w->path);
    if (lock_file(fd) < 0)
        return fail(w, FILE_BUSY, EBUSY, "another part of the upload %s is being written",
                    w->req->upload);
    return fd_take(&fd);
}

static int upload_size(struct worker *w, int fd) {
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_nlink == 0)
        return fail(w, FILE_BUSY, EBUSY, "the upload %s has just been completed", w->req->upload);
    w->info.done = (uint64_t)st.st_size;
    return 0;
}

static int upload_take(struct worker *w, int fd) {
    uint64_t room = w->req->total - w->req->from;
    char more;
    int rc = worker_opened(w);
    if (rc < 0)
        return rc;
    int64_t n = pipe_to_file(w, fd, (off_t)w->req->from, room);
    rc = upload_size(w, fd);
    if (n < 0 || rc < 0)
        return n < 0 ? (int)n : rc;
    ssize_t k = (uint64_t)n == room ? pipe_get(w, &more, 1) : 0;
    if (k > 0)
        return fail(w, FILE_BAD_RANGE, EINVAL, "the part is longer than what is left of %llu bytes",
                    (unsigned long long)w->req->total);
    return k < 0 ? (int)k : worker_complete(w);
}

static int upload_part(struct worker *w, struct target *t, struct temp *temp) {
    int rc = upload_size(w, temp->fd);
    if (rc < 0 || w->req->from == UPLOAD_ASK)
        return rc;
    if (w->req->from > w->info.done)
        return fail(w, FILE_BAD_RANGE, EINVAL,
                    "the part begins at %llu, but of the upload %s there are %llu bytes so far",
                    (unsigned long long)w->req->from, w->req->upload,
                    (unsigned long long)w->info.done);
    rc = upload_take(w, temp->fd);
    if (rc < 0 || w->info.done < w->req->total)
        return rc;
    rc = target_settle(w, t, temp);
    if (rc == 0 && *temp->name) /* poured */
        (void)unlinkat(temp->dir, temp->name, 0);
    w->info.complete = rc == 0;
    return rc;
}

int work_upload(struct worker *w, struct target *t) {
    struct temp temp = { .dir = t->dir };
    temp.fd = upload_open(w, t, temp.name);
    if (temp.fd < 0)
        return temp.fd == -ENOENT && w->req->from == UPLOAD_ASK ? 0 : temp.fd;
    int rc = upload_part(w, t, &temp);
    fd_close(&temp.fd); /* what is there stays, for the next part */
    return rc;
}

int upload_remove(struct worker *w, int dir, const char *target) {
    char stem[NAME_MAX + 1], name[NAME_MAX + 1];
    (void)upload_stem(w, target, stem);
    if (upload_find(dir, stem, name))
        return unlinkat(dir, name, 0) < 0 ? fail_sys(w, errno, "remove the upload of %s", w->path)
                                          : 0;
    return w->req->missing_ok ? 0
                              : fail(w, FILE_NOT_FOUND, ENOENT, "there is no upload %s of %s",
                                     w->req->upload, w->path);
}
