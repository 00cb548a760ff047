/* netns.h — for tests of the real network: a namespace of this test's own, and programs that
 * people would use to look into it. It ends with the test.
 */
#ifndef TESTS_NETNS_H
#define TESTS_NETNS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* This process moves into a new network namespace. Its fd, or -errno. */
static inline int netns_new(void) {
    if (unshare(CLONE_NEWNET) < 0)
        return -errno;
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static inline bool netns_enter(int fd) { return setns(fd, CLONE_NEWNET) == 0; }

/* A shell command; what it prints comes back in `out` (cut), also what it complains of.
 * Its exit status, or -1. */
__attribute__((format(printf, 3, 4))) static inline int run_into(char *out, size_t cap,
                                                                 const char *fmt, ...) {
    char command[2048], all[2200];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    (void)snprintf(all, sizeof all, "PATH=$PATH:/usr/sbin:/sbin; { %s\n} 2>&1 </dev/null", command);
    FILE *p = popen(all, "re");
    if (!p)
        return -1;
    size_t n = fread(out, 1, cap - 1, p);
    out[n] = '\0';
    int status = pclose(p);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(...)                                                           \
    ({                                                                     \
        char run_said[4096];                                               \
        int run_status = run_into(run_said, sizeof run_said, __VA_ARGS__); \
        if (run_status != 0)                                               \
            (void)printf("# status %d: %s\n", run_status, run_said);       \
        run_status == 0;                                                   \
    })

static inline bool is_readable(int fd, int ms) {
    struct pollfd p = { .fd = fd, .events = POLLIN };
    return poll(&p, 1, ms) == 1;
}

#endif
