/* The content's pipe, seen from the worker: non-blocking, so that whoever waits also hears that it
 * is no longer wanted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "channel/files/worker.h"

/* More than once around needs no larger one: it stays in the processor's cache. */
enum { COPY_PIECE = 128 << 10 };

/* May it be tried again, once it has been waited for? 0 or -errno. */
static int after(struct worker *w, int code, short events) {
    if (code == EINTR)
        return 0;
    if (code == EAGAIN)
        return worker_wait(w, w->data, events);
    return code == EPIPE ? -ECANCELED : -code;
}

int pipe_put(struct worker *w, const void *bytes, size_t n) {
    const char *p = bytes;
    while (n > 0) {
        ssize_t k = write(w->data, p, n);
        int rc = k < 0 ? after(w, errno, POLLOUT) : 0;
        if (rc < 0)
            return fail_sys(w, -rc, "pass on %s", w->path);
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

ssize_t pipe_get(struct worker *w, void *bytes, size_t cap) {
    for (;;) {
        ssize_t k = read(w->data, bytes, cap);
        if (k >= 0)
            return k;
        int rc = after(w, errno, POLLIN);
        if (rc < 0)
            return fail_sys(w, -rc, "take the content of %s", w->path);
    }
}

static bool splice_cannot(int code) {
    return code == EINVAL || code == ENOSYS || code == EOPNOTSUPP;
}

/* Where splice(2) does not work. */
static int64_t copy_out(struct worker *w, int fd, off_t offset, size_t n) {
    char buf[COPY_PIECE];
    ssize_t k;
    do
        k = pread(fd, buf, n < sizeof buf ? n : sizeof buf, offset);
    while (k < 0 && errno == EINTR);
    if (k < 0)
        return fail_sys(w, errno, "read %s", w->path);
    int rc = pipe_put(w, buf, (size_t)k);
    return rc < 0 ? rc : k;
}

static int64_t move_out(struct worker *w, int fd, off_t offset, size_t n, bool *copying) {
    while (!*copying) {
        ssize_t k = splice(fd, &offset, w->data, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (k >= 0)
            return k;
        *copying = splice_cannot(errno);
        int rc = *copying ? 0 : after(w, errno, POLLOUT);
        if (rc < 0)
            return fail_sys(w, -rc, "read %s", w->path);
    }
    return copy_out(w, fd, offset, n);
}

int64_t pipe_from_file(struct worker *w, int fd, off_t offset, uint64_t n) {
    uint64_t done = 0;
    bool copying = false;
    while (done < n) {
        size_t want = n - done < FILE_PIPE ? (size_t)(n - done) : FILE_PIPE;
        int64_t k = move_out(w, fd, offset + (off_t)done, want, &copying);
        if (k <= 0)
            return k < 0 ? k : (int64_t)done;
        done += (uint64_t)k;
    }
    return (int64_t)done;
}

static int64_t copy_in(struct worker *w, int fd, off_t offset, size_t n) {
    char buf[COPY_PIECE];
    ssize_t k = pipe_get(w, buf, n < sizeof buf ? n : sizeof buf);
    for (ssize_t put = 0; put < k;) {
        /* A device or a pipe has no places to write to. */
        ssize_t m = pwrite(fd, buf + put, (size_t)(k - put), offset + put);
        if (m < 0 && errno == ESPIPE)
            m = write(fd, buf + put, (size_t)(k - put));
        int rc = m >= 0 || errno == EINTR ? 0 : -errno;
        if (rc == -EAGAIN)
            rc = worker_wait(w, fd, POLLOUT);
        if (rc < 0)
            return fail_sys(w, -rc, "write %s", w->path);
        put += m > 0 ? m : 0;
    }
    return k;
}

static int64_t move_in(struct worker *w, int fd, off_t offset, size_t n, bool *copying) {
    while (!*copying) {
        ssize_t k = splice(w->data, NULL, fd, &offset, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (k >= 0)
            return k;
        *copying = splice_cannot(errno);
        int rc = *copying ? 0 : after(w, errno, POLLIN);
        if (rc < 0)
            return fail_sys(w, -rc, "write %s", w->path);
    }
    return copy_in(w, fd, offset, n);
}

int64_t pipe_to_file(struct worker *w, int fd, off_t offset, uint64_t max) {
    struct stat st;
    uint64_t done = 0;
    /* Between two pipes, EAGAIN does not say which of them has to be waited for. */
    bool copying = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode);
    while (done < max) {
        size_t want = max - done < FILE_PIPE ? (size_t)(max - done) : FILE_PIPE;
        int64_t k = move_in(w, fd, offset + (off_t)done, want, &copying);
        if (k <= 0)
            return k < 0 ? k : (int64_t)done;
        done += (uint64_t)k;
    }
    return (int64_t)done;
}
