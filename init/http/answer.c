#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "base/bug.h"
#include "base/grow.h"
#include "base/own.h"
#include "base/str.h"
#include "http/conn.h"
#include "http/range.h"
#include "http/status.h"

enum {
    HEAD_TEXT = 512,  /* bytes of a head without further fields */
    HELD_BACK = 2048, /* bytes that may wait for the end of the turn, for more to go with them */
    PIECES = 4,       /* of one out_put() */
};

/* --- the out buffer --------------------------------------------------------------------------- */

static bool out_grow(struct http_conn *c, size_t n) {
    if (c->out_at + c->out_len + n <= c->out_cap)
        return true;
    if (c->out_at > 0)
        memmove(c->out, c->out + c->out_at, c->out_len);
    c->out_at = 0;
    return mem_grow(&c->out, &c->out_cap, c->out_len + n, 1);
}

static void out_keep(struct http_conn *c, const void *bytes, size_t n) {
    if (c->dead)
        return;
    if (!out_grow(c, n)) {
        c->lost = true;
        conn_lose(c);
        return;
    }
    memcpy(c->out + c->out_at + c->out_len, bytes, n);
    c->out_len += n;
}

/* `n` bytes of the buffer were sent. */
static void out_sent(struct http_conn *c, size_t n) {
    c->out_at += n;
    c->out_len -= n;
    if (c->out_len > 0)
        return;
    mem_release(&c->out);
    c->out_at = c->out_cap = 0;
}

/* What is kept, and then the pieces, as far as the socket takes them. Returns how much of the
 * pieces was sent. */
static size_t out_write(struct http_conn *c, const struct iovec *pieces, int n, int flags) {
    struct iovec v[1 + PIECES] = { { c->out ? c->out + c->out_at : NULL, c->out_len } };
    size_t all = c->out_len;
    for (int i = 0; i < n; i++) {
        v[1 + i] = pieces[i];
        all += pieces[i].iov_len;
    }
    struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)n + 1 };
    ssize_t sent = sendmsg(c->source.fd, &m, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        c->lost = true;
        conn_lose(c);
        return 0;
    }
    size_t done = sent < 0 ? 0 : (size_t)sent, of_buffer = done < c->out_len ? done : c->out_len;
    c->server->bytes_out += done;
    c->out_since = c->server->loop->now;
    c->blocked = done < all;
    out_sent(c, of_buffer);
    return done - of_buffer;
}

void out_put(struct http_conn *c, const struct iovec *pieces, int n, bool may_wait) {
    size_t all = c->out_len, sent = 0;
    for (int i = 0; i < n; i++)
        all += pieces[i].iov_len;
    if (c->dead || all == 0)
        return;
    if (!c->blocked && !(may_wait && all <= HELD_BACK))
        sent = out_write(c, pieces, n, 0);
    for (int i = 0; i < n; i++) {
        size_t len = pieces[i].iov_len, skip = sent < len ? sent : len;
        sent -= skip;
        if (skip < len)
            out_keep(c, (const char *)pieces[i].iov_base + skip, len - skip);
    }
    bool awaited = c->blocked && (c->source.want & EPOLLOUT);
    if (c->out_len > 0 && !awaited)
        conn_kick(c);
}

bool out_flush(struct http_conn *c, bool more_follows) {
    size_t before = c->out_len;
    if (before == 0 || c->blocked)
        return false;
    (void)out_write(c, NULL, 0, more_follows ? MSG_MORE : 0);
    return c->out_len < before;
}

/* Three quarters: so that a frame of 64 KiB and its head have room after each room(). */
bool out_room_now(const struct http_conn *c) { return c->out_len <= MAX_HTTP_OUT / 4; }

size_t http_room(struct http_exchange *x) {
    const struct http_conn *c = x->conn;
    if (c->dead || x->ended)
        return 0;
    if (!out_room_now(c))
        x->short_room = true;
    return c->out_len < MAX_HTTP_OUT ? MAX_HTTP_OUT - c->out_len : 0;
}

/* --- heads ------------------------------------------------------------------------------------ */

static const char *date_now(struct http_server *s) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != s->date_at)
        (void)http_date(s->date, now.tv_sec < 0 ? 0 : now.tv_sec);
    s->date_at = now.tv_sec;
    return s->date;
}

/* Is there more of the request than is worth reading for the sake of the next one? Who waits to be
 * told to go on may send its body or not: then nobody knows where the next one begins. An answer
 * that says so is better than a connection that just ends, but both are right (RFC 9112 9.6). */
static bool has_much_left(const struct http_exchange *x) {
    if (x->got_all)
        return false;
    return x->body.framing != HTTP_LENGTH || x->body.left > MAX_HTTP_DRAIN ||
           (x->head.expects && !x->continued);
}

static bool may_begin(struct http_exchange *x) {
    if (x->conn->dead || x->ended)
        return false;
    if (!BUG_ON(x->begun))
        return true;
    http_cut(x);
    return false;
}

/* `early`: whatever is left of the request is not going to be taken. */
static void begin(struct http_exchange *x, int status, int64_t length, bool early) {
    bool bare = status < 200 || status == 204 || status == 304; /* RFC 9110 6.4.1 */
    x->begun = true;
    x->status = status;
    x->server->by_class[status >= 100 && status < 600 ? status / 100 : 0]++;
    x->no_body |= bare;
    x->left = bare ? 0 : length;
    x->chunked = x->left < 0 && x->head.minor > 0;
    if (!x->head.keep_alive || x->server->closing || (early && has_much_left(x)))
        x->close = true;
    if (x->left < 0 && !x->chunked)
        x->close = true;
}

static void put_head(struct http_exchange *x, const char *type, const struct iovec *body) {
    char buf[HEAD_TEXT];
    struct text t = TEXT(buf);
    text_add(&t, "HTTP/1.1 %d %s\r\nDate: %s\r\n", x->status, http_reason(x->status),
             date_now(x->server));
    if (type)
        text_add(&t, "Content-Type: %s\r\n", type);
    if (x->chunked)
        text_add(&t, "Transfer-Encoding: chunked\r\n");
    else if (x->left >= 0 && x->status >= 200 && x->status != 204 && x->status != 304)
        text_add(&t, "Content-Length: %lld\r\n", (long long)x->left);
    if (x->close)
        text_add(&t, "Connection: close\r\n");
    else if (x->head.minor == 0)
        text_add(&t, "Connection: keep-alive\r\n");
    if (BUG_ON(t.cut)) {
        http_cut(x);
        return;
    }
    struct iovec v[PIECES] = { { t.buf, t.len },
                               { x->fields, x->fields_len },
                               { (char *)"\r\n", 2 } };
    if (body && !x->no_body)
        v[3] = *body;
    out_put(x->conn, v, PIECES, !body);
}

__attribute__((format(printf, 3, 0))) static void
add_line(struct http_exchange *x, const char *name, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    size_t at = strlen(name) + 2, len = at + (size_t)n + 2;
    if (n < 0 || len > MAX_HTTP_ADDED - x->fields_len)
        return;
    char *more = realloc(x->fields, x->fields_len + len + 1);
    if (!more) {
        http_cut(x);
        return;
    }
    x->fields = more;
    char *line = more + x->fields_len;
    (void)snprintf(line, at + 1, "%s: ", name);
    (void)vsnprintf(line + at, (size_t)n + 1, fmt, ap);
    bool bad =
        memchr(line, '\r', len - 2) || memchr(line, '\n', len - 2) || memchr(line, 0, len - 2);
    if (bad)
        return;
    if (strcasecmp(name, "Connection") == 0 && strcasecmp(line + at, "close") == 0) {
        x->close = true; /* said by put_head() */
        return;
    }
    memcpy(line + len - 2, "\r\n", 2);
    x->fields_len += len;
}

void http_add_field(struct http_exchange *x, const char *name, const char *fmt, ...) {
    va_list ap;
    if (x->begun)
        return;
    va_start(ap, fmt);
    add_line(x, name, fmt, ap);
    va_end(ap);
}

/* --- answers ---------------------------------------------------------------------------------- */

void http_answer(struct http_exchange *x, int status, const char *type, const void *bytes,
                 size_t n) {
    struct iovec body = { (void *)(uintptr_t)bytes, n };
    if (!may_begin(x))
        return;
    begin(x, status, (int64_t)n, true);
    put_head(x, type, &body);
    x->left = 0;
    http_end(x);
}

void http_begin(struct http_exchange *x, int status, const char *type, int64_t length) {
    if (!may_begin(x))
        return;
    begin(x, status, length, false);
    put_head(x, type, NULL);
}

void http_upgrade(struct http_exchange *x, const char *protocol) {
    char buf[HEAD_TEXT];
    struct text t = TEXT(buf);
    if (!may_begin(x))
        return;
    if (BUG_ON(!x->got_all)) {
        http_cut(x);
        return;
    }
    begin(x, 101, 0, false);
    x->no_body = false;
    x->left = -1;
    x->raw = x->close = true;
    x->got_all = x->told_end = x->paused = false;
    x->body = (struct http_body){ .framing = HTTP_UNTIL_CLOSE };
    exchange_want_body(x);
    text_add(&t, "HTTP/1.1 101 %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", http_reason(101),
             protocol);
    struct iovec v[] = { { t.buf, t.len }, { x->fields, x->fields_len }, { (char *)"\r\n", 2 } };
    out_put(x->conn, v, 3, true);
}

void http_send2(struct http_exchange *x, const void *a, size_t na, const void *b, size_t nb) {
    size_t n = na + nb;
    if (x->conn->dead || x->ended || n == 0)
        return;
    bool nonsense = !x->begun || pipe_in_chunk(x) || x->conn->out_len + n > 2 * MAX_HTTP_OUT;
    bool long_one = x->left >= 0 && !x->no_body && n > (uint64_t)x->left;
    if (BUG_ON(nonsense) || long_one) {
        http_cut(x);
        return;
    }
    if (x->no_body)
        return;
    if (x->left >= 0)
        x->left -= (int64_t)n;
    char size[24];
    struct text t = TEXT(size);
    if (x->chunked)
        text_add(&t, "%zx\r\n", n);
    struct iovec v[PIECES] = { { size, t.len },
                               { (void *)(uintptr_t)a, na },
                               { (void *)(uintptr_t)b, nb },
                               { (char *)"\r\n", x->chunked ? 2 : 0 } };
    out_put(x->conn, v, PIECES, true);
}

void http_send(struct http_exchange *x, const void *bytes, size_t n) {
    http_send2(x, bytes, n, NULL, 0);
}

void http_end(struct http_exchange *x) {
    struct iovec last = { (char *)"0\r\n\r\n", 5 };
    if (x->conn->dead || x->ended)
        return;
    if (BUG_ON(!x->begun) || (x->left > 0 && !x->no_body) || x->to_client) {
        http_cut(x);
        return;
    }
    pipe_stop(&x->from_client);
    x->ended = true;
    x->close |= has_much_left(x);
    x->conn->in_since = x->server->loop->now;
    if (x->chunked && !x->no_body)
        out_put(x->conn, &last, 1, true);
    conn_kick(x->conn);
}

void http_cut(struct http_exchange *x) {
    x->conn->lost = true;
    conn_lose(x->conn);
}
