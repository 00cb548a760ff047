/* tap.h — the whole unit-test framework. A test file is a program that prints TAP:
 *
 *     int main(void) {
 *         OK(parse("5") == 5, "a digit is itself");
 *         return tap_end();
 *     }
 *
 * Its last check, made by tap_end(), is that it holds no descriptor that it did not
 * hold at the start. A forked child must leave by _exit(2) and make no checks.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

enum { TAP_FDS = 1024 };

static struct {
    int done, failed;
    bool had_fd[TAP_FDS]; /* open before main() */
} tap;

__attribute__((constructor)) static void tap_begin(void) {
    /* By the line, or a fork would carry lines along and print them a second time. */
    (void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (int fd = 0; fd < TAP_FDS; fd++)
        tap.had_fd[fd] = fcntl(fd, F_GETFD) >= 0;
}

/* Use OK(). Returns `good`, so that a test can stop where going on makes no sense. */
__attribute__((format(printf, 5, 6))) static bool
tap_check(bool good, const char *file, int line, const char *cond, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    (void)printf("%s %d - ", good ? "ok" : "not ok", ++tap.done);
    (void)vprintf(fmt, ap);
    (void)printf("\n");
    va_end(ap);
    if (!good) {
        tap.failed++;
        (void)printf("# %s:%d: %s\n", file, line, cond);
    }
    return good;
}

/* OK(cond, "what is checked: %d", value) */
#define OK(cond, ...) tap_check((cond) ? true : false, __FILE__, __LINE__, #cond, __VA_ARGS__)

/* The last statement of main(): the fd check, the plan; returns the exit status. */
static inline int tap_end(void) {
    int leaked = 0;
    for (int fd = 0; fd < TAP_FDS; fd++) {
        if (tap.had_fd[fd] || fcntl(fd, F_GETFD) < 0)
            continue;
        char link[64], what[256];
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, what, sizeof what - 1);
        what[n > 0 ? n : 0] = '\0';
        (void)printf("# fd %d is still open: %s\n", fd, what);
        leaked++;
    }
    (void)OK(leaked == 0, "no descriptor leaked");
    (void)printf("1..%d\n", tap.done);
    return tap.failed != 0;
}

#endif
