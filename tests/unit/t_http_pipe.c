#include "tests/unit/t_http_server.h"

enum { LOT = 64 << 20, SOME = 8 << 20, CHUNK = 100000 };

/* --- bytes that are what they are by their offset --------------------------------------------- */

static char byte_at(uint64_t i) { return (char)(i * 2654435761U >> 24); }

static void fill(char *buf, size_t n, uint64_t at) {
    for (size_t i = 0; i < n; i++)
        buf[i] = byte_at(at + i);
}

static bool is_filled(const char *buf, size_t n, uint64_t at) {
    for (size_t i = 0; i < n; i++)
        if (buf[i] != byte_at(at + i))
            return false;
    return true;
}

/* --- a site ----------------------------------------------------------------------------------- */

static struct {
    int pipe[2];           /* [0] to read, [1] to write */
    int servers;           /* which of them is the server's until over(); the other is the test's */
    int64_t moved, length; /* length: of the answer; as many bytes are moved, or all */
    bool all;
    int done, over, cut, chained;
    bool chunked, again;
    struct http_exchange *x;
} seen;

static void over(struct http_exchange *x, bool cut) {
    (void)x;
    seen.over++;
    seen.cut += cut;
}
static const struct http_handler handler = { .over = over };

static void sent(struct http_exchange *x, int64_t moved) {
    seen.done++;
    seen.moved += moved;
    if (seen.again) { /* from within done() */
        seen.again = false;
        http_send(x, "between", 7);
        http_send_pipe(x, seen.pipe[0], -1, sent);
        return;
    }
    http_end(x);
}

static void get(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    seen.servers = 0;
    x->handler = &handler;
    http_begin(x, 200, NULL, seen.chunked ? -1 : seen.length);
    http_send_pipe(x, seen.pipe[0], seen.all ? -1 : seen.length, sent);
}

static void taken(struct http_exchange *x, int64_t moved) {
    char text[32];
    seen.done++;
    seen.moved = moved;
    (void)snprintf(text, sizeof text, "%lld moved\n", (long long)moved);
    http_answer(x, moved < 0 ? 500 : 200, NULL, text, strlen(text));
}

static void put(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    seen.servers = 1;
    x->handler = &handler;
    http_take_pipe(x, seen.pipe[1], taken);
}

static void raw_taken(struct http_exchange *x, int64_t moved) {
    seen.done++;
    seen.moved = moved;
    http_end(x);
}

static void tunnel(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    seen.x = x;
    seen.servers = 1;
    x->handler = &handler;
    http_upgrade(x, "pipe");
    http_take_pipe(x, seen.pipe[1], raw_taken);
}

static bool admit(struct http_exchange *x) { return x != NULL; }
static void refuse(struct http_exchange *x, int status, const char *message) {
    http_answer(x, status, NULL, message, strlen(message));
}

static const struct http_route routes[] = {
    { "GET", "/pipe", HTTP_BODY_NONE, get },
    { "PUT", "/pipe", HTTP_BODY_STREAM, put },
    { "GET", "/tunnel", HTTP_BODY_NONE, tunnel },
};
static const struct http_site site = {
    .routes = routes, .nroutes = 3, .admit = admit, .refuse = refuse, .idle = { INT64_MAX }
};

static void begin(int64_t length, bool chunked) {
    (void)!pipe2(seen.pipe, O_CLOEXEC | O_NONBLOCK);
    seen.moved = seen.done = seen.over = seen.cut = 0;
    seen.length = length;
    seen.chunked = chunked;
}

static void end(struct client *c) {
    hang_up(c);
    fd_close(&seen.pipe[!seen.servers]);
    UNTIL(server.n == 0);
    fd_close(&seen.pipe[seen.servers]);
    OK(server.n == 0 && seen.over == 1 && seen.done <= 1, "it is over, once");
}

/* --- out -------------------------------------------------------------------------------------- */

/* What a client makes of a body that comes in pieces. */
struct reader {
    uint64_t at, left_of_chunk;
    bool in_body, chunked, bad, end;
};

/* Chunks of the bytes expected; what is not complete yet stays. */
static void take_chunks(struct reader *r, struct client *c) {
    size_t at = 0;
    while (at < c->n && !r->bad && !r->end) {
        if (r->left_of_chunk == 0) {
            char *rest, *lf = memchr(c->got + at, '\n', c->n - at);
            if (!lf || (lf == c->got + at + 1 && c->got[at] == '\r' && at + 2 == c->n))
                break;
            if (lf == c->got + at + 1) /* of the chunk before */
                at += 2;
            lf = memchr(c->got + at, '\n', c->n - at);
            if (!lf)
                break;
            r->left_of_chunk = strtoull(c->got + at, &rest, 16);
            r->bad = rest == c->got + at || *rest != '\r';
            r->end = r->left_of_chunk == 0;
            at = (size_t)(lf + 1 - c->got);
        }
        size_t n = c->n - at < r->left_of_chunk ? c->n - at : r->left_of_chunk;
        r->bad |= !is_filled(c->got + at, n, r->at);
        r->at += n, r->left_of_chunk -= n, at += n;
    }
    memmove(c->got, c->got + at, c->n - at);
    c->n -= at;
}

static void take(struct reader *r, struct client *c) {
    char *body = r->in_body || !c->got ? NULL : strstr(c->got, "\r\n\r\n");
    if (body) {
        r->in_body = true;
        c->n -= (size_t)(body + 4 - c->got);
        memmove(c->got, body + 4, c->n);
    }
    if (!r->in_body || c->n == 0)
        return;
    if (r->chunked) {
        take_chunks(r, c);
        return;
    }
    r->bad |= !is_filled(c->got, c->n, r->at);
    r->at += c->n;
    c->n = 0;
}

/* Write what the pipe takes, `total` in all; then close it. */
static void feed(uint64_t *fed, uint64_t total) {
    char buf[CHUNK];
    while (*fed < total && seen.pipe[1] >= 0) {
        size_t n = total - *fed < sizeof buf ? (size_t)(total - *fed) : sizeof buf;
        fill(buf, n, *fed);
        ssize_t w = write(seen.pipe[1], buf, n);
        if (w <= 0)
            return;
        *fed += (uint64_t)w;
    }
    fd_close(&seen.pipe[1]);
}

/* `how`: "length", "chunked", "close" (HTTP/1.0). */
static void sends(bool tcp, const char *how, bool known, int total) {
    bool old = strcmp(how, "close") == 0, chunked = strcmp(how, "length") != 0;
    struct client c = dial(tcp);
    struct reader r = { .chunked = chunked && !old };
    uint64_t fed = 0;
    size_t before = heap_used(), most = 0;
    begin(known ? total : -1, chunked);
    (void)say(&c, old ? "GET /pipe HTTP/1.0\r\n\r\n" : "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int idle = 0; idle < 2000 && !r.bad && r.at < (uint64_t)total; idle++) {
        uint64_t at = r.at;
        feed(&fed, (uint64_t)total);
        (void)(idle ? (void)loop_turn(&loop) : quick_turn());
        hear_some(&c, 1 << 20);
        take(&r, &c);
        idle = r.at > at ? -1 : idle;
        size_t used = heap_used() - c.cap;
        most = used > most ? used : most;
    }
    settle();
    hear(&c);
    take(&r, &c);
    OK(r.at == (uint64_t)total && !r.bad && seen.moved == total,
       "%d bytes out of a pipe, %s%s: %llu", total, how, known ? ", so many" : ", to its end",
       (unsigned long long)r.at);
    OK(most < before + 100000, "in %zd bytes of memory", (ssize_t)(most - before));
    OK(r.chunked ? r.end : c.eof == old, "and its end is told");
    end(&c);
}

static void sends_at_edges(void) {
    struct client c = dial(true);
    begin(10, false);
    (void)!write(seen.pipe[1], "0123456789rest", 14);
    ask(&c, "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    char left[8];
    OK(ends(&c, "\r\n\r\n0123456789") && !c.eof && read(seen.pipe[0], left, 8) == 4,
       "no more than its length is taken");
    end(&c);
    c = dial(true);
    begin(10, false);
    seen.all = true;
    (void)!write(seen.pipe[1], "0123456789rest", 14);
    ask(&c, "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(ends(&c, "\r\n\r\n0123456789") && !c.eof && seen.moved == 10, "nor than was announced");
    seen.all = false;
    end(&c);
    settle();
}

static void sends_less(void) {
    struct client c = dial(true);
    begin(10, false);
    (void)!write(seen.pipe[1], "01234", 5);
    fd_close(&seen.pipe[1]);
    ask(&c, "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(seen.moved == 5 && seen.cut == 1 && c.eof, "a pipe that ends too early: cut");
    end(&c);
    c = dial(true);
    begin(10, false);
    ask(&c, "HEAD /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(seen.moved == 10 && has(&c, "Content-Length: 10\r\n") && ends(&c, "\r\n\r\n") && !c.eof,
       "HEAD: as if");
    end(&c);
    c = dial(false);
    begin(-1, true);
    ask(&c, "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    long turns = turn.n;
    settle();
    OK(ends(&c, "\r\n\r\n") && turn.n - turns < 8, "an empty pipe is waited for, without spinning");
    (void)!write(seen.pipe[1], "abc", 3);
    UNTIL(heard(&c, "3\r\nabc\r\n"));
    OK(ends(&c, "\r\n\r\n3\r\nabc\r\n"), "what comes is sent at once");
    hang_up(&c);
    UNTIL(seen.over == 1);
    OK(seen.cut == 1 && seen.done == 0, "the client goes while the pipe is waited for");
    end(&c);
    c = dial(true);
    begin(3, true);
    seen.again = true;
    (void)!write(seen.pipe[1], "abcdef", 6);
    fd_close(&seen.pipe[1]);
    ask(&c, "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(ends(&c, "3\r\nabc\r\n7\r\nbetween\r\n3\r\ndef\r\n0\r\n\r\n") && seen.done == 2,
       "one after another, from within done()");
    seen.done = 1;
    end(&c);
}

/* What splice(2) does not do, such as from a file, is copied. */
static void copies(void) {
    struct client c;
    char name[] = "/tmp/t_http_pipe.XXXXXX", buf[CHUNK];
    for (int chunked = 0; chunked < 2; chunked++) {
        c = dial(true);
        begin(CHUNK, chunked);
        fd_close(&seen.pipe[0]);
        seen.pipe[0] = mkstemp(name);
        (void)unlink(name);
        (void)memcpy(name, "/tmp/t_http_pipe.XXXXXX", sizeof name);
        fill(buf, sizeof buf, 0);
        (void)!write(seen.pipe[0], buf, sizeof buf);
        (void)lseek(seen.pipe[0], 0, SEEK_SET);
        struct reader r = { .chunked = chunked };
        ask(&c, "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
        take(&r, &c);
        OK(r.at == CHUNK && !r.bad && seen.moved == CHUNK && r.end == r.chunked,
           "a file instead of a pipe: %llu bytes", (unsigned long long)r.at);
        end(&c);
    }
    begin(-1, true);
    int p[2];
    (void)!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p);
    fd_close(&seen.pipe[0]);
    fd_close(&seen.pipe[1]);
    seen.pipe[0] = p[0], seen.pipe[1] = p[1];
    c = dial(false);
    ask(&c, "GET /pipe HTTP/1.1\r\nHost: x\r\n\r\n");
    (void)!write(p[1], "abc", 3);
    UNTIL(heard(&c, "abc"));
    fd_close(&seen.pipe[1]);
    UNTIL(heard(&c, "0\r\n\r\n"));
    OK(ends(&c, "3\r\nabc\r\n0\r\n\r\n"), "a socket instead of a pipe");
    end(&c);
}

/* --- in --------------------------------------------------------------------------------------- */

static void drain(uint64_t *got, bool *bad) {
    char buf[CHUNK];
    ssize_t n;
    while ((n = read(seen.pipe[0], buf, sizeof buf)) > 0) {
        *bad |= !is_filled(buf, (size_t)n, *got);
        *got += (uint64_t)n;
    }
}

/* Send what the socket takes of `total` bytes; in chunks where they are wanted so. */
struct writer {
    uint64_t at, total;
    bool chunked;
    size_t n, sent;
    char buf[CHUNK + 32];
};

static void next_piece(struct writer *w) {
    size_t n = w->total - w->at < CHUNK ? (size_t)(w->total - w->at) : CHUNK;
    int head = w->chunked ? snprintf(w->buf, 32, "%zx\r\n", n) : 0;
    fill(w->buf + head, n, w->at);
    w->n = (size_t)head + n;
    w->at += n;
    w->sent = 0;
    if (w->chunked)
        w->n += (size_t)snprintf(w->buf + w->n, 32, "\r\n%s", w->at == w->total ? "0\r\n\r\n" : "");
}

static bool push(struct writer *w, int fd) {
    for (;;) {
        if (w->sent == w->n && w->at == w->total)
            return true;
        if (w->sent == w->n)
            next_piece(w);
        ssize_t n = send(fd, w->buf + w->sent, w->n - w->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        w->sent += (size_t)n;
    }
}

static void takes(bool tcp, bool chunked, int total) {
    struct client c = dial(tcp);
    AUTO_FREE struct writer *w = calloc(1, sizeof *w);
    uint64_t got = 0;
    bool bad = false;
    char head[100];
    *w = (struct writer){ .total = (uint64_t)total, .chunked = chunked };
    size_t before = heap_used(), most = 0;
    begin(-1, false);
    (void)snprintf(head, sizeof head, "PUT /pipe HTTP/1.1\r\nHost: x\r\n%s%d\r\n\r\n",
                   chunked ? "Transfer-Encoding: chunked\r\nA: " : "Content-Length: ", total);
    (void)say(&c, head);
    for (int idle = 0; idle < 2000 && seen.done == 0; idle++) {
        uint64_t at = got;
        (void)push(w, c.fd);
        (void)(idle ? (void)loop_turn(&loop) : quick_turn());
        drain(&got, &bad);
        idle = got > at ? -1 : idle;
        most = heap_used() > most ? heap_used() : most;
    }
    drain(&got, &bad);
    UNTIL(heard(&c, "moved"));
    OK(got == (uint64_t)total && !bad && seen.moved == total && has(&c, "200 OK"),
       "%d bytes into a pipe%s: %llu", total, chunked ? ", in chunks" : "",
       (unsigned long long)got);
    OK(most < before + 200000, "in %zd bytes of memory", (ssize_t)(most - before));
    ask(&c, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(has(&c, "404 "), "and the connection goes on");
    end(&c);
}

static void takes_at_edges(void) {
    char buf[16];
    struct client c = dial(true);
    begin(-1, false);
    ask(&c, "PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /x HTTP/1.1\r\n");
    OK(ends(&c, "3 moved\n") && read(seen.pipe[0], buf, 16) == 3, "no more than the body");
    end(&c);
    c = dial(true);
    begin(-1, false);
    ask(&c, "PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    OK(ends(&c, "0 moved\n"), "an empty one");
    end(&c);
    for (int buffered = 0; buffered < 2; buffered++) {
        c = dial(true);
        begin(-1, false);
        fd_close(&seen.pipe[0]);
        ask(&c, buffered ? "PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                         : "PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n");
        if (!buffered)
            (void)say(&c, "abc");
        UNTIL(heard(&c, "moved"));
        OK(has(&c, "500 ") && ends(&c, "-32 moved\n"), "nobody reads the pipe: -EPIPE");
        end(&c);
    }
    c = dial(false);
    begin(-1, false);
    (void)say(&c, "PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
    (void)shutdown(c.fd, SHUT_WR);
    UNTIL(heard_end(&c));
    OK(has(&c, "400 ") && seen.done == 0, "a body that is cut short is not told to be whole");
    end(&c);
    c = dial(true);
    begin(-1, false);
    ask(&c, "PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    OK(has(&c, "100 Continue"), "who waits is told to go on");
    ask(&c, "abc");
    OK(ends(&c, "3 moved\n"), "and then answered");
    end(&c);
}

static void a_full_pipe_waits(void) {
    AUTO_FREE struct writer *w = calloc(1, sizeof *w);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct client c = dial(true);
        uint64_t got = 0;
        bool bad = false;
        *w = (struct writer){ .total = LOT, .chunked = chunked };
        begin(-1, false);
        (void)say(&c, chunked
                          ? "PUT /pipe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                          : "PUT /pipe HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n");
        for (int i = 0; i < 50; i++) {
            (void)push(w, c.fd);
            quick_turn();
        }
        settle();
        long turns = turn.n;
        settle();
        OK(w->at < LOT && turn.n - turns < 8, "nobody empties the pipe: nothing moves or spins");
        pass(HTTP_BODY_S * 2000);
        OK(server.n == 1, "and it is not the client that stalls");
        drain(&got, &bad);
        settle();
        uint64_t first = got;
        drain(&got, &bad);
        OK(got > first && !bad, "emptied, it fills again");
        end(&c);
    }
}

static void tunnels(void) {
    char buf[64];
    struct client c = dial(true);
    begin(-1, false);
    ask(&c, "GET /tunnel HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: pipe\r\n\r\nearly");
    OK(has(&c, "101 ") && read(seen.pipe[0], buf, 64) == 5, "an upgraded one: what was early");
    ask(&c, "late");
    OK(read(seen.pipe[0], buf, 64) == 4 && seen.done == 0, "and late");
    (void)say(&c, "last");
    (void)shutdown(c.fd, SHUT_WR);
    UNTIL(heard_end(&c));
    OK(seen.done == 1 && seen.moved == 13 && seen.cut == 0, "until the client ends its side");
    end(&c);
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    OK(loop_init(&loop, &sys) == 0, "a loop");
    serve(&site, 64);
    for (int tcp = 0; tcp < 2; tcp++) {
        sends(tcp, "length", true, tcp ? LOT : SOME);
        sends(tcp, "chunked", false, SOME);
        sends(tcp, "close", false, SOME);
        takes(tcp, false, tcp ? LOT : SOME);
        takes(tcp, true, tcp ? LOT : SOME);
    }
    sends(true, "chunked", true, LOT);
    sends_at_edges();
    sends_less();
    copies();
    takes_at_edges();
    a_full_pipe_waits();
    tunnels();
    serve_no_more();
    loop_fini(&loop);
    return tap_end();
}
