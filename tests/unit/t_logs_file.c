#include "logs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/own.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/t_logs_file.XXXXXX";
static char path[64], old[64];
static char text[LOG_FILE_BYTES + 1];

enum { STAMP = sizeof "2026-11-22T01:46:04.123Z " - 1 };

static off_t size_of(const char *p) {
    struct stat st;
    return stat(p, &st) < 0 ? -1 : st.st_size;
}

static void content(const char *p, char *out, size_t cap) {
    AUTO_FD int fd = open(p, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, cap - 1);
    out[n > 0 ? n : 0] = '\0';
}

static void writes_lines(void) {
    struct log_file f;
    struct err e = { 0 };
    struct stat st;
    char got[256];
    int y, end = 0;
    (void)umask(022);
    OK(log_file_open(&f, dir, "a", &e) == 0 && f.size == 0, "a new file: %s", e.text);
    OK(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "not for everybody's eyes");
    log_file_line(&f, "hello", 5);
    log_file_line(&f, "", 0);
    log_file_close(&f);
    content(path, got, sizeof got);
    OK(sscanf(got, "%4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ hello\n%n", &y, &end) == 1 &&
           end == STAMP + 6 && (size_t)end == strcspn(got, "\n") + 1,
       "a line with its time: %.40s", got);
    OK(strlen(got) == 2 * STAMP + 7, "an empty line too");
    OK(log_file_open(&f, dir, "a", &e) == 0 && f.size == strlen(got), "opened again: its size");
    log_file_line(&f, "more", 4);
    OK(size_of(path) == (off_t)f.size && f.size == 3 * STAMP + 12, "appended");
    log_file_close(&f);
    log_file_line(&f, "x", 1);
    OK(size_of(path) == 3 * STAMP + 12, "closed: nothing is written");
}

/* Exactly LOG_FILE_BYTES fit; the line that would pass them goes to a new file. */
static void rotates(void) {
    struct log_file f;
    struct err e = { 0 };
    memset(text, 'z', sizeof text);
    (void)unlink(path);
    OK(log_file_open(&f, dir, "a", &e) == 0, "a new file");
    size_t n = LOG_FILE_BYTES / 2 - STAMP - 1;
    log_file_line(&f, text, n);
    log_file_line(&f, text, n);
    OK(size_of(path) == LOG_FILE_BYTES && size_of(old) == -1, "%lld bytes, not rotated",
       (long long)size_of(path));
    log_file_line(&f, "next", 4);
    OK(size_of(path) == STAMP + 5 && size_of(old) == LOG_FILE_BYTES, "one more line: rotated");
    log_file_line(&f, text, n);
    log_file_line(&f, text, n - STAMP - 5);
    OK(size_of(path) == LOG_FILE_BYTES, "full again");
    log_file_line(&f, "", 0);
    OK(size_of(path) == STAMP + 1 && size_of(old) == LOG_FILE_BYTES, "one old file is kept");
    log_file_line(&f, text, sizeof text);
    OK(size_of(path) == LOG_FILE_BYTES + 1 + STAMP + 1 && size_of(old) == STAMP + 1,
       "a line longer than a file has one of its own");
    log_file_close(&f);
    (void)unlink(path);
    (void)log_file_open(&f, dir, "a", &e);
    log_file_line(&f, text, LOG_FILE_BYTES - 2 * (STAMP + 1) + 1);
    log_file_line(&f, "", 0);
    OK(size_of(path) == STAMP + 1, "a newline that does not fit is one byte too many");
    log_file_close(&f);
}

static void refuses_traps(void) {
    struct log_file f;
    struct err e = { 0 };
    (void)unlink(path);
    OK(symlink("/tmp/elsewhere", path) == 0 && log_file_open(&f, dir, "a", &e) == -ELOOP &&
           f.fd == -1 && size_of("/tmp/elsewhere") == -1,
       "a symlink: %s", e.text);
    log_file_line(&f, "x", 1);
    (void)unlink(path);
    OK(mkfifo(path, 0600) == 0 && log_file_open(&f, dir, "a", &e) == -ENXIO && f.fd == -1,
       "a FIFO does not block: %s", e.text);
    AUTO_FD int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    OK(reader >= 0 && log_file_open(&f, dir, "a", &e) == -EINVAL && f.fd == -1 &&
           strstr(e.text, "/a.log is not a regular file"),
       "nor with a reader: %s", e.text);
    (void)unlink(path);
    OK(mkdir(path, 0700) == 0 && log_file_open(&f, dir, "a", &e) == -EISDIR, "a directory: %s",
       e.text);
    (void)rmdir(path);
    OK(log_file_open(&f, "/tmp/none", "a", &e) == -ENOENT && f.fd == -1, "no directory: %s",
       e.text);
}

int main(void) {
    if (!OK(mkdtemp(dir), "a directory"))
        return tap_end();
    (void)snprintf(path, sizeof path, "%s/a.log", dir);
    (void)snprintf(old, sizeof old, "%s/a.log.1", dir);
    writes_lines();
    rotates();
    refuses_traps();
    (void)unlink(old);
    OK(rmdir(dir) == 0, "cleaned up");
    return tap_end();
}
