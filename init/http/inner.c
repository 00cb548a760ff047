#include "http/inner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"

/* What we wait for follows from what we hold. */
static void settle(struct http_inner *c) {
    uint32_t want = (c->out_len > 0 ? EPOLLOUT : 0) | (c->resting || c->eof ? 0 : EPOLLIN);
    if (!want) {
        loop_unwatch(&c->source);
        return;
    }
    bool same = c->source.loop && c->source.want == want;
    c->source.want = want;
    if (!same && loop_watch(c->loop, &c->source) < 0)
        c->eof = true; /* told at the next look, which a timer of the owner's or its end brings */
}

/* What is left of the request goes nowhere once the server has hung up. */
static void send_request(struct http_inner *c) {
    while (c->out_len > 0) {
        ssize_t n = send(c->source.fd, c->out + c->out_at, c->out_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        c->out_at += n < 0 ? 0 : (size_t)n;
        c->out_len = n < 0 ? 0 : c->out_len - (size_t)n;
    }
    mem_release(&c->out);
}

static void ready(struct source *s, uint32_t got) {
    struct http_inner *c = CONTAINER_OF(s, struct http_inner, source);
    if (got & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        send_request(c);
    settle(c);
    if (!c->resting && (got & ~(uint32_t)EPOLLOUT))
        c->ready(c);
}

int http_inner_begin(struct http_inner *c, struct http_server *s, const struct http_site *site,
                     char *request, size_t n) {
    int ends[2];
    c->loop = s->loop;
    c->out = request;
    c->out_len = n;
    c->source = (struct source){ .fd = -1, .ready = ready };
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0) {
        int rc = -errno;
        http_inner_stop(c);
        return rc;
    }
    c->source.fd = ends[0];
    int rc = http_serve(s, site, ends[1]);
    if (rc < 0) {
        fd_close(&ends[1]);
        http_inner_stop(c);
        return rc;
    }
    send_request(c);
    settle(c);
    return 0;
}

/* --- the answer ------------------------------------------------------------------------------- */

/* False: nothing there now. */
static bool fill(struct http_inner *c) {
    if (c->in_at > 0)
        memmove(c->in, c->in + c->in_at, c->in_len);
    c->in_at = 0;
    size_t room = sizeof c->in - c->in_len;
    if (c->eof || room == 0)
        return false;
    ssize_t n = recv(c->source.fd, c->in + c->in_len, room, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    c->eof = n <= 0;
    c->in_len += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static void used(struct http_inner *c, size_t n) {
    c->in_at += n;
    c->in_len -= n;
}

/* Nothing more comes. */
static enum http_inner_next over(struct http_inner *c, enum http_inner_next how) {
    loop_unwatch(&c->source);
    return how;
}

static enum http_inner_next none(struct http_inner *c) {
    if (c->eof || (!c->has_head && c->in_len == sizeof c->in))
        return over(c, HTTP_INNER_CUT);
    c->resting = false;
    settle(c);
    return c->eof ? over(c, HTTP_INNER_CUT) : HTTP_INNER_WAIT;
}

/* An interim answer is not what was asked for. */
static enum http_inner_next next_head(struct http_inner *c) {
    for (;;) {
        struct http_scan scan = { 0 };
        int len = http_scan(&scan, c->in + c->in_at, c->in_len);
        if (len == 0 && fill(c))
            continue;
        if (len == 0)
            return none(c);
        if (len < 0 || http_parse_answer(&c->head, c->in + c->in_at, (size_t)len, false) < 0)
            return over(c, HTTP_INNER_CUT);
        used(c, (size_t)len);
        if (c->head.status < 200)
            continue;
        c->has_head = true;
        http_body_begin(&c->body, &c->head);
        return HTTP_INNER_HEAD;
    }
}

enum http_inner_next http_inner_next(struct http_inner *c, size_t max, struct slice *data) {
    *data = (struct slice){ 0 };
    if (!c->has_head)
        return next_head(c);
    while (!c->body.done) {
        size_t n = c->in_len < max ? c->in_len : max;
        int64_t k = http_body_next(&c->body, c->in + c->in_at, n, data);
        if (k < 0)
            return over(c, HTTP_INNER_CUT);
        used(c, (size_t)k);
        if (data->n > 0)
            return HTTP_INNER_DATA;
        if (k == 0 && !c->body.done && !fill(c))
            return none(c);
    }
    return over(c, HTTP_INNER_END);
}

void http_inner_rest(struct http_inner *c) {
    c->resting = true;
    settle(c);
}

void http_inner_stop(struct http_inner *c) {
    loop_unwatch(&c->source);
    if (c->loop)
        fd_close(&c->source.fd);
    mem_release(&c->out);
    c->out_len = 0;
}
