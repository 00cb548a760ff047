/* t_http_server.h — a server, a site to be served and clients, in one process and on one loop.
 *
 * The sockets are real. The clock moves only when a test says so, by pass(): so a deadline of ten
 * minutes costs nothing, and a slow machine changes nothing. What should happen is waited for by
 * UNTIL(); that nothing happens, by settle().
 */
#ifndef TESTS_T_HTTP_SERVER_H
#define TESTS_T_HTTP_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/own.h"
#include "http/server.h"
#include "tests/unit/tap.h"

enum { UNTIL_SECONDS = 10, IDLE_S = 60 };

/* --- the heap: how much of it is used; on musl, also the power to refuse it ------------------- */

#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void);
static inline size_t heap_used(void) { return __sanitizer_get_current_allocated_bytes(); }
#else
static struct {
    size_t used;
    long until_failure; /* allocations that still succeed; negative: all do */
    long n;             /* made so far */
} heap = { .until_failure = -1 };

void *__libc_malloc(size_t);
void *__libc_realloc(void *, size_t);
void __libc_free(void *);

static bool heap_refuses(void) {
    heap.n++;
    if (heap.until_failure > 0)
        heap.until_failure--;
    return heap.until_failure == 0;
}

void *malloc(size_t n) {
    void *p = heap_refuses() ? NULL : __libc_malloc(n);
    heap.used += p ? malloc_usable_size(p) : 0;
    return p;
}

void *realloc(void *old, size_t n) {
    size_t before = old ? malloc_usable_size(old) : 0;
    void *p = heap_refuses() ? NULL : __libc_realloc(old, n);
    heap.used += p ? malloc_usable_size(p) - before : 0;
    return p;
}

void free(void *p) {
    heap.used -= p ? malloc_usable_size(p) : 0;
    __libc_free(p);
}
static inline size_t heap_used(void) { return heap.used; }
#endif

/* --- the clock and the loop ------------------------------------------------------------------- */

static struct {
    int64_t now_ns;
    int got, wait_ms; /* events of the last wait; how long one may take */
    long n;
} turn = { .now_ns = 1000000000000, .wait_ms = 5 };

static instant test_now(struct sys *s) {
    (void)s;
    return (instant){ turn.now_ns };
}

static int test_wait(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms) {
    (void)s;
    turn.n++;
    turn.got = epoll_wait(epfd, evs, max, timeout_ms == 0 ? 0 : turn.wait_ms);
    return turn.got < 0 ? -errno : turn.got;
}

static struct sys sys = { .now = test_now, .wait = test_wait };
static struct loop loop;

#define UNTIL(cond)                                                        \
    for (instant end_ = instant_add(instant_now(), span_s(UNTIL_SECONDS)); \
         !(cond) && instant_before(instant_now(), end_);)                  \
    (void)loop_turn(&loop)

/* Turns until nothing has happened for a while; the last one waits. */
static inline void settle(void) {
    int quiet = 0;
    while (quiet < 3) {
        turn.wait_ms = quiet < 2 ? 0 : 1;
        (void)loop_turn(&loop);
        quiet = turn.got > 0 ? 0 : quiet + 1;
    }
    turn.wait_ms = 5;
}

/* A turn for what is there already. */
static inline void quick_turn(void) {
    turn.wait_ms = 0;
    (void)loop_turn(&loop);
    turn.wait_ms = 5;
}

static inline void pass(int64_t ms) {
    turn.now_ns += ms * 1000000;
    (void)loop_turn(&loop);
    settle();
}

/* --- the server ------------------------------------------------------------------------------- */

static struct http_server server;
static struct http_listener on_tcp, on_unix;
static struct sockaddr_in tcp_address = { .sin_family = AF_INET };
static struct sockaddr_un unix_address = { .sun_family = AF_UNIX };
static socklen_t unix_len;

static inline void serve(const struct http_site *site, size_t max) {
    socklen_t len = sizeof tcp_address;
    tcp_address.sin_port = 0;
    tcp_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    http_server_init(&server, &loop, max);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good = bind(fd, (struct sockaddr *)&tcp_address, sizeof tcp_address) == 0 &&
                listen(fd, 4096) == 0 &&
                getsockname(fd, (struct sockaddr *)&tcp_address, &len) == 0;
    OK(good && http_listen(&server, &on_tcp, site, fd) == 0, "it listens on TCP");
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unix_len = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 +
               (socklen_t)snprintf(unix_address.sun_path + 1, 64, "pinnace-test-%d", getpid());
    good = bind(fd, (struct sockaddr *)&unix_address, unix_len) == 0 && listen(fd, 4096) == 0;
    OK(good && http_listen(&server, &on_unix, site, fd) == 0, "and on a unix socket");
}

static inline void serve_no_more(void) {
    http_server_close(&server);
    UNTIL(server.n == 0);
    OK(server.n == 0 && !http_server_busy(&server), "all connections are gone");
    OK(list_empty(&loop.timers) && list_empty(&server.dirty), "and nothing is owed");
    fd_close(&on_tcp.source.fd);
    fd_close(&on_unix.source.fd);
}

/* --- clients ---------------------------------------------------------------------------------- */

struct client {
    int fd, error; /* errno of the last recv(2) that failed for good */
    char *got;     /* NUL-terminated */
    size_t n, cap;
    bool eof;
};

static inline struct client dial(bool tcp) {
    struct client c = { .fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    int rc = tcp ? connect(c.fd, (struct sockaddr *)&tcp_address, sizeof tcp_address)
                 : connect(c.fd, (struct sockaddr *)&unix_address, unix_len);
    if (rc < 0)
        (void)OK(false, "a client connects: %s", strerror(errno));
    return c;
}

static inline void hang_up(struct client *c) {
    fd_close(&c->fd);
    mem_release(&c->got);
    c->n = c->cap = 0;
}

/* Read what is there; at most `most` bytes. */
static inline void hear_some(struct client *c, size_t most) {
    while (!c->eof && most > 0) {
        if (c->cap - c->n < 65536)
            c->got = realloc(c->got, c->cap = 2 * c->cap + 131072);
        size_t room = c->cap - c->n - 1;
        ssize_t n = recv(c->fd, c->got + c->n, most < room ? most : room, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            break;
        c->eof = n <= 0;
        c->error = n < 0 ? errno : 0;
        c->n += n > 0 ? (size_t)n : 0;
        most -= n > 0 ? (size_t)n : 0;
    }
    if (c->got)
        c->got[c->n] = '\0';
}

static inline void hear(struct client *c) { hear_some(c, SIZE_MAX); }

/* Send all of it, while the loop turns. False: the server took it no more. */
static inline bool say_n(struct client *c, const char *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        ssize_t sent = send(c->fd, bytes + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        at += sent > 0 ? (size_t)sent : 0;
        if (at < n) {
            (void)loop_turn(&loop);
            hear(c);
        }
    }
    return true;
}
static inline bool say(struct client *c, const char *text) { return say_n(c, text, strlen(text)); }

static inline void forget(struct client *c) {
    c->n = 0;
    if (c->got)
        c->got[0] = '\0';
}

static inline bool has(const struct client *c, const char *text) {
    return c->got && memmem(c->got, c->n, text, strlen(text)) != NULL;
}

static inline bool ends(const struct client *c, const char *text) {
    size_t n = strlen(text);
    return c->got && c->n >= n && memcmp(c->got + c->n - n, text, n) == 0;
}

static inline bool begins(const struct client *c, const char *text) {
    return c->got && c->n >= strlen(text) && memcmp(c->got, text, strlen(text)) == 0;
}

/* How often: answers of a kind among pipelined ones. */
static inline int times(const struct client *c, const char *text) {
    int n = 0;
    for (const char *at = c->got; at && (at = strstr(at, text)); at += strlen(text))
        n++;
    return n;
}

static inline bool heard(struct client *c, const char *text) {
    hear(c);
    return has(c, text);
}

static inline bool heard_end(struct client *c) {
    hear(c);
    return c->eof;
}

/* A request and all that comes of it. */
static inline void ask(struct client *c, const char *text) {
    forget(c);
    (void)say(c, text);
    settle();
    hear(c);
    settle();
    hear(c);
}

#endif
