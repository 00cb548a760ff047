#include "net/dns/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"

enum { ACCEPT_PAUSE_MS = 100 }; /* when there is no descriptor left */

/* --- idleness */

static void idle_fire(struct timer *t);

void tcp_clients_init(struct forwarder *f) {
    list_init(&f->tcp_clients);
    f->idle_timer.fire = idle_fire;
    for (size_t i = 0; i < MAX_DNS_TCP; i++)
        f->tcp[i].s.fd = -1;
}

static struct tcp_client *idlest(const struct forwarder *f) {
    return list_empty(&f->tcp_clients)
               ? NULL
               : CONTAINER_OF(f->tcp_clients.next, struct tcp_client, by_age);
}

/* As for asks: early is fine, and moving it for each byte is not worth it. */
static void arm(struct forwarder *f, span at_most) {
    const struct tcp_client *c = idlest(f);
    instant at = instant_add(f->loop->now, at_most);
    if (c)
        at = instant_min(at, instant_add(c->active, span_ms(DNS_TCP_IDLE_MS)));
    if (!instant_is_never(at) &&
        (!timer_armed(&f->idle_timer) || instant_before(at, f->idle_timer.at)))
        timer_arm(f->loop, &f->idle_timer, instant_since(at, f->loop->now));
}

static void touch(struct tcp_client *c) {
    struct forwarder *f = c->f;
    c->active = f->loop->now;
    list_remove(&c->by_age);
    list_insert_before(&f->tcp_clients, &c->by_age);
    arm(f, SPAN_NEVER);
}

static void idle_fire(struct timer *t) {
    struct forwarder *f = CONTAINER_OF(t, struct forwarder, idle_timer);
    span limit = span_ms(DNS_TCP_IDLE_MS);
    for (struct tcp_client *c; (c = idlest(f));) {
        if (instant_before(f->loop->now, instant_add(c->active, limit)))
            break;
        tcp_client_close(c);
    }
    for (size_t i = 0; i < f->nlisteners; i++) { /* those that were paused */
        struct source *s = &f->listeners[i].tcp;
        if (s->fd >= 0 && !s->loop)
            (void)loop_watch(f->loop, s);
    }
    arm(f, SPAN_NEVER);
}

/* --- one client */

void tcp_client_close(struct tcp_client *c) {
    if (c->s.fd < 0)
        return;
    loop_unwatch(&c->s);
    fd_close(&c->s.fd);
    list_remove(&c->by_age);
    if (c->ask)
        ask_end(c->ask);
    free(c->in);
    free(c->out);
    c->in = c->out = NULL;
}

void tcp_clients_close(struct forwarder *f) {
    for (struct tcp_client *c; (c = idlest(f));)
        tcp_client_close(c);
}

/* What we wait for follows from what we hold: one message at a time, further ones stay in the
 * socket. That the client is gone comes unasked. */
static void watch(struct tcp_client *c) {
    uint32_t want = c->out ? EPOLLOUT : c->ask ? 0 : EPOLLIN;
    if (c->s.loop && c->s.want == want)
        return;
    c->s.want = want;
    if (loop_watch(c->f->loop, &c->s) < 0)
        tcp_client_close(c);
}

static bool must_wait(ssize_t n) {
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

static void send_out(struct tcp_client *c) {
    while (c->out && c->out_sent < c->out_len) {
        ssize_t n = send(c->s.fd, c->out + c->out_sent, c->out_len - c->out_sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (must_wait(n))
            break;
        if (n <= 0) {
            tcp_client_close(c);
            return;
        }
        c->out_sent += (size_t)n;
        touch(c);
    }
    if (c->out && c->out_sent == c->out_len) {
        free(c->out);
        c->out = NULL;
    }
    watch(c);
}

void tcp_reply(struct tcp_client *c, const uint8_t *msg, size_t len) {
    c->out = malloc(DNS_TCP_HEAD + len);
    if (!c->out || len > DNS_MAX_UDP) {
        tcp_client_close(c);
        return;
    }
    c->out[0] = (uint8_t)(len >> 8);
    c->out[1] = (uint8_t)len;
    memcpy(c->out + DNS_TCP_HEAD, msg, len);
    c->out_len = DNS_TCP_HEAD + len;
    c->out_sent = 0;
    send_out(c);
}

static size_t message_len(const struct tcp_client *c) {
    return (size_t)(c->head[0] << 8 | c->head[1]);
}

/* The next piece. Bytes, 0 at the end or when it makes no sense to go on, -1 and errno. */
static ssize_t receive(struct tcp_client *c) {
    if (c->in_got < DNS_TCP_HEAD)
        return recv(c->s.fd, c->head + c->in_got, DNS_TCP_HEAD - c->in_got, MSG_DONTWAIT);
    size_t len = message_len(c), at = c->in_got - DNS_TCP_HEAD;
    if (len < DNS_HEADER)
        return 0;
    if (!c->in)
        c->in = malloc(len);
    return c->in ? recv(c->s.fd, c->in + at, len - at, MSG_DONTWAIT) : 0;
}

static void take_message(struct tcp_client *c) {
    AUTO_FREE uint8_t *msg = c->in;
    size_t len = message_len(c);
    c->in = NULL;
    c->in_got = 0;
    query_take(c->f, &c->who, msg, len, false);
    if (c->s.fd >= 0)
        watch(c);
}

static void read_in(struct tcp_client *c) {
    for (;;) {
        ssize_t n = receive(c);
        if (must_wait(n))
            return;
        if (n <= 0) {
            tcp_client_close(c);
            return;
        }
        c->in_got += (size_t)n;
        touch(c);
        if (c->in_got > DNS_TCP_HEAD && c->in_got == DNS_TCP_HEAD + message_len(c)) {
            take_message(c);
            return;
        }
    }
}

static void client_ready(struct source *s, uint32_t got) {
    struct tcp_client *c = CONTAINER_OF(s, struct tcp_client, s);
    if (got & (EPOLLERR | EPOLLHUP)) /* it could not hear us any more */
        tcp_client_close(c);
    else if (got & EPOLLOUT)
        send_out(c);
    else if (got & EPOLLIN)
        read_in(c);
}

/* --- new ones */

/* The link that a control message names, -1 if it is of another kind. */
static int link_named(const struct cmsghdr *c) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        return info.ipi_ifindex;
    }
    if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        return (int)info.ipi6_ifindex;
    }
    return -1;
}

/* The link by which the SYN came; 0 if the kernel does not say. It remembers that for a socket
 * whose listener has asked for packet information (Linux: do_ip_getsockopt, IP_PKTOPTIONS;
 * do_ipv6_getsockopt, IPV6_2292PKTOPTIONS), and gives it as the first control message. */
static int arrival_link(int fd, sa_family_t family) {
    _Alignas(struct cmsghdr) uint8_t control[256];
    bool six = family == AF_INET6;
    socklen_t len = sizeof control;
    if (getsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_2292PKTOPTIONS : IP_PKTOPTIONS,
                   control, &len) < 0)
        return 0;
    struct msghdr m = { .msg_control = control, .msg_controllen = len };
    const struct cmsghdr *first = CMSG_FIRSTHDR(&m);
    int link = first ? link_named(first) : -1;
    return link > 0 ? link : 0;
}

/* A kernel that does not tell the link leaves one thing that is certain: who shook hands from
 * an address of this machine is on this machine, since our half of it never left. */
static bool is_welcome(struct listener *l, int fd, const struct asker *who) {
    if (l->f->nrefused == 0)
        return true;
    int link = arrival_link(fd, l->family);
    if (link != 0)
        return !link_is_refused(l->f, link);
    if (!l->f->told_unknown_link) {
        l->f->told_unknown_link = true;
        log_warn("net", "the kernel does not tell where a connection comes from: "
                        "DNS over TCP is for this machine only");
    }
    return ip_is_loopback(&who->ip) || ip_equal(&who->ip, &who->to);
}

/* A free slot; the idlest client makes room. */
static struct tcp_client *free_slot(struct forwarder *f) {
    for (size_t i = 0; i < MAX_DNS_TCP; i++)
        if (f->tcp[i].s.fd < 0)
            return &f->tcp[i];
    struct tcp_client *c = idlest(f);
    tcp_client_close(c);
    return c;
}

static void admit(struct listener *l, int taken, struct asker *who) {
    AUTO_FD int fd = taken;
    struct sockaddr_storage to;
    socklen_t len = sizeof to;
    if (getsockname(fd, (struct sockaddr *)&to, &len) < 0)
        return;
    who->ip = ip_from_sockaddr(&who->addr, &who->port);
    who->to = ip_from_sockaddr(&to, NULL);
    who->on = l;
    if (!is_welcome(l, fd, who))
        return;
    struct tcp_client *c = free_slot(l->f);
    *c = (struct tcp_client){ .f = l->f,
                              .who = *who,
                              .s = { .fd = fd_take(&fd), .ready = client_ready } };
    c->who.tcp = c;
    touch(c);
    watch(c);
}

/* No descriptor left: the idlest gives back one; else look again a little later, since the
 * waiting connection would wake us at once, for ever. */
static void accept_failed(struct listener *l, int code) {
    if (code != EMFILE && code != ENFILE && code != ENOBUFS && code != ENOMEM)
        return;
    if (idlest(l->f)) {
        tcp_client_close(idlest(l->f));
        return;
    }
    loop_unwatch(&l->tcp);
    arm(l->f, span_ms(ACCEPT_PAUSE_MS));
}

void tcp_ready(struct source *s, uint32_t got) {
    struct listener *l = CONTAINER_OF(s, struct listener, tcp);
    (void)got;
    for (int i = 0; i < DNS_ACCEPT_BATCH; i++) {
        struct asker who = { .addr_len = sizeof who.addr };
        int fd = accept4(s->fd, (struct sockaddr *)&who.addr, &who.addr_len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            accept_failed(l, errno);
            return;
        }
        admit(l, fd, &who);
    }
}
