#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/files/worker.h"

enum { UNSIZED_BELOW = 65536, READ_PIECE = 128 << 10 };

static const char *kind_of(mode_t mode) {
    return S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

/* O_NONBLOCK: a FIFO is not waited for, and then refused. */
static int open_content(struct worker *w) {
    AUTO_FD int fd = open(w->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &w->info.st) < 0)
        return fail_sys(w, errno, "open %s", w->path);
    if (S_ISDIR(w->info.st.st_mode))
        return fail(w, FILE_IS_DIR, EISDIR, "%s is a directory", w->path);
    if (!S_ISREG(w->info.st.st_mode))
        return fail(w, FILE_BAD_PATH, EINVAL, "%s is %s; only regular files have a content",
                    w->path, kind_of(w->info.st.st_mode));
    if (w->path_slash)
        return fail(w, FILE_NOT_DIR, ENOTDIR, "%s/ is no directory", w->path);
    return fd_take(&fd);
}

/* Take what can be read now, to its end, into memory. */
static int snapshot(struct worker *w, int fd) {
    AUTO_FD int copy = memfd_create("pinnace", MFD_CLOEXEC);
    char buf[READ_PIECE];
    off_t size = 0;
    for (ssize_t n; copy >= 0 && (n = read(fd, buf, sizeof buf)) != 0;) {
        if (n < 0 && errno == EAGAIN) /* one that would wait for more, such as kmsg */
            break;
        if (n < 0)
            return fail_sys(w, errno, "read %s", w->path);
        if (write(copy, buf, (size_t)n) != n)
            return fail_sys(w, errno, "keep a copy of %s", w->path);
        size += n;
        if (size > MAX_UNSIZED)
            return fail(w, FILE_LIMIT, EFBIG, "%s does not say its size, and is longer than %d MiB",
                        w->path, MAX_UNSIZED >> 20);
    }
    w->info.st.st_size = size;
    return copy < 0 ? fail_sys(w, errno, "keep a copy of %s", w->path) : fd_take(&copy);
}

/* Files of /proc say they are empty, those of /sys that they have a page. Both have no blocks, as
 * few real files of some size. */
static bool size_is_doubtful(const struct stat *st) {
    return st->st_blocks == 0 && st->st_size < UNSIZED_BELOW;
}

static void find_type(struct worker *w, int fd) {
    unsigned char first[MEDIA_SNIFFED];
    const char *type = media_type(w->path);
    ssize_t n = !type && w->req->sniff ? pread(fd, first, sizeof first, 0) : -1;
    if (!type)
        type = n >= 0 ? media_type_of(first, (size_t)n) : MEDIA_ANY;
    (void)stpncpy(w->info.type, type, sizeof w->info.type - 1);
}

int work_read(struct worker *w) {
    AUTO_FD int fd = open_content(w);
    if (fd < 0)
        return fd;
    if (size_is_doubtful(&w->info.st)) {
        int copy = snapshot(w, fd);
        if (copy < 0)
            return copy;
        fd_close(&fd);
        fd = copy;
    }
    etag_make(&w->info.st, w->info.etag);
    find_type(w, fd);
    int rc = worker_opened(w);
    if (rc < 0)
        return rc;
    int64_t n = pipe_from_file(w, fd, (off_t)w->from, w->len);
    if (n >= 0 && (uint64_t)n < w->len)
        return fail(w, FILE_CUT, ENODATA, "%s has become shorter while it was read", w->path);
    return n < 0 ? (int)n : 0;
}
