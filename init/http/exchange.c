#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/bug.h"
#include "http/conn.h"

/* --- begin and end ---------------------------------------------------------------------------- */

static const char *why(int status) {
    switch (status) {
    case 408:
        return "the request did not arrive in time";
    case 413:
        return "the body of the request is too large, or this route takes none";
    case 414:
        return "the request line is too long";
    case 431:
        return "the head of the request is too large or has too many fields";
    case 501:
        return "a transfer coding or method that is not known here";
    case 503:
        return "too many connections, or no memory";
    case 505:
        return "only HTTP/1.0 and HTTP/1.1 are understood";
    default:
        return "the request is no valid HTTP/1.1";
    }
}

static struct http_exchange *exchange_new(struct http_conn *c, size_t head_len) {
    static const char no_memory[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                                    "Connection: close\r\n\r\n";
    struct http_exchange *x = calloc(1, sizeof *x + head_len);
    c->in_head = false;
    c->scan = (struct http_scan){ 0 };
    c->in_since = c->out_since = c->server->loop->now;
    conn_touch(c);
    if (!x) {
        (void)send(c->source.fd, no_memory, sizeof no_memory - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        conn_linger(c);
        return NULL;
    }
    x->conn = c;
    x->server = c->server;
    x->site = c->site;
    x->left = -1;
    x->head.minor = 1;
    c->x = x;
    c->state = CONN_EXCHANGE;
    return x;
}

/* There is no body, or nobody is told of it. */
static void ignore_body(struct http_exchange *x) { x->got_all = x->told_end = true; }

void exchange_refuse(struct http_conn *c, int status) {
    struct http_exchange *x = exchange_new(c, 0);
    if (!x)
        return;
    x->close = true;
    ignore_body(x);
    x->site->refuse(x, status, why(status));
}

void exchange_begin(struct http_conn *c, size_t head_len) {
    struct http_exchange *x = exchange_new(c, head_len);
    if (!x)
        return;
    char *head = memcpy(x + 1, c->in + c->in_at, head_len);
    c->in_at += (uint32_t)head_len;
    c->in_len -= (uint32_t)head_len;
    c->server->requests++;
    int rc = http_parse_request(&x->head, head, head_len);
    if (rc < 0) {
        x->head = (struct http_head){ .minor = 1 };
        x->close = true;
        ignore_body(x);
        x->site->refuse(x, -rc, why(-rc));
        return;
    }
    http_body_begin(&x->body, &x->head);
    x->got_all = x->body.done;
    x->no_body = http_is(x->head.method, "HEAD");
    if (x->site->admit(x) && !x->begun)
        route(x);
}

void exchange_refuse_body(struct http_exchange *x, int status) {
    if (!x->begun)
        x->site->refuse(x, status, why(status));
}

void exchange_fail(struct http_exchange *x, int status) {
    if (x->begun) {
        x->conn->lost = true;
        conn_lose(x->conn);
        return;
    }
    x->close = true;
    x->wants_body = false;
    pipe_stop(&x->from_client);
    x->site->refuse(x, status, why(status));
}

void exchange_free(struct http_exchange *x, bool cut) {
    const struct http_handler *h = x->handler;
    pipe_stop(&x->to_client);
    pipe_stop(&x->from_client);
    if (h && h->over)
        h->over(x, cut);
    free(x->fields);
    free(x->json);
    free(x);
}

/* --- the body --------------------------------------------------------------------------------- */

void exchange_want_body(struct http_exchange *x) {
    x->wants_body = true;
    x->conn->in_since = x->server->loop->now;
}

bool exchange_reads(const struct http_exchange *x) {
    if (x->got_all)
        return false;
    if (x->ended) /* what is left is small: see must_close() in answer.c */
        return !x->close;
    return x->wants_body && !x->paused;
}

static void put_continue(struct http_conn *c) {
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct iovec v = { (void *)(uintptr_t)text, sizeof text - 1 };
    out_put(c, &v, 1, false);
}

/* RFC 9110 10.1.1: not when some of the body is there already. */
static void invite(struct http_exchange *x) {
    bool waits = x->head.expects && !x->begun && x->conn->in_len == 0;
    if (!x->continued && waits)
        put_continue(x->conn);
    x->continued = true;
}

static size_t deliver(struct http_exchange *x, const char *bytes, size_t n) {
    if (x->ended)
        return n;
    if (x->route && x->route->body == HTTP_BODY_JSON && !x->raw)
        return collect(x, bytes, n);
    if (x->from_client)
        return pipe_write(x, bytes, n);
    return x->handler && x->handler->body ? x->handler->body(x, bytes, n) : n;
}

/* Paused while it is being delivered, so that a http_resume() from within is not lost. */
static size_t offer(struct http_exchange *x, struct slice data) {
    if (data.n == 0)
        return 0;
    x->paused = true;
    size_t took = deliver(x, data.s, data.n);
    if (BUG_ON(took > data.n))
        took = data.n;
    if (took == data.n)
        x->paused = false;
    return took;
}

/* The next piece of what is in the buffer. What was not taken is taken apart again later. */
static bool take_piece(struct http_exchange *x) {
    struct http_conn *c = x->conn;
    const char *in = c->in + c->in_at;
    struct http_body before = x->body;
    struct slice data, part;
    int64_t used = http_body_next(&x->body, in, c->in_len, &data);
    if (used < 0) {
        x->close = true;
        ignore_body(x);
        if (!x->ended)
            exchange_fail(x, 400);
        return true;
    }
    size_t took = offer(x, data);
    if (took < data.n) {
        x->body = before;
        used = http_body_next(&x->body, in, (size_t)(data.s - in) + took, &part);
    }
    c->in_at += (uint32_t)used;
    c->in_len -= (uint32_t)used;
    x->got_all = x->body.done;
    return used > 0;
}

/* The peer has ended its side: that is how an upgraded connection does end, but no request. */
static bool cut_short(struct http_exchange *x) {
    ignore_body(x);
    x->told_end = !x->raw;
    if (x->ended)
        x->close = true;
    else if (!x->raw)
        exchange_fail(x, 400);
    return true;
}

static bool tell_end(struct http_exchange *x) {
    const struct http_handler *h = x->handler;
    if (x->told_end || x->ended || !x->wants_body)
        return false;
    x->told_end = true;
    if (x->route && x->route->body == HTTP_BODY_JSON && !x->raw)
        collect_end(x);
    else if (x->from_client)
        pipe_end_body(x);
    else if (h && h->body_end)
        h->body_end(x);
    return true;
}

static bool take_body(struct http_exchange *x) {
    struct http_conn *c = x->conn;
    if (x->got_all)
        return tell_end(x);
    if (!exchange_reads(x))
        return false;
    invite(x);
    if (c->in_len > 0 && (take_piece(x) || !exchange_reads(x)))
        return true;
    if (pipe_can_splice(x))
        return pipe_splice_body(x);
    int n = conn_read(c);
    if (n < 0 && !c->dead)
        return cut_short(x);
    if (n > 0)
        c->in_since = c->server->loop->now;
    return n > 0;
}

void http_resume(struct http_exchange *x) {
    x->paused = false;
    x->conn->in_since = x->server->loop->now;
    conn_kick(x->conn);
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool give_room(struct http_exchange *x) {
    const struct http_handler *h = x->handler;
    if (!x->short_room || !x->begun || x->ended || !out_room_now(x->conn))
        return false;
    x->short_room = false;
    if (!h || !h->room)
        return false;
    h->room(x);
    return true;
}

bool exchange_step(struct http_exchange *x) {
    struct http_conn *c = x->conn;
    bool more = take_body(x);
    if (!c->dead)
        more |= x->to_client ? pipe_send(x) : give_room(x);
    if (!c->dead)
        more |= out_flush(c, false);
    return more;
}

bool exchange_is_out(const struct http_exchange *x) {
    return x->ended && x->conn->out_len == 0 && (x->close || x->got_all);
}

/* A 100 more is ignored by any client (RFC 9110 15.2.1), and a zero more in front of a chunk's
 * size, the last one's included, is part of it (RFC 9112 7.1). */
void exchange_probe(struct http_exchange *x) {
    struct iovec v = { (char *)"0", 1 };
    if (x->probed || x->ended || !x->got_all)
        return;
    x->probed = true;
    if (x->begun && x->chunked && !x->no_body && !pipe_in_chunk(x))
        out_put(x->conn, &v, 1, false);
    else if (!x->begun && x->head.method.s && x->head.minor > 0)
        put_continue(x->conn);
}

/* --- deadlines -------------------------------------------------------------------------------- */

/* Of an answer that is there as a whole, or promised to be: who follows something may take its
 * time. */
static instant send_due(const struct http_exchange *x) {
    bool waits = x->conn->blocked && (x->ended || x->left >= 0);
    return waits ? instant_add(x->conn->out_since, span_s(HTTP_SEND_S)) : INSTANT_NEVER;
}

static instant body_due(const struct http_exchange *x) {
    if (x->raw || (x->patient && !x->ended) || !exchange_reads(x))
        return INSTANT_NEVER;
    return instant_add(x->conn->in_since, x->ended ? span_ms(HTTP_LINGER_MS) : span_s(HTTP_BODY_S));
}

instant exchange_due(const struct http_exchange *x) {
    return instant_min(send_due(x), body_due(x));
}

void exchange_expire(struct http_exchange *x) {
    if (!instant_before(x->server->loop->now, send_due(x)))
        conn_lose(x->conn);
    else if (x->ended)
        x->close = true;
    else
        exchange_fail(x, 408);
}
