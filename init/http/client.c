#include "http/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"
#include "base/str.h"
#include "base/version.h"

enum {
    MAX_FIELDS_OUT = 4096, /* bytes of a request's fields; an error */
    CHUNK_HEAD = 10,       /* bytes of "12345678\r\n" */
    ANSWERED = 1,          /* an answer has begun before the body was out */
};

void http_client_init(struct http_client *c, int fd, instant deadline, span idle) {
    c->fd = fd;
    c->deadline = deadline;
    c->idle = idle;
    c->used = c->have = 0;
    c->got = 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int wait_fds(struct pollfd *p, nfds_t n, instant until) {
    int rc;
    do
        rc = poll(p, n, instant_timeout_ms(until, instant_now()));
    while (rc < 0 && errno == EINTR);
    return rc > 0 ? 0 : rc == 0 ? -ETIMEDOUT : -errno;
}

static instant patience(const struct http_client *c) {
    return instant_min(c->deadline, instant_add(instant_now(), c->idle));
}

int http_client_wait(const struct http_client *c, short events) {
    struct pollfd p = { .fd = c->fd, .events = events };
    return wait_fds(&p, 1, patience(c));
}

static int receive_failed(const struct http_client *c, int rc, struct err *e) {
    if (rc == -ETIMEDOUT)
        return err_set(e, ETIMEDOUT,
                       c->have ? "only a part of the answer came in time" : "no answer in time");
    return err_sys(e, -rc, "receive the answer");
}

/* recv(2) behind what is there, up to bytes[end]: the number, 0 at the end, or -errno. */
static ssize_t receive(struct http_client *c, size_t end) {
    for (;;) {
        ssize_t n = recv(c->fd, c->bytes + c->have, end - c->have, MSG_DONTWAIT);
        if (n >= 0) {
            c->have += (size_t)n;
            return n;
        }
        int rc = errno == EAGAIN ? http_client_wait(c, POLLIN) : errno == EINTR ? 0 : -errno;
        if (rc < 0)
            return rc;
    }
}

/* --- the answer's head ------------------------------------------------------------------------ */

/* Is there a whole head? 1: in c->head; 0: not yet. Interim answers are dropped. */
static int look_for_head(struct http_client *c, const struct http_request *r, struct err *e) {
    for (;;) {
        struct http_scan scan = { 0 };
        int len = http_scan(&scan, c->bytes, c->have);
        if (len == 0)
            return 0;
        bool to_head = strcmp(r->method, "HEAD") == 0;
        if (len < 0 || http_parse_answer(&c->head, c->bytes, (size_t)len, to_head) < 0)
            return err_set(e, EPROTO, "the answer is no HTTP that is understood here");
        if (c->head.status >= 200 || c->head.status == 101)
            return 1;
        c->have -= (size_t)len;
        memmove(c->bytes, c->bytes + len, c->have);
    }
}

static int take_head(struct http_client *c, const struct http_request *r, struct err *e) {
    int rc;
    while ((rc = look_for_head(c, r, e)) == 0) {
        ssize_t n = receive(c, sizeof c->bytes);
        if (n < 0)
            return receive_failed(c, (int)n, e);
        if (n == 0)
            return err_set(e, ECONNRESET, "the connection was closed %s",
                           c->have ? "within the head of an answer" : "without an answer");
    }
    if (rc < 0)
        return rc;
    c->used = c->head.len;
    http_body_begin(&c->body, &c->head);
    return 0;
}

/* --- the request ------------------------------------------------------------------------------ */

/* The peer speaks, or has gone, while we still send. ANSWERED, unless it was an interim answer. */
static int peer_speaks(struct http_client *c, const struct http_request *r, struct err *e) {
    ssize_t n = receive(c, MAX_HTTP_HEAD);
    if (n <= 0)
        return ANSWERED; /* take_head() finds out */
    int rc = look_for_head(c, r, e);
    return rc != 0 || c->have > 0 ? ANSWERED : 0;
}

/* 0, ANSWERED, or -errno. */
static int send_bytes(struct http_client *c, const struct http_request *r, const char *s, size_t n,
                      struct err *e) {
    while (n > 0) {
        struct pollfd p = { .fd = c->fd, .events = POLLOUT | POLLIN };
        int rc = wait_fds(&p, 1, patience(c));
        if (rc == 0 && (p.revents & POLLIN))
            rc = peer_speaks(c, r, e);
        if (rc == -ETIMEDOUT)
            return err_set(e, ETIMEDOUT, "the request was not taken in time");
        if (rc != 0)
            return rc;
        ssize_t sent = send(c->fd, s, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
            return ANSWERED; /* perhaps it said why */
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return err_sys(e, errno, "send the request");
        s += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static void add_framing(struct text *t, const struct http_request *r) {
    bool may_have = strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0;
    if (r->source && r->source->length < 0)
        text_add(t, "Transfer-Encoding: chunked\r\n");
    else if (r->source || r->body || may_have)
        text_add(t, "Content-Length: %llu\r\n",
                 r->source ? (unsigned long long)r->source->length
                           : (unsigned long long)(r->body ? r->length : 0));
}

static int send_head(struct http_client *c, const struct http_request *r, struct err *e) {
    char buf[MAX_HTTP_LINE + MAX_FIELDS_OUT];
    struct text t = TEXT(buf);
    text_add(&t,
             "%s %s HTTP/1.1\r\n"
             "Host: %s\r\n"
             "User-Agent: pinnace/" PINNACE_VERSION "\r\n",
             r->method, r->target, r->host ? r->host : "pinnace");
    if (r->upgrade)
        text_add(&t, "Connection: Upgrade\r\nUpgrade: %s\r\n", r->upgrade);
    else
        text_add(&t, "Connection: close\r\n");
    add_framing(&t, r);
    text_add(&t, "%s\r\n", r->fields ? r->fields : "");
    if (t.cut)
        return err_set(e, ENAMETOOLONG, "the request's line and fields have more than %zu bytes",
                       sizeof buf - 1);
    return send_bytes(c, r, buf, t.len, e);
}

/* Until the source has something, or the peer answers. People may think: `idle` does not count. */
static int wait_source(struct http_client *c, const struct http_request *r, struct err *e) {
    struct pollfd p[2] = { { .fd = r->source->fd, .events = POLLIN },
                           { .fd = c->fd, .events = POLLIN } };
    if (r->source->fd < 0)
        return 0;
    for (;;) {
        int rc = wait_fds(p, 2, c->deadline);
        if (rc == 0 && p[1].revents)
            rc = peer_speaks(c, r, e);
        if (rc < 0)
            return err_sys(e, -rc, "wait for what is to be sent");
        if (rc > 0 || p[0].revents)
            return rc;
    }
}

/* One piece: taken from the source right behind room for a chunk's head, and sent with it.
 * *left: of a known length, else -1. 1 to go on, 0 at the end. */
static int send_piece(struct http_client *c, const struct http_request *r, int64_t *left,
                      struct err *e) {
    char *buf = c->bytes + MAX_HTTP_HEAD, *data = buf + CHUNK_HEAD, size[CHUNK_HEAD + 1];
    size_t cap = HTTP_CLIENT_ROOM - CHUNK_HEAD - 2;
    if (*left == 0)
        return 0;
    if (*left > 0 && (uint64_t)*left < cap)
        cap = (size_t)*left;
    ssize_t n = r->source->take(r->source, data, cap, e);
    if (n < 0)
        return (int)n;
    if (n == 0 && *left > 0)
        return err_set(e, EIO, "%lld bytes fewer than were announced are there", (long long)*left);
    int rc;
    if (*left < 0) {
        int digits = snprintf(size, sizeof size, "%zx\r\n", (size_t)n);
        memcpy(data - digits, size, (size_t)digits);
        memcpy(data + n, "\r\n", 2); /* "0\r\n\r\n" at the end */
        rc = send_bytes(c, r, data - digits, (size_t)(n + digits + 2), e);
    } else {
        *left -= n;
        rc = send_bytes(c, r, data, (size_t)n, e);
    }
    return rc != 0 ? (rc < 0 ? rc : 0) : n > 0;
}

static int send_source(struct http_client *c, const struct http_request *r, struct err *e) {
    int64_t left = r->source->length;
    int rc;
    do {
        rc = wait_source(c, r, e);
        if (rc != 0)
            return rc;
        rc = send_piece(c, r, &left, e);
    } while (rc > 0);
    return rc;
}

int http_client_ask(struct http_client *c, const struct http_request *r, struct err *e) {
    int rc = send_head(c, r, e);
    if (rc == 0 && r->source)
        rc = send_source(c, r, e);
    else if (rc == 0 && r->body)
        rc = send_bytes(c, r, r->body, r->length, e);
    return rc < 0 ? rc : take_head(c, r, e);
}

/* --- the answer's body ------------------------------------------------------------------------ */

/* The next piece of what is in the buffer; 0: none. */
static ssize_t next_piece(struct http_client *c, const char **data, struct err *e) {
    while (c->used < c->have && !c->body.done) {
        struct slice piece = { NULL, 0 };
        int64_t n = http_body_next(&c->body, c->bytes + c->used, c->have - c->used, &piece);
        if (n < 0)
            return err_set(e, EPROTO, "the answer's body is broken after %llu bytes",
                           (unsigned long long)c->got);
        c->used += (size_t)n;
        c->got += piece.n;
        *data = piece.s;
        if (piece.n)
            return (ssize_t)piece.n;
        if (n == 0)
            break;
    }
    return 0;
}

ssize_t http_client_read(struct http_client *c, const char **data, struct err *e) {
    for (;;) {
        ssize_t n = next_piece(c, data, e);
        if (n != 0 || c->body.done)
            return n;
        memmove(c->bytes + c->head.len, c->bytes + c->used, c->have - c->used);
        c->have -= c->used - c->head.len;
        c->used = c->head.len;
        n = receive(c, sizeof c->bytes);
        if (n < 0)
            return receive_failed(c, (int)n, e);
        if (n == 0 && c->body.framing != HTTP_UNTIL_CLOSE)
            return err_set(e, EPROTO, "the answer was cut off after %llu bytes",
                           (unsigned long long)c->got);
        c->body.done = c->body.done || n == 0;
    }
}

ssize_t http_client_whole(struct http_client *c, size_t max, char **out, struct err *e) {
    AUTO_FREE char *all = NULL;
    size_t cap = 0, used = 0;
    const char *piece;
    ssize_t n;
    do {
        n = http_client_read(c, &piece, e);
        if (n < 0)
            return n;
        if (used + (size_t)n > max)
            return err_set(e, EFBIG, "the answer has more than %zu bytes", max);
        if (used + (size_t)n + 1 > cap) {
            cap = 2 * (used + (size_t)n) + 256;
            char *more = realloc(all, cap);
            if (!more)
                return err_set(e, ENOMEM, "out of memory");
            all = more;
        }
        memcpy(all + used, n ? piece : "", (size_t)n);
        used += (size_t)n;
    } while (n > 0);
    all[used] = '\0';
    *out = all;
    all = NULL;
    return (ssize_t)used;
}

struct slice http_client_rest(struct http_client *c) {
    struct slice rest = { c->bytes + c->used, c->have - c->used };
    c->used = c->have;
    return rest;
}
