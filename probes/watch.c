/* Waiting for a path, with inotify(7). */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "probes/attempt.h"

enum {
    LOOK_MIN_MS = 1,  /* first pause before a thing that is there is asked again: a
                       * socket file appears at bind(2), and answers after listen(2) */
    LOOK_MAX_MS = 20, /* the pause doubles up to this */
    RECHECK_MS = 250, /* inotify sees neither a mount over the directory, nor what the
                       * other side of a shared file system does, nor the far end of a
                       * dangling symbolic link: inotify(7), "Limitations" */
};

struct path_watch path_watch_open(void) {
    return (struct path_watch){ .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
                                .pause = span_ms(LOOK_MIN_MS) };
}

/* The last close of an inotify instance waits for a grace period of the kernel's, here
 * 8 to 25 ms, and so does the exit of whoever holds it, which is how an attempt answers.
 * A fork that holds nothing else takes that wait, for the goal is 5 ms. It ends by itself,
 * and is reaped by who asked or, when that has gone, by PID 1. */
void path_watch_close(struct path_watch *w) {
    if (w->fd < 0)
        return;
    pid_t pid = fork(); /* should it fail, the wait is ours */
    if (pid == 0) {
        unsigned fd = (unsigned)w->fd;
        if (fd > 0)
            (void)syscall(SYS_close_range, 0U, fd - 1, 0U);
        (void)syscall(SYS_close_range, fd + 1, ~0U, 0U);
        _exit(0);
    }
    fd_close(&w->fd);
}

/* All directories above the path, from the root down until one is missing: when that
 * one is made after the failed look, the watch on its parent has an event for us. To
 * watch a directory again changes nothing (inotify_add_watch(2)). */
void path_watch_arm(struct path_watch *w, const char *path) {
    char dir[MAX_PROBE_SPEC + 1];
    size_t n = strlen(path);
    if (w->fd < 0 || n >= sizeof dir)
        return;
    memcpy(dir, path, n + 1);
    for (size_t i = 1; i < n; i++) {
        if (path[i - 1] != '/')
            continue;
        dir[i] = '\0';
        if (inotify_add_watch(w->fd, dir, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0) {
            if (errno != ENOENT && errno != ENOTDIR)
                fd_close(&w->fd); /* not allowed, or too many: look now and then instead */
            return;
        }
        dir[i] = path[i];
    }
}

static bool drain(int fd) {
    char events[4096] __attribute__((aligned(8)));
    bool any = false;
    while (fd >= 0 && read(fd, events, sizeof events) > 0)
        any = true;
    return any;
}

int path_watch_wait(struct path_watch *w, bool there, instant deadline) {
    instant now = instant_now();
    span pause = there ? w->pause : span_ms(w->fd < 0 ? LOOK_MAX_MS : RECHECK_MS);
    struct pollfd p = { .fd = w->fd, .events = POLLIN };
    instant until = instant_min(instant_add(now, pause), deadline);
    (void)poll(&p, 1, instant_timeout_ms(until, now));
    if (drain(w->fd) || !there)
        w->pause = span_ms(LOOK_MIN_MS);
    else if (w->pause.ns < span_ms(LOOK_MAX_MS).ns)
        w->pause.ns *= 2;
    if (w->pause.ns > span_ms(LOOK_MAX_MS).ns)
        w->pause = span_ms(LOOK_MAX_MS);
    return instant_before(instant_now(), deadline) ? 0 : -ETIMEDOUT;
}
