#include "channel/unit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "channel/outflow.h"

enum { STAMP = 24 }; /* "2026-11-22T01:46:04.123Z"; such stamps sort as they follow in time */

static int open_log(const struct unit_log *l, const char *suffix) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s.log%s", l->dir, l->name, suffix);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Add what there is in the file, which is bounded, to text[*n]. */
static char *append_file(int fd, char *text, size_t *n) {
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= 0)
        return text;
    size_t want = (size_t)st.st_size < 2 * LOG_FILE_BYTES ? (size_t)st.st_size : 2 * LOG_FILE_BYTES;
    char *grown = realloc(text, *n + want);
    if (!grown)
        return text;
    ssize_t k = 0;
    for (size_t left = want; left > 0 && (k = read(fd, grown + *n, left)) > 0; left -= (size_t)k)
        *n += (size_t)k;
    return grown;
}

/* The start of the last `lines` lines. */
static size_t tail_at(const char *text, size_t n, int64_t lines) {
    size_t at = n;
    if (lines <= 0)
        return n;
    if (at > 0 && text[at - 1] == '\n')
        at--;
    while (at > 0) {
        if (text[at - 1] == '\n' && --lines == 0)
            break;
        at--;
    }
    return at;
}

/* The start of the first line that is not stamped before `stamp`. */
static size_t since_at(const char *text, size_t n, const char *stamp) {
    size_t at = 0;
    while (at < n) {
        const char *eol = memchr(text + at, '\n', n - at);
        if (n - at >= STAMP && memcmp(text + at, stamp, STAMP) >= 0)
            return at;
        if (!eol)
            break;
        at = (size_t)(eol - text) + 1;
    }
    return n;
}

static bool write_first(int out, const struct unit_log *l, int now) {
    AUTO_FD int before = open_log(l, ".1");
    size_t n = 0, at = 0;
    AUTO_FREE char *text = append_file(before, NULL, &n);
    text = append_file(now, text, &n);
    if (l->since_unix_ms > 0) {
        char stamp[UTC_TEXT];
        at = since_at(text, n, format_utc(stamp, l->since_unix_ms));
    }
    if (l->tail >= 0) {
        size_t from = text ? tail_at(text, n, l->tail) : 0;
        at = from > at ? from : at;
    }
    return n == 0 || outflow_write(out, text + at, n - at);
}

/* --- and what is added ------------------------------------------------------------------------ */

static bool write_rest(int out, int fd) {
    char buf[16384];
    ssize_t k = 0;
    while (fd >= 0 && (k = read(fd, buf, sizeof buf)) > 0)
        if (!outflow_write(out, buf, (size_t)k))
            return false;
    return true;
}

/* The file has been rotated away: what came last is read, then the new one is taken. */
static bool rotated(const struct unit_log *l, int *fd) {
    struct stat a, b;
    AUTO_FD int now = open_log(l, "");
    if (now < 0 || fstat(now, &b) < 0)
        return false;
    if (*fd >= 0 && fstat(*fd, &a) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev)
        return false;
    fd_close(fd);
    *fd = fd_take(&now);
    return true;
}

static bool wait_for_change(int inotify, int out) {
    char events[4096];
    struct pollfd p[] = { { .fd = inotify, .events = POLLIN }, { .fd = out } };
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    if (p[1].revents & (POLLERR | POLLHUP))
        return false;
    return read(inotify, events, sizeof events) > 0;
}

static int follow(int out, const struct unit_log *l, int *fd, int inotify) {
    for (;;) {
        if (!write_rest(out, *fd))
            return 0;
        if (rotated(l, fd))
            continue;
        if (!wait_for_change(inotify, out))
            return 0;
        if (!write_rest(out, *fd)) /* before a rotation hides it */
            return 0;
    }
}

int unit_log_write(int out, void *log) {
    const struct unit_log *l = log;
    /* Watched before it is read, so that nothing falls between. */
    AUTO_FD int inotify = l->follow ? inotify_init1(IN_CLOEXEC) : -1;
    if (l->follow && inotify_add_watch(inotify, l->dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
        return 1;
    AUTO_FD int now = open_log(l, "");
    if (!write_first(out, l, now))
        return 0;
    return l->follow ? follow(out, l, &now, inotify) : 0;
}
