#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "base/utf8.h"
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

/* All of it: what is sent as text must not lose anything on the way. */
static int check_text(struct worker *w, int fd) {
    char buf[READ_PIECE];
    struct utf8 utf8 = { 0 };
    off_t at = 0;
    ssize_t n;
    bool good = true;
    while (good && (n = pread(fd, buf, sizeof buf, at)) != 0) {
        if (n < 0)
            return fail_sys(w, errno, "read %s", w->path);
        good = !memchr(buf, '\0', (size_t)n) && utf8_take(&utf8, buf, (size_t)n);
        at += n;
        int rc = worker_wanted(w);
        if (rc < 0)
            return rc;
    }
    w->info.is_text = good && utf8_is_whole(&utf8);
    return 0;
}

/* --- rendered -------------------------------------------------------------------------------- */

/* The next bytes of the file behind those that are there: to a whole piece, or the end. */
static int fill(struct worker *w, int fd, char *buf, size_t *have, uint64_t *at) {
    uint64_t end = w->from + w->len;
    while (*have < FILE_RENDERED && *at < end) {
        size_t room = FILE_RENDERED - *have;
        ssize_t n = pread(fd, buf + *have, room < end - *at ? room : end - *at, (off_t)*at);
        if (n < 0)
            return fail_sys(w, errno, "read %s", w->path);
        if (n == 0)
            return fail(w, FILE_CUT, ENODATA, "%s has become shorter while it was read", w->path);
        *have += (size_t)n;
        *at += (uint64_t)n;
    }
    return 0;
}

static int render(struct worker *w, int fd) {
    char buf[FILE_RENDERED];
    uint64_t at = w->from, end = w->from + w->len;
    size_t have = 0;
    int rc = text_room(w) ? 0 : -ENOMEM;
    while (rc == 0 && (have > 0 || at < end)) {
        rc = fill(w, fd, buf, &have, &at);
        if (rc < 0)
            break;
        size_t used = w->req->content(&w->info, buf, have, at == end, &w->text);
        memmove(buf, buf + used, have - used);
        have -= used;
        rc = w->text.cut ? -EMSGSIZE : text_flush(w);
    }
    return rc;
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
    int rc = w->req->check_text ? check_text(w, fd) : 0;
    if (rc == 0)
        rc = worker_opened(w);
    if (rc < 0 || w->req->content)
        return rc < 0 ? rc : render(w, fd);
    int64_t n = pipe_from_file(w, fd, (off_t)w->from, w->len);
    if (n >= 0 && (uint64_t)n < w->len)
        return fail(w, FILE_CUT, ENODATA, "%s has become shorter while it was read", w->path);
    return n < 0 ? (int)n : 0;
}
