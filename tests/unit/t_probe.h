/* t_probe.h — real servers for the probe tests, each a forked child of the test. */
#ifndef TESTS_T_PROBE_H
#define TESTS_T_PROBE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "probes/probe.h"
#include "tests/unit/tap.h"

/* What a server tells its test, in memory that both have. */
struct shared {
    instant at;      /* when it became ready */
    int count;       /* whatever the server counts */
    char seen[2048]; /* what it was sent */
};

struct asked {
    int rc;
    struct err e;
    span took;
    instant done;
};

static inline void nap(span d) {
    struct timespec t = { .tv_sec = d.ns / 1000000000, .tv_nsec = d.ns % 1000000000 };
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static inline struct asked ask_once(const char *text, span timeout) {
    struct asked a = { .rc = -EINVAL };
    struct probe_spec spec;
    if (probe_parse(&spec, text, &a.e) < 0)
        return a;
    instant start = instant_now();
    a.rc = probe_run(&spec, instant_add(start, timeout), &a.e);
    a.done = instant_now();
    a.took = instant_since(a.done, start);
    while (waitpid(0, NULL, WNOHANG) > 0) /* what waits for inotify in our stead */
        ;
    return a;
}

enum { GRACE_MS = 50 };

/* These tests share their machine: who comes too late is asked again, twice at most. */
static inline struct asked ask_probe(const char *text, span timeout) {
    struct asked a = ask_once(text, timeout);
    for (int i = 0; i < 2 && a.rc == -ETIMEDOUT && a.took.ns > timeout.ns + span_ms(GRACE_MS).ns;
         i++)
        a = ask_once(text, timeout);
    return a;
}

static inline struct shared *shared_new(void) {
    void *p = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                   -1, 0);
    if (p == MAP_FAILED)
        _exit(99);
    return p;
}

static inline void shared_free(struct shared *s) { (void)munmap(s, sizeof *s); }

/* Run `serve` in a child, which a test ends with server_stop(). */
static inline pid_t server_start(void (*serve)(void *), void *arg) {
    pid_t parent = getpid(), pid = fork();
    (void)setpgid(pid, pid); /* out of reach of ask_probe()'s waitpid */
    if (pid != 0)
        return pid;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGPIPE, SIG_IGN);
    if (getppid() == parent)
        serve(arg);
    _exit(0);
}

static inline void server_stop(pid_t pid) {
    if (pid <= 0)
        return;
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* A socket bound to a free port of 127.0.0.1; not listening yet. */
static inline int bound_tcp(uint16_t *port) {
    struct sockaddr_in sa = { .sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons(*port) };
    socklen_t len = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
        getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        _exit(98);
    *port = ntohs(sa.sin_port);
    return fd;
}

/* A socket bound to `path`; not listening yet. */
static inline int bound_unix(const char *path) {
    struct sockaddr_un sa = { .sun_family = AF_UNIX };
    (void)snprintf(sa.sun_path, sizeof sa.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        _exit(97);
    return fd;
}

static inline void put(int fd, const char *s) { (void)!write(fd, s, strlen(s)); }

/* Refused at the deadline, give or take. */
static inline bool on_time(struct asked a, span timeout) {
    int64_t off = a.took.ns - timeout.ns;
    return a.rc == -ETIMEDOUT && off > -span_ms(GRACE_MS).ns && off < span_ms(GRACE_MS).ns;
}

#endif
