#include "channel/unit_log.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/own.h"
#include "logs/file.h"
#include "tests/unit/tap.h"

static char dir[] = "/tmp/pinnace-log-XXXXXX";

static void put(const char *name, const char *text, const char *mode) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, mode);
    (void)fputs(text, f);
    (void)fclose(f);
}

static pid_t start(const struct unit_log *l, int *fd) {
    int p[2];
    (void)!pipe2(p, O_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        close(p[0]);
        struct unit_log copy = *l;
        _exit(unit_log_write(p[1], &copy));
    }
    close(p[1]);
    *fd = p[0];
    return pid;
}

static const char *read_until(int fd, const char *end) {
    static char buf[8192];
    size_t n = 0;
    ssize_t k;
    buf[0] = '\0';
    while (!(end && strstr(buf, end)) && (k = read(fd, buf + n, sizeof buf - 1 - n)) > 0) {
        n += (size_t)k;
        buf[n] = '\0';
    }
    return buf;
}

static const char *all(int64_t tail, int64_t since) {
    struct unit_log l = { .dir = dir, .name = "web", .tail = tail, .since_unix_ms = since };
    int fd, status;
    pid_t pid = start(&l, &fd);
    const char *text = read_until(fd, NULL);
    close(fd);
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? text : "it failed";
}

#define LINE(second, text) "2026-11-22T01:46:0" #second ".000Z " text "\n"
static const int64_t t0 = 1795311960000; /* 2026-11-22T01:46:00Z */

static void test_whole(void) {
    OK(strcmp(all(-1, 0), "") == 0, "no files: nothing");
    put("web.log.1", LINE(1, "a") LINE(2, "b"), "w");
    put("web.log", LINE(3, "c") LINE(4, "d"), "w");
    OK(strcmp(all(-1, 0), LINE(1, "a") LINE(2, "b") LINE(3, "c") LINE(4, "d")) == 0,
       "both files, the older one first");
    OK(strcmp(all(3, 0), LINE(2, "b") LINE(3, "c") LINE(4, "d")) == 0, "the last three lines");
    OK(strcmp(all(0, 0), "") == 0, "the last none");
    OK(strcmp(all(99, 0), LINE(1, "a") LINE(2, "b") LINE(3, "c") LINE(4, "d")) == 0,
       "more than there are");
}

static void test_since(void) {
    OK(strcmp(all(-1, t0 + 2000), LINE(2, "b") LINE(3, "c") LINE(4, "d")) == 0,
       "since a line's own time, it is there");
    OK(strcmp(all(-1, t0 + 2001), LINE(3, "c") LINE(4, "d")) == 0, "a millisecond later, not");
    OK(strcmp(all(1, t0 + 2001), LINE(4, "d")) == 0, "since and tail: both hold");
    OK(strcmp(all(-1, t0 + 9000), "") == 0, "since later than all");
}

static void test_follow(void) {
    struct unit_log l = { .dir = dir, .name = "web", .tail = 1, .follow = true };
    struct log_file f;
    int fd, status;
    pid_t pid = start(&l, &fd);
    OK(strcmp(read_until(fd, "d\n"), LINE(4, "d")) == 0, "follow: what is there first");
    put("web.log", LINE(5, "e"), "a");
    OK(strcmp(read_until(fd, "e\n"), LINE(5, "e")) == 0, "then what is added");
    (void)log_file_open(&f, dir, "web", NULL);
    f.size = LOG_FILE_BYTES; /* so that the next line rotates */
    put("web.log", LINE(6, "f"), "a");
    log_file_line(&f, "rotated", 7);
    const char *text = read_until(fd, "rotated\n");
    OK(strstr(text, LINE(6, "f")) == text && strstr(text, " rotated\n"),
       "across a rotation nothing is missing: %s", text);
    log_file_line(&f, "again", 5);
    OK(strstr(read_until(fd, "again\n"), " again\n"), "and it goes on in the new file");
    close(fd);
    log_file_line(&f, "nobody", 6); /* a change, so that it looks */
    (void)waitpid(pid, &status, 0);
    OK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it ends when its reader has gone");
    log_file_close(&f);
}

int main(void) {
    if (!mkdtemp(dir))
        return 1;
    test_whole();
    test_since();
    test_follow();
    char cmd[64];
    (void)snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    OK(system(cmd) == 0, "what it made is removed");
    return tap_end();
}
