#include "logs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>

#include "base/limits.h"
#include "base/own.h"
#include "base/str.h"

static void path_of(const struct log_file *f, const char *suffix, char *out, size_t cap) {
    (void)snprintf(out, cap, "%s/%s.log%s", f->dir, f->name, suffix);
}

int log_file_open(struct log_file *f, const char *dir, const char *name, struct err *e) {
    *f = (struct log_file){ .dir = dir, .name = name, .fd = -1 };
    char path[256];
    struct stat st;
    path_of(f, "", path, sizeof path);
    f->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (f->fd < 0)
        return err_sys(e, errno, "open %s", path);
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        fd_close(&f->fd);
        return err_set(e, EINVAL, "%s is not a regular file", path);
    }
    f->size = (size_t)st.st_size;
    return 0;
}

static void rotate(struct log_file *f) {
    char now[256], old[256];
    const char *dir = f->dir, *name = f->name;
    path_of(f, "", now, sizeof now);
    path_of(f, ".1", old, sizeof old);
    fd_close(&f->fd);
    (void)rename(now, old);
    (void)log_file_open(f, dir, name, NULL);
}

void log_file_line(struct log_file *f, const char *text, size_t n) {
    char stamp[UTC_TEXT + 1];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    size_t k = strlen(format_utc(stamp, now.tv_sec * 1000 + now.tv_nsec / 1000000));
    stamp[k++] = ' ';
    if (f->fd >= 0 && f->size > 0 && f->size + k + n + 1 > LOG_FILE_BYTES)
        rotate(f);
    if (f->fd < 0)
        return;
    char newline = '\n';
    struct iovec parts[] = { { stamp, k }, { (void *)(uintptr_t)text, n }, { &newline, 1 } };
    ssize_t done = writev(f->fd, parts, 3);
    if (done > 0)
        f->size += (size_t)done;
}

void log_file_close(struct log_file *f) { fd_close(&f->fd); }
