/* t_forwarder.h — a forwarder, upstreams and clients, in one process and on one loop.
 *
 * The sockets are real. The clock moves only when a test says so, by pass(): so a second of
 * waiting costs nothing, and a slow machine changes nothing. What should happen is waited for
 * by UNTIL(); that nothing happens, by settle().
 */
#ifndef TESTS_T_FORWARDER_H
#define TESTS_T_FORWARDER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/own.h"
#include "net/dns/forwarder.h"
#include "net/dns/message.h"
#include "tests/unit/tap.h"

enum { UNTIL_SECONDS = 5, SETTLE_MS = 20, MSG = 70000, SEEN = 2048, CONNS = 8 };

/* --- the clock and the loop */

static struct {
    int64_t now_ns;
    int got, wait_ms; /* events of the last wait; how long one may take */
} turn = { .now_ns = 1000000000000, .wait_ms = 5 };

static instant test_now(struct sys *s) {
    (void)s;
    return (instant){ turn.now_ns };
}

static int test_wait(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms) {
    (void)s;
    turn.got = epoll_wait(epfd, evs, max, timeout_ms == 0 ? 0 : turn.wait_ms);
    return turn.got < 0 ? -errno : turn.got;
}

static struct sys sys = { .now = test_now, .wait = test_wait };
static struct loop loop;

#define UNTIL(cond)                                                        \
    for (instant end_ = instant_add(instant_now(), span_s(UNTIL_SECONDS)); \
         !(cond) && instant_before(instant_now(), end_);)                  \
    (void)loop_turn(&loop)

/* Turns until nothing has happened for a while. */
static inline void settle(void) {
    turn.wait_ms = SETTLE_MS;
    do
        (void)loop_turn(&loop);
    while (turn.got > 0);
    turn.wait_ms = 5;
}

static inline void pass(int64_t ms) {
    turn.now_ns += ms * 1000000;
    (void)loop_turn(&loop);
    settle();
}

/* --- messages */

static inline uint16_t id_of(const uint8_t *m) { return (uint16_t)(m[0] << 8 | m[1]); }
static inline int rcode_of(const uint8_t *m) { return m[3] & 15; }

/* A query for NAME ("www.example") of class IN; with EDNS if `edns` is not 0. */
static inline size_t query(uint8_t *m, uint16_t id, const char *name, int type, int edns) {
    memset(m, 0, 12);
    m[0] = (uint8_t)(id >> 8), m[1] = (uint8_t)id;
    m[2] = 1, m[5] = 1, m[11] = edns != 0;
    size_t at = 12;
    while (*name) {
        size_t n = strcspn(name, ".");
        m[at] = (uint8_t)n;
        memcpy(m + at + 1, name, n);
        at += 1 + n;
        name += n + (name[n] == '.');
    }
    uint8_t end[] = { 0, 0, (uint8_t)type, 0, 1 };
    memcpy(m + at, end, sizeof end);
    at += sizeof end;
    uint8_t opt[] = { 0, 0, 41, (uint8_t)(edns >> 8), (uint8_t)edns, 0, 0, 0, 0, 0, 0 };
    if (edns)
        memcpy(m + at, opt, sizeof opt);
    return edns ? at + sizeof opt : at;
}

/* --- upstreams */

struct seen {
    uint16_t id;
    struct sockaddr_storage from;
    socklen_t from_len;
    uint8_t msg[300];
    size_t len;
};

struct conn {
    struct server *server;
    struct source s;
    uint8_t in[MSG];
    size_t got;
};

static struct server {
    struct ip ip;
    uint16_t port;
    struct source udp, tcp;
    bool silent;  /* only records */
    int rcode;    /* of its answers */
    size_t size;  /* pad answers to this many bytes */
    size_t split; /* TCP: send that many bytes of an answer, the rest by server_rest() */
    bool hang_up; /* TCP: close instead of answering */
    size_t nseen, ntcp;
    struct seen seen[SEEN];
    struct conn conns[CONNS];
    uint8_t rest[MSG];
    size_t rest_len;
    int rest_fd;
} servers[3];

static inline size_t answer(const struct server *v, uint8_t *out, const uint8_t *q, size_t len) {
    memcpy(out, q, len);
    out[2] |= 0x80;
    out[3] = (uint8_t)(0x80 | v->rcode);
    if (v->size > len)
        memset(out + len, 0xee, v->size - len);
    return v->size > len ? v->size : len;
}

static inline void server_see(struct server *v, struct seen *s) {
    if (v->nseen < SEEN)
        v->seen[v->nseen] = *s;
    v->nseen++;
}

static inline void server_udp(struct source *s, uint32_t got) {
    struct server *v = CONTAINER_OF(s, struct server, udp);
    static uint8_t out[MSG];
    struct seen q = { .from_len = sizeof q.from };
    (void)got;
    ssize_t n =
        recvfrom(s->fd, q.msg, sizeof q.msg, MSG_TRUNC, (struct sockaddr *)&q.from, &q.from_len);
    if (n < 12)
        return;
    q.id = id_of(q.msg);
    q.len = (size_t)n < sizeof q.msg ? (size_t)n : sizeof q.msg;
    server_see(v, &q);
    if (!v->silent)
        (void)sendto(s->fd, out, answer(v, out, q.msg, q.len), 0, (struct sockaddr *)&q.from,
                     q.from_len);
}

/* Answer the nth query by hand, from whatever socket, with whatever id. */
static inline void server_answer(struct server *v, size_t n, int fd, uint16_t id) {
    uint8_t out[MSG];
    const struct seen *q = &v->seen[n];
    size_t len = answer(v, out, q->msg, q->len);
    out[0] = (uint8_t)(id >> 8), out[1] = (uint8_t)id;
    (void)sendto(fd, out, len, 0, (const struct sockaddr *)&q->from, q->from_len);
}

static inline void conn_close(struct conn *c) {
    loop_unwatch(&c->s);
    fd_close(&c->s.fd);
}

static inline void server_rest(struct server *v) {
    (void)send(v->rest_fd, v->rest, v->rest_len, MSG_NOSIGNAL);
    v->rest_len = 0;
}

static inline void conn_answer(struct conn *c, size_t len) {
    static uint8_t out[MSG];
    struct server *v = c->server;
    size_t n = answer(v, out + 2, c->in + 2, len) + 2;
    out[0] = (uint8_t)((n - 2) >> 8), out[1] = (uint8_t)(n - 2);
    size_t first = v->split && v->split < n ? v->split : n;
    (void)send(c->s.fd, out, first, MSG_NOSIGNAL);
    v->rest_len = n - first;
    v->rest_fd = c->s.fd;
    memcpy(v->rest, out + first, v->rest_len);
}

static inline void conn_ready(struct source *s, uint32_t got) {
    struct conn *c = CONTAINER_OF(s, struct conn, s);
    struct server *v = c->server;
    (void)got;
    ssize_t n = recv(s->fd, c->in + c->got, sizeof c->in - c->got, MSG_DONTWAIT);
    if (n <= 0) {
        conn_close(c);
        return;
    }
    c->got += (size_t)n;
    size_t len = c->got < 2 ? 0 : (size_t)(c->in[0] << 8 | c->in[1]);
    if (c->got < 2 || c->got < 2 + len)
        return;
    struct seen q = { .id = id_of(c->in + 2), .len = len < 300 ? len : 300 };
    memcpy(q.msg, c->in + 2, q.len);
    server_see(v, &q);
    v->ntcp++;
    c->got = 0;
    if (v->hang_up)
        conn_close(c);
    else if (!v->silent)
        conn_answer(c, len);
}

static inline void server_accept(struct source *s, uint32_t got) {
    struct server *v = CONTAINER_OF(s, struct server, tcp);
    (void)got;
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    for (size_t i = 0; fd >= 0 && i < CONNS; i++) {
        struct conn *c = &v->conns[i];
        if (c->s.fd >= 0)
            continue;
        *c = (struct conn){ .server = v, .s = { .fd = fd, .want = EPOLLIN, .ready = conn_ready } };
        (void)loop_watch(&loop, &c->s);
        return;
    }
    fd_close(&fd);
}

/* A socket of ours, bound; *port may be 0, and is filled in. */
static inline int bound(int type, const struct ip *ip, uint16_t *port) {
    struct sockaddr_storage sa;
    int on = 1;
    socklen_t len = ip_to_sockaddr(ip, *port, &sa);
    int fd = socket(ip->family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (type == SOCK_STREAM) /* for UDP it would let two have one port */
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ip->family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0 || (type == SOCK_STREAM && listen(fd, 512) < 0)) {
        fd_close(&fd);
        return -1;
    }
    len = sizeof sa;
    (void)getsockname(fd, (struct sockaddr *)&sa, &len);
    (void)ip_from_sockaddr(&sa, port);
    return fd;
}

/* UDP and TCP on one port: what is free for one may be taken for the other. */
static inline void bound_both(const struct ip *ip, uint16_t *port, int *udp, int *tcp) {
    for (int i = 0; i < 100; i++) {
        *port = 0;
        *udp = bound(SOCK_DGRAM, ip, port);
        *tcp = bound(SOCK_STREAM, ip, port);
        if (*udp >= 0 && *tcp >= 0)
            return;
        fd_close(udp);
        fd_close(tcp);
    }
}

static inline struct ip ip_of(const char *text) {
    struct ip ip;
    (void)ip_parse(text, &ip);
    return ip;
}

static inline struct server *server_start(int i, const char *address) {
    struct server *v = &servers[i];
    memset(v, 0, sizeof *v);
    v->ip = ip_of(address);
    v->udp = (struct source){ .want = EPOLLIN, .ready = server_udp };
    v->tcp = (struct source){ .want = EPOLLIN, .ready = server_accept };
    bound_both(&v->ip, &v->port, &v->udp.fd, &v->tcp.fd);
    for (size_t k = 0; k < CONNS; k++)
        v->conns[k].s.fd = -1;
    (void)loop_watch(&loop, &v->udp);
    (void)loop_watch(&loop, &v->tcp);
    return v;
}

static inline void server_stop(struct server *v) {
    if (!v->port)
        return;
    loop_unwatch(&v->udp);
    loop_unwatch(&v->tcp);
    fd_close(&v->udp.fd);
    fd_close(&v->tcp.fd);
    for (size_t i = 0; i < CONNS; i++)
        conn_close(&v->conns[i]);
    v->port = 0;
}

static inline struct upstream upstream_of(const struct server *v) {
    return (struct upstream){ .ip = v->ip, .port = v->port };
}

/* --- the forwarder */

static struct forwarder *fwd;
static int fwd_udp = -1, fwd_tcp = -1;
static struct ip fwd_ip;
static uint16_t fwd_port;

static inline void aim_at(size_t n) {
    struct upstream u[3];
    for (size_t i = 0; i < n; i++)
        u[i] = upstream_of(&servers[i]);
    forwarder_aim(fwd, u, n);
}

/* A forwarder on `address`, asking servers on these addresses ("" for none). */
static inline void setup(const char *address, const char *a, const char *b, const char *c) {
    const char *names[] = { a, b, c };
    size_t n = 0;
    (void)loop_init(&loop, &sys);
    while (n < 3 && names[n][0]) {
        (void)server_start((int)n, names[n]);
        n++;
    }
    fwd = forwarder_new(&loop);
    fwd_ip = ip_of(address);
    bound_both(&fwd_ip, &fwd_port, &fwd_udp, &fwd_tcp);
    (void)OK(forwarder_listen(fwd, fwd_udp, fwd_tcp) == 0, "a forwarder on %s", address);
    aim_at(n);
}

static inline void teardown(void) {
    forwarder_free(fwd);
    fd_close(&fwd_udp);
    fd_close(&fwd_tcp);
    for (int i = 0; i < 3; i++)
        server_stop(&servers[i]);
    (void)OK(list_empty(&loop.timers), "no timer is left");
    loop_fini(&loop);
}

static inline struct forwarder_counts counts(void) { return forwarder_counts(fwd); }

/* --- clients */

static inline int client(int type, const char *address) {
    struct ip ip = ip_of(address);
    struct sockaddr_storage sa;
    uint16_t port = 0;
    int fd = type == SOCK_DGRAM ? bound(type, &ip, &port)
                                : socket(fwd_ip.family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t len = ip_to_sockaddr(&fwd_ip, fwd_port, &sa);
    (void)!connect(fd, (struct sockaddr *)&sa, len);
    return fd;
}

static uint8_t reply[MSG];

/* What has come, into `reply`; 0 for nothing. */
static inline size_t received(int fd) {
    ssize_t n = recv(fd, reply, sizeof reply, MSG_DONTWAIT);
    return n > 0 ? (size_t)n : 0;
}

static inline size_t wait_reply(int fd) {
    size_t n = 0;
    UNTIL((n = received(fd)) > 0);
    return n;
}

static inline void ask_fd(int fd, uint16_t id, const char *name, int edns) {
    uint8_t m[600];
    (void)!send(fd, m, query(m, id, name, 1, edns), 0);
}

#endif
