#include "net/dns/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/log.h"
#include "base/own.h"

/* So that a route which somebody adds later cannot lead elsewhere. */
static void tie(struct forwarder *f, int fd, const struct upstream_state *u) {
    if (!u->link_name[0])
        return;
    socklen_t len = (socklen_t)strlen(u->link_name);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, u->link_name, len) == 0 || f->told_unbound)
        return;
    f->told_unbound = true;
    log_warn("net", "queries are not tied to %s: %s", u->link_name, strerror(errno));
}

/* Are we out of something, so that it is no fault of the upstream's? */
static bool is_our_fault(int code) {
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM || code == EAGAIN;
}

/* Is this still open, with this many bytes more to come, a plain wait? */
static bool must_wait(ssize_t n) {
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static void udp_try_ready(struct source *s, uint32_t got) {
    struct try *t = CONTAINER_OF(s, struct try, s);
    struct ask *a = t->ask;
    uint8_t *msg = a->f->scratch;
    (void)got;
    for (int i = 0; i < DNS_TRY_BATCH; i++) {
        ssize_t n = recv(s->fd, msg, DNS_MAX_UDP, MSG_DONTWAIT);
        if (must_wait(n))
            return;
        if (n < 0) {
            ask_try_failed(a, t);
            return;
        }
        if (dns_answers(&a->q, t->id, msg, (size_t)n)) {
            ask_answered(a, t, msg, (size_t)n);
            return;
        }
        /* A stranger's guess, or an answer to something else: go on waiting. */
    }
}

static int udp_try_send(struct try *t) {
    const struct ask *a = t->ask;
    uint8_t id[2] = { (uint8_t)(t->id >> 8), (uint8_t)t->id };
    struct iovec parts[] = { { id, sizeof id }, { a->query + 2, a->len - 2 } };
    return writev(t->s.fd, parts, 2) < 0 ? -errno : 0;
}

/* What is left to send over TCP: the length, our id, the rest of the query. 0 or -errno. */
static int tcp_try_send(struct try *t) {
    const struct ask *a = t->ask;
    uint8_t front[DNS_TCP_HEAD + 2] = { (uint8_t)(a->len >> 8), (uint8_t)a->len,
                                        (uint8_t)(t->id >> 8), (uint8_t)t->id };
    size_t skip = t->sent < sizeof front ? t->sent : sizeof front;
    struct iovec parts[] = { { front + skip, sizeof front - skip },
                             { a->query + 2 + (t->sent - skip), a->len - 2 - (t->sent - skip) } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
    ssize_t n = sendmsg(t->s.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return must_wait(n) ? 0 : -errno;
    t->sent += (size_t)n;
    return 0;
}

static size_t head_value(const uint8_t *head) { return (size_t)(head[0] << 8 | head[1]); }

/* The next piece of the answer: its length first. Bytes, 0 for an end that comes too early. */
static ssize_t tcp_try_read(struct try *t) {
    if (t->got < DNS_TCP_HEAD)
        return recv(t->s.fd, t->head + t->got, DNS_TCP_HEAD - t->got, MSG_DONTWAIT);
    size_t len = head_value(t->head), at = t->got - DNS_TCP_HEAD;
    if (!t->in)
        t->in = malloc(len + !len);
    return t->in && len > 0 ? recv(t->s.fd, t->in + at, len - at, MSG_DONTWAIT) : 0;
}

static void tcp_try_receive(struct try *t) {
    struct ask *a = t->ask;
    for (;;) {
        ssize_t n = tcp_try_read(t);
        if (must_wait(n))
            return;
        t->got += n > 0 ? (size_t)n : 0;
        size_t len = head_value(t->head);
        bool whole = t->got >= DNS_TCP_HEAD && t->got == DNS_TCP_HEAD + len;
        if (n > 0 && !whole)
            continue;
        if (n <= 0 || !dns_answers(&a->q, t->id, t->in, len)) {
            ask_try_failed(a, t);
            return;
        }
        uint8_t *in = t->in; /* outlives the try */
        t->in = NULL;
        ask_answered(a, t, in, len);
        free(in);
        return;
    }
}

static void tcp_try_ready(struct source *s, uint32_t got) {
    struct try *t = CONTAINER_OF(s, struct try, s);
    size_t all = DNS_TCP_HEAD + t->ask->len;
    int code = 0;
    if (t->sent < all && (got & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
        code = tcp_try_send(t);
    if (code == 0 && t->sent == all && (s->want & EPOLLOUT)) {
        s->want = EPOLLIN;
        code = loop_watch(s->loop, s);
    }
    if (code < 0)
        ask_try_failed(t->ask, t);
    else if (got & (EPOLLIN | EPOLLERR | EPOLLHUP))
        tcp_try_receive(t);
}

/* Connect, and send over UDP. 0 or -errno. */
static int engage(struct try *t, const struct upstream_state *u, bool tcp) {
    struct sockaddr_storage to;
    socklen_t len = ip_to_sockaddr(&u->u.ip, u->u.port, &to);
    if (connect(t->s.fd, (const struct sockaddr *)&to, len) < 0 && !(tcp && errno == EINPROGRESS))
        return -errno;
    return tcp ? 0 : udp_try_send(t);
}

int try_start(struct try *t, struct ask *a, size_t upstream) {
    struct forwarder *f = a->f;
    struct upstream_state *u = &f->upstreams[upstream];
    bool tcp = a->who.tcp != NULL;
    *t = (struct try){ .ask = a,
                       .upstream = (uint8_t)upstream,
                       .id = forwarder_random(f),
                       .s = { .ready = tcp ? tcp_try_ready : udp_try_ready,
                              .want = tcp ? EPOLLIN | EPOLLOUT : EPOLLIN } };
    int type = tcp ? SOCK_STREAM : SOCK_DGRAM;
    t->s.fd = socket(u->u.ip.family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (t->s.fd < 0)
        return is_our_fault(errno) ? 1 : -errno;
    tie(f, t->s.fd, u);
    u->asked++;
    a->asked |= (uint16_t)(1u << upstream);
    int code = engage(t, u, tcp);
    if (code == 0)
        code = loop_watch(f->loop, &t->s);
    if (code == 0)
        return 0;
    try_end(t);
    return is_our_fault(-code) ? 1 : code;
}

void try_end(struct try *t) {
    loop_unwatch(&t->s);
    fd_close(&t->s.fd);
    free(t->in);
    t->in = NULL;
}
