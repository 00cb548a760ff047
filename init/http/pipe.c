#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/str.h"
#include "http/conn.h"

/* Writing to a pipe whose reader has gone raises SIGPIPE, which the process has to ignore or block.
 */

struct http_pipe {
    struct http_exchange *x;
    void (*done)(struct http_exchange *x, int64_t moved);
    struct source source; /* watched while the pipe is what we wait for */
    int64_t moved, left;  /* left: to be moved; -1: to the end */
    size_t chunk;         /* of a chunk whose size was sent, still to be moved */
    bool copy;            /* splice(2) does not do these two */
};

enum {
    SPLICED = 256 << 10, /* bytes of one splice(2) */
    COPIED = 16 << 10,   /* of one read(2), where there is no splice(2) */
};

void pipe_stop(struct http_pipe **p) {
    if (*p)
        loop_unwatch(&(*p)->source);
    free(*p);
    *p = NULL;
}

static void finish(struct http_pipe **p, int64_t result) {
    struct http_exchange *x = (*p)->x;
    void (*done)(struct http_exchange *, int64_t) = (*p)->done;
    pipe_stop(p);
    done(x, result);
}

static void ready(struct source *s, uint32_t got) {
    struct http_pipe *p = CONTAINER_OF(s, struct http_pipe, source);
    struct http_exchange *x = p->x;
    (void)got;
    loop_unwatch(s);
    if (p == x->from_client)
        http_resume(x);
    conn_run(x->conn);
}

/* True: that could not be, and done() was told. */
static bool wait_for(struct http_pipe **p, uint32_t want) {
    struct http_pipe *it = *p;
    it->source.want = want;
    it->source.ready = ready;
    int rc = loop_watch(it->x->server->loop, &it->source);
    if (rc < 0)
        finish(p, rc);
    return rc < 0;
}

static struct http_pipe *start(struct http_exchange *x, int fd,
                               void (*done)(struct http_exchange *x, int64_t moved)) {
    struct http_pipe *p = x->conn->dead || x->ended ? NULL : calloc(1, sizeof *p);
    if (!p) {
        http_cut(x); /* done() has no other moment than one of the loop's */
        return NULL;
    }
    *p = (struct http_pipe){ .x = x, .done = done, .source.fd = fd, .left = -1 };
    conn_kick(x->conn);
    return p;
}

/* Of a splice(2) that would have had to wait: was it for the pipe? */
static bool is_ready(int fd, short what) {
    struct pollfd p = { .fd = fd, .events = what };
    return poll(&p, 1, 0) > 0;
}

static bool cannot_splice(int code) { return code == EINVAL || code == ENOSYS; }

static size_t at_most(const struct http_pipe *p, size_t n) {
    if (p->chunk > 0 && p->chunk < n)
        n = p->chunk;
    return p->left >= 0 && (uint64_t)p->left < n ? (size_t)p->left : n;
}

/* --- to the client ---------------------------------------------------------------------------- */

void http_send_pipe(struct http_exchange *x, int fd, int64_t length,
                    void (*done)(struct http_exchange *x, int64_t moved)) {
    struct http_pipe *p = x->to_client = start(x, fd, done);
    if (!p)
        return;
    p->left = length;
    if (x->left >= 0 && (length < 0 || length > x->left))
        p->left = x->left;
    if (x->no_body) { /* as if */
        p->moved = length < 0 ? 0 : length;
        p->left = 0;
    }
}

static void count(struct http_pipe *p, size_t n) {
    struct http_exchange *x = p->x;
    p->moved += (int64_t)n;
    if (p->left > 0)
        p->left -= (int64_t)n;
    if (x->left > 0)
        x->left -= (int64_t)n;
    if (p->chunk == 0)
        return;
    p->chunk -= n;
    struct iovec end = { (char *)"\r\n", 2 };
    if (p->chunk == 0)
        out_put(x->conn, &end, 1, true);
}

/* The end of the pipe; within a chunk it cannot be, unless somebody else reads it, too. */
static bool at_end(struct http_pipe *p) {
    if (p->chunk > 0)
        http_cut(p->x);
    else
        finish(&p->x->to_client, p->moved);
    return true;
}

static bool send_copy(struct http_exchange *x, struct http_pipe *p) {
    char buf[COPIED];
    ssize_t n = read(p->source.fd, buf, at_most(p, sizeof buf));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return wait_for(&x->to_client, EPOLLIN);
    if (n <= 0) {
        if (n < 0)
            finish(&x->to_client, -errno);
        return n < 0 || at_end(p);
    }
    char size[24];
    struct text t = TEXT(size);
    if (x->chunked && p->chunk == 0) {
        p->chunk = (size_t)n;
        text_add(&t, "%zx\r\n", p->chunk);
    }
    struct iovec v[] = { { size, t.len }, { buf, (size_t)n } };
    out_put(x->conn, v, 2, false);
    count(p, (size_t)n);
    return true;
}

static bool send_splice(struct http_exchange *x, struct http_pipe *p) {
    struct http_conn *c = x->conn;
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (p->chunk > 0 ? SPLICE_F_MORE : 0);
    ssize_t n = splice(p->source.fd, NULL, c->source.fd, NULL, at_most(p, SPLICED), flags);
    if (n > 0) {
        c->server->bytes_out += (uint64_t)n;
        c->out_since = c->server->loop->now;
        count(p, (size_t)n);
        return true;
    }
    if (n == 0)
        return at_end(p);
    if (cannot_splice(errno))
        return p->copy = true;
    if (errno != EAGAIN && errno != EINTR) {
        http_cut(x);
        return false;
    }
    c->blocked = is_ready(p->source.fd, POLLIN);
    c->out_since = c->server->loop->now;
    return !c->blocked && wait_for(&x->to_client, EPOLLIN);
}

/* Say how large the next chunk is: what the pipe holds, which nobody else takes out. False: it
 * holds nothing, and that may be its end. */
static bool next_chunk(struct http_exchange *x, struct http_pipe *p) {
    int holds = 0;
    if (ioctl(p->source.fd, FIONREAD, &holds) < 0 || holds <= 0)
        return false;
    char size[24];
    struct text t = TEXT(size);
    p->chunk = at_most(p, (size_t)holds);
    text_add(&t, "%zx\r\n", p->chunk);
    struct iovec v = { size, t.len };
    out_put(x->conn, &v, 1, true);
    return true;
}

bool pipe_in_chunk(const struct http_exchange *x) {
    return x->to_client && x->to_client->chunk > 0;
}

bool pipe_send(struct http_exchange *x) {
    struct http_pipe *p = x->to_client;
    struct http_conn *c = x->conn;
    if (c->blocked || p->source.loop)
        return false;
    if (p->left == 0) {
        finish(&x->to_client, p->moved);
        return true;
    }
    if (x->chunked && p->chunk == 0 && (p->copy || !next_chunk(x, p)))
        return send_copy(x, p);
    (void)out_flush(c, p->chunk > 0);
    if (c->dead || c->out_len > 0)
        return false;
    return p->copy ? send_copy(x, p) : send_splice(x, p);
}

/* --- from the client -------------------------------------------------------------------------- */

void http_take_pipe(struct http_exchange *x, int fd,
                    void (*done)(struct http_exchange *x, int64_t moved)) {
    x->from_client = start(x, fd, done);
    x->told_end = x->paused = false;
    exchange_want_body(x);
}

/* The rest of the body stays where it is, until an answer says what to do with it. */
static void take_failed(struct http_exchange *x, int code) {
    x->wants_body = false;
    finish(&x->from_client, -code);
}

void pipe_end_body(struct http_exchange *x) { finish(&x->from_client, x->from_client->moved); }

size_t pipe_write(struct http_exchange *x, const char *bytes, size_t n) {
    struct http_pipe *p = x->from_client;
    ssize_t w = write(p->source.fd, bytes, n);
    if (w < 0 && errno != EAGAIN && errno != EINTR) {
        take_failed(x, errno);
        return 0;
    }
    size_t took = w < 0 ? 0 : (size_t)w;
    p->moved += (int64_t)took;
    if (took < n)
        (void)wait_for(&x->from_client, EPOLLOUT);
    return took;
}

bool pipe_can_splice(const struct http_exchange *x) {
    const struct http_pipe *p = x->from_client;
    const struct http_conn *c = x->conn;
    return p && !p->copy && c->in_len == 0 && !c->eof && x->body.framing != HTTP_CHUNKED;
}

static bool splice_failed(struct http_exchange *x, int code) {
    struct http_pipe *p = x->from_client;
    if (cannot_splice(code))
        return p->copy = true;
    if (code == EPIPE) {
        take_failed(x, code);
        return true;
    }
    if (code != EAGAIN && code != EINTR) {
        conn_lose(x->conn);
        return false;
    }
    if (is_ready(p->source.fd, POLLOUT))
        return false; /* it waits for the socket */
    x->paused = true;
    return wait_for(&x->from_client, EPOLLOUT);
}

bool pipe_splice_body(struct http_exchange *x) {
    struct http_pipe *p = x->from_client;
    struct http_conn *c = x->conn;
    bool ends = x->body.framing == HTTP_LENGTH;
    size_t most = ends && x->body.left < SPLICED ? (size_t)x->body.left : SPLICED;
    ssize_t n =
        splice(c->source.fd, NULL, p->source.fd, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0)
        return splice_failed(x, errno);
    c->eof = n == 0;
    c->server->bytes_in += (uint64_t)n;
    c->in_since = c->server->loop->now;
    p->moved += n;
    if (ends)
        x->body.left -= (uint64_t)n;
    x->got_all = x->body.done = ends && x->body.left == 0;
    return true;
}
