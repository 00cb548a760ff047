#include "http/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

enum {
    FIRST_IN = 1024,        /* bytes of an input buffer, to begin with */
    STEPS = HTTP_TURN,      /* of one conn_run(): a request takes two, and a turn has two runs */
    OLD_HEAD_MS = 1000,     /* a head that takes longer has to make room for new connections */
    HALF_SHUT_PROBES_S = 5, /* see half_shut() */
};

/* --- life and death --------------------------------------------------------------------------- */

static void ready(struct source *s, uint32_t got);
static void fire(struct timer *t);

struct http_conn *conn_new(struct http_server *s, const struct http_site *site, int fd) {
    struct http_conn *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->server = s;
    c->site = site;
    c->source = (struct source){ .fd = fd, .ready = ready };
    c->timer.fire = fire;
    c->in_next = FIRST_IN;
    c->in_since = s->loop->now;
    list_insert_before(&s->conns, &c->link);
    s->n++;
    return c;
}

void conn_lose(struct http_conn *c) {
    c->dead = true;
    conn_kick(c);
}

/* A body whose end is that of the connection must not seem to be complete. */
static bool must_reset(const struct http_conn *c) {
    const struct http_exchange *x = c->x;
    return x && x->begun && !x->chunked && !x->raw && !x->no_body && x->left < 0;
}

static void conn_free(struct http_conn *c) {
    struct http_server *s = c->server;
    struct http_exchange *x = c->x;
    struct linger now = { .l_onoff = 1 };
    c->running = true; /* over() cannot put it on the list again */
    bool cut = c->lost || (x && (!x->ended || c->out_len > 0));
    if (cut && must_reset(c))
        (void)setsockopt(c->source.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    if (x)
        exchange_free(x, cut);
    loop_unwatch(&c->source);
    fd_close(&c->source.fd);
    timer_stop(&c->timer);
    list_remove(&c->dirty);
    list_remove(&c->link);
    s->n--;
    s->extra -= c->extra;
    if (list_empty(&s->dirty))
        timer_stop(&s->soon);
    free(c->in);
    free(c->out);
    free(c);
}

bool conn_is_idle(const struct http_conn *c) {
    instant old = instant_add(c->in_since, span_ms(OLD_HEAD_MS));
    return c->state == CONN_HEAD && (!c->in_head || !instant_before(c->server->loop->now, old));
}

/* --- input ------------------------------------------------------------------------------------ */

/* Room for a byte at least behind what is there. */
static bool in_grow(struct http_conn *c) {
    if (c->in_len == 0) {
        c->in_at = 0;
        if (c->in_cap < c->in_next)
            mem_release(&c->in);
        if (!c->in)
            c->in = malloc(c->in_cap = c->in_next);
        return c->in != NULL;
    }
    if (c->in_at + c->in_len < c->in_cap)
        return true;
    if (c->in_at > 0) {
        memmove(c->in, c->in + c->in_at, c->in_len);
        c->in_at = 0;
        return true;
    }
    char *more = c->in_cap < MAX_HTTP_IN ? realloc(c->in, c->in_cap * 2) : NULL;
    if (more) {
        c->in = more;
        c->in_cap *= 2;
    }
    return more != NULL;
}

int conn_read(struct http_conn *c) {
    if (c->eof || c->dead)
        return -1;
    if (!in_grow(c)) {
        conn_lose(c);
        return -1;
    }
    size_t end = c->in_at + c->in_len, room = c->in_cap - end;
    ssize_t n = recv(c->source.fd, c->in + end, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n < 0)
        conn_lose(c);
    c->eof = n <= 0;
    if (n <= 0)
        return -1;
    c->in_len += (uint32_t)n;
    c->server->bytes_in += (uint64_t)n;
    if ((size_t)n == room && c->in_next < MAX_HTTP_IN)
        c->in_next *= 2;
    return (int)n;
}

/* --- steps; each says whether there may be more to do now ------------------------------------- */

void conn_linger(struct http_conn *c) {
    c->state = CONN_LINGER;
    c->in_since = c->server->loop->now;
    c->linger_left = MAX_HTTP_LINGER;
    c->in_len = 0;
    if (c->eof || shutdown(c->source.fd, SHUT_WR) < 0)
        conn_lose(c);
}

static bool linger_step(struct http_conn *c) {
    char away[4096];
    ssize_t n = recv(c->source.fd, away, sizeof away, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0 || n >= (ssize_t)c->linger_left) {
        conn_lose(c);
        return false;
    }
    c->linger_left -= (uint32_t)n;
    c->server->bytes_in += (uint64_t)n;
    return true;
}

/* Before a request, some clients send an empty line (RFC 9112 2.2). */
static bool head_has_begun(struct http_conn *c) {
    while (!c->in_head && c->in_len >= 2 && memcmp(c->in + c->in_at, "\r\n", 2) == 0) {
        c->in_at += 2;
        c->in_len -= 2;
    }
    return c->in_head || c->in_len > 1 || (c->in_len == 1 && c->in[c->in_at] != '\r');
}

static int head_scan(struct http_conn *c) {
    if (!head_has_begun(c))
        return 0;
    if (!c->in_head)
        c->in_since = c->server->loop->now;
    c->in_head = true;
    return http_scan(&c->scan, c->in + c->in_at, c->in_len);
}

static bool head_step(struct http_conn *c) {
    if (c->server->closing) {
        conn_lose(c);
        return false;
    }
    int rc = head_scan(c);
    if (rc == 0) {
        int n = conn_read(c);
        if (n >= 0)
            return n > 0;
        if (!c->in_head || c->dead || c->gone) {
            conn_lose(c);
            return false;
        }
        rc = -400;
    }
    if (rc > 0)
        exchange_begin(c, (size_t)rc);
    else
        exchange_refuse(c, -rc);
    return true;
}

static void exchange_over(struct http_conn *c) {
    struct http_exchange *x = c->x;
    bool last = x->close;
    c->x = NULL;
    c->state = CONN_HEAD;
    c->in_since = c->server->loop->now;
    c->in_next = FIRST_IN;
    conn_touch(c);
    exchange_free(x, false);
    if (last)
        conn_linger(c);
}

static bool step(struct http_conn *c) {
    if (c->state == CONN_HEAD)
        return head_step(c);
    if (c->state == CONN_LINGER)
        return linger_step(c);
    bool more = exchange_step(c->x);
    if (c->dead || !exchange_is_out(c->x))
        return more;
    exchange_over(c);
    return true;
}

void conn_touch(struct http_conn *c) {
    list_remove(&c->link);
    list_insert_before(&c->server->conns, &c->link);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static instant due(const struct http_conn *c) {
    if (c->state == CONN_EXCHANGE)
        return exchange_due(c->x);
    if (c->state == CONN_LINGER)
        return instant_add(c->in_since, span_ms(HTTP_LINGER_MS));
    return instant_add(c->in_since, c->in_head ? span_s(HTTP_HEAD_S) : c->site->idle);
}

/* What we wait for follows from what we hold. */
static void settle(struct http_conn *c) {
    struct loop *l = c->server->loop;
    if (c->half_shut && c->tcp && c->x)
        exchange_probe(c->x);
    bool reads = c->state != CONN_EXCHANGE || exchange_reads(c->x);
    uint32_t want =
        (reads ? EPOLLIN : 0) | (c->blocked ? EPOLLOUT : 0) | (c->half_shut ? 0 : EPOLLRDHUP);
    bool changed = !c->source.loop || c->source.want != want;
    c->source.want = want;
    if ((c->gone && !reads) || (changed && loop_watch(l, &c->source) < 0)) {
        conn_lose(c);
        return;
    }
    instant at = due(c);
    if (!instant_is_never(at) && (!timer_armed(&c->timer) || instant_before(at, c->timer.at)))
        timer_arm(l, &c->timer, instant_since(at, l->now));
    if (c->in_len == 0)
        mem_release(&c->in);
    if (!c->in)
        c->in_cap = 0;
}

void conn_run(struct http_conn *c) {
    int steps = STEPS;
    list_remove(&c->dirty);
    c->running = true;
    while (!c->dead && steps > 0 && step(c))
        steps--;
    if (!c->dead)
        settle(c);
    c->running = false;
    if (c->dead)
        conn_free(c);
    else if (steps == 0)
        conn_kick(c);
}

/* The peer of a TCP connection has either ended its side only, and reads on, or is gone for good:
 * both look the same until we send something. See exchange_probe(); where there is nothing that
 * could be sent, the kernel's probes find out. They are acknowledged in the name of a socket that
 * is gone for another minute, and then no more (tcp(7), tcp_fin_timeout). */
static void half_shut(struct http_conn *c) {
    int s = HALF_SHUT_PROBES_S;
    c->half_shut = true;
    c->tcp = setsockopt(c->source.fd, IPPROTO_TCP, TCP_KEEPIDLE, &s, sizeof s) == 0;
    (void)setsockopt(c->source.fd, IPPROTO_TCP, TCP_KEEPINTVL, &s, sizeof s);
}

static void ready(struct source *s, uint32_t got) {
    struct http_conn *c = CONTAINER_OF(s, struct http_conn, source);
    if (got & (EPOLLHUP | EPOLLERR))
        c->gone = true;
    if ((got & EPOLLRDHUP) && !c->half_shut)
        half_shut(c);
    if (got & EPOLLOUT)
        c->blocked = false;
    conn_run(c);
}

static void expire(struct http_conn *c) {
    if (c->state == CONN_EXCHANGE)
        exchange_expire(c->x);
    else if (c->state == CONN_HEAD && c->in_head)
        exchange_refuse(c, 408);
    else
        conn_lose(c);
}

static void fire(struct timer *t) {
    struct http_conn *c = CONTAINER_OF(t, struct http_conn, timer);
    if (!instant_before(c->server->loop->now, due(c)))
        expire(c);
    conn_run(c);
}
