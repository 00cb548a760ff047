#include "channel/files/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/own.h"

/* --- names ----------------------------------------------------------------------------------- */

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1 /* renameat2(2); glibc before 2.28 */
#endif

int rename_new(int from_dir, const char *from, int to_dir, const char *to) {
    if (syscall(SYS_renameat2, from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    struct stat st;
    if (fstatat(from_dir, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode)) { /* a link is never made over another name */
        int rc = linkat(from_dir, from, to_dir, to, 0) < 0 ? -errno : 0;
        return rc < 0 ? rc : unlinkat(from_dir, from, 0) < 0 ? -errno : 0;
    }
    if (fstatat(to_dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    return renameat(from_dir, from, to_dir, to) < 0 ? -errno : 0;
}

void temp_name(char out[NAME_MAX + 1], const char *like) {
    uint64_t number = (uint64_t)getpid();
    (void)getrandom(&number, sizeof number, 0);
    (void)snprintf(out, NAME_MAX + 1, ".%.200s.pinnace-%016llx", like, (unsigned long long)number);
}

/* --- temporary files ------------------------------------------------------------------------- */

int temp_open(struct temp *t, int dir, const char *like) {
    *t = (struct temp){ .dir = dir, .fd = -1 };
    t->fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (t->fd >= 0)
        return 0;
    /* ENOENT, EISDIR: a kernel that does not know it (open(2)). */
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL)
        return -errno;
    temp_name(t->name, like);
    t->fd = openat(dir, t->name, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC, 0600);
    if (t->fd < 0)
        t->name[0] = '\0';
    return t->fd < 0 ? -errno : 0;
}

/* AT_EMPTY_PATH takes a capability before Linux 6.10; /proc may not be there. */
static int link_nameless(const struct temp *t, const char *name) {
    char self[32];
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", t->fd);
    if (linkat(AT_FDCWD, self, t->dir, name, AT_SYMLINK_FOLLOW) == 0)
        return 0;
    if (errno != ENOENT)
        return -errno;
    return linkat(t->fd, "", t->dir, name, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int temp_put_new(struct temp *t, const char *name) {
    int rc = *t->name ? rename_new(t->dir, t->name, t->dir, name) : link_nameless(t, name);
    if (rc == 0)
        t->name[0] = '\0';
    return rc;
}

int temp_put_over(struct temp *t, const char *name) {
    if (!*t->name) {
        char temporary[NAME_MAX + 1];
        temp_name(temporary, name);
        int rc = link_nameless(t, temporary);
        if (rc < 0)
            return rc;
        memcpy(t->name, temporary, sizeof temporary);
    }
    if (renameat(t->dir, t->name, t->dir, name) < 0)
        return -errno;
    t->name[0] = '\0';
    return 0;
}

void temp_drop(struct temp *t) {
    if (*t->name)
        (void)unlinkat(t->dir, t->name, 0);
    t->name[0] = '\0';
    fd_close(&t->fd);
}

/* A byte where no program locks anything for its own ends; of the description, not the process
 * (fcntl(2)). */
int lock_file(int fd) {
    struct flock l = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = INT64_MAX - 16, .l_len = 1
    };
    return fcntl(fd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

/* --- contents -------------------------------------------------------------------------------- */

enum { COPY_PIECE = 128 << 10, COPY_RANGE = 16 << 20 };

static ssize_t copy_by_hand(int in, off_t from, int out, off_t to, size_t n) {
    char buf[COPY_PIECE];
    ssize_t k = pread(in, buf, n < sizeof buf ? n : sizeof buf, from);
    for (ssize_t put = 0; put < k;) {
        ssize_t m = pwrite(out, buf + put, (size_t)(k - put), to + put);
        if (m < 0)
            return -1;
        put += m;
    }
    return k;
}

/* One piece; 0 at the end; -1 with errno. Files of /proc have a content, but not for the kernel's
 * own copying: it says there is none. */
static ssize_t copy_piece(int in, off_t from, int out, off_t to, size_t n) {
    ssize_t k = copy_file_range(in, &from, out, &to, n, 0);
    if (k > 0 || (k < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO)))
        return k;
    return copy_by_hand(in, from, out, to, n);
}

static int64_t copy_stretch(struct worker *w, int in, int out, off_t at, off_t from, off_t end) {
    off_t done = from;
    while (done < end) {
        size_t n = end - done < COPY_RANGE ? (size_t)(end - done) : COPY_RANGE;
        ssize_t k = copy_piece(in, done, out, at + done, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail_sys(w, errno, "copy the content of %s", w->at);
        int rc = worker_wanted(w);
        if (rc < 0)
            return rc;
        if (k == 0)
            break;
        done += k;
    }
    return done - from;
}

int64_t content_copy(struct worker *w, int in, int out, off_t at) {
    struct stat st, old;
    if (fstat(in, &st) < 0 || fstat(out, &old) < 0)
        return fail_sys(w, errno, "look at %s", w->at);
    if (st.st_size == 0) /* or one that tells none */
        return copy_stretch(w, in, out, at, 0, INT64_MAX - at);
    if (old.st_size > at) { /* there is something that a hole would let through */
        int64_t k = copy_stretch(w, in, out, at, 0, st.st_size);
        return k >= 0 && ftruncate(out, at + k) < 0 ? fail_sys(w, errno, "cut %s", w->at) : k;
    }
    for (off_t from = 0, end; from < st.st_size; from = end) {
        off_t data = lseek(in, from, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* nothing but a hole */
        data = data < 0 ? from : data;
        end = lseek(in, data, SEEK_HOLE);
        end = end <= data ? st.st_size : end;
        int64_t k = copy_stretch(w, in, out, at, data, end);
        if (k < 0)
            return k;
        if (k < end - data)
            return data + k;
    }
    if (ftruncate(out, at + st.st_size) < 0)
        return fail_sys(w, errno, "copy the content of %s", w->at);
    return st.st_size;
}

/* --- attributes ------------------------------------------------------------------------------ */

void xattrs_copy(int in, int out, const char *prefix) {
    AUTO_FREE char *names = malloc(2 * XATTR_BYTES);
    ssize_t n = names ? flistxattr(in, names, XATTR_BYTES) : -1;
    for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
        if (!has_prefix(p, prefix))
            continue;
        char *value = names + XATTR_BYTES;
        ssize_t k = fgetxattr(in, p, value, XATTR_BYTES);
        if (k >= 0)
            (void)fsetxattr(out, p, value, (size_t)k, 0);
    }
}
