/* Any bytes as what a client sends, in any pieces, to a site that pauses, upgrades, answers early,
 * late, or never. Promises: all that comes back is answers that are whole or cut, each exchange is
 * over once, nothing spins, and after every deadline the connection is gone. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOODS = 8, OUT = 4 << 20, ANSWERS = 65536 };

#define must(ok) ((ok) ? (void)0 : abort())

static struct {
    int64_t now_ns;
    uint8_t mood[MOODS]; /* what the site does */
    size_t nmood;
    int opened, over, cut;
    struct http_exchange *x; /* waits to be resumed, or answered */
    bool answers_later;
    int pauses;            /* so far; the site is patient, but not for ever */
    bool to_head[ANSWERS]; /* of each answer: was it to HEAD? */
    size_t nanswers;
    char out[OUT];
    size_t nout;
} f;

static uint8_t mood(void) { return f.mood[f.nmood++ % MOODS]; }

/* --- the site --------------------------------------------------------------------------------- */

static void note_answer(const struct http_exchange *x) {
    must(f.nanswers < ANSWERS);
    f.to_head[f.nanswers++] = http_is(x->head.method, "HEAD");
}

static void over(struct http_exchange *x, bool cut) {
    f.over++;
    f.cut += cut;
    if (f.x == x)
        f.x = NULL;
}
static size_t body(struct http_exchange *x, const char *bytes, size_t n) {
    must(n > 0);
    size_t room = http_room(x), take = mood() & 1 ? n : mood() % 5;
    take = take < n ? take : n;
    take = f.pauses > 100 ? n : take;
    take = x->begun && room < take ? room : take;
    if (take < n)
        f.x = x;
    f.pauses += take < n;
    if (x->begun)
        http_send(x, bytes, take);
    if (mood() == 0)
        http_cut(x);
    return take;
}
static void body_end(struct http_exchange *x) {
    if (x->begun) {
        http_end(x);
        return;
    }
    note_answer(x);
    http_answer(x, 200, "text/plain", "taken", 5);
}
static void room(struct http_exchange *x) { http_resume(x); }
static const struct http_handler handler = { body, body_end, room, over };

static void track(struct http_exchange *x) {
    f.opened++;
    x->handler = &handler;
}

static bool admit(struct http_exchange *x) {
    http_add_field(x, "X-Path", "%.*s", (int)x->head.path.n, x->head.path.s);
    return true;
}
static void refuse(struct http_exchange *x, int status, const char *message) {
    note_answer(x);
    http_answer(x, status, "text/plain", message, strlen(message));
}

static void get(struct http_exchange *x, yyjson_val *json) {
    track(x);
    if (mood() & 1) {
        f.x = x;
        f.answers_later = true;
        return;
    }
    note_answer(x);
    http_answer(x, json ? 201 : 204, NULL, NULL, 0);
}
static void echo(struct http_exchange *x, yyjson_val *json) {
    (void)json;
    track(x);
    uint8_t how = mood() % 4;
    if (how == 0)
        return; /* answered at the end of the body */
    note_answer(x);
    if (how == 1)
        http_answer(x, 403, NULL, "no", 2);
    else
        http_begin(x, 200, NULL, -1);
}
static void raw(struct http_exchange *x, yyjson_val *json) {
    (void)json;
    track(x);
    note_answer(x);
    http_upgrade(x, "echo");
}

static const struct http_route routes[] = {
    { "GET", "/g/{id}", HTTP_BODY_NONE, get },
    { "POST", "/j", HTTP_BODY_JSON, get },
    { "PUT", "/e", HTTP_BODY_STREAM, echo },
    { "POST", "/u", HTTP_BODY_JSON, raw },
};
static const struct http_site site = {
    .routes = routes, .nroutes = 4, .admit = admit, .refuse = refuse, .idle = { 60000000000 }
};

/* --- the loop --------------------------------------------------------------------------------- */

static instant now(struct sys *s) {
    (void)s;
    return (instant){ f.now_ns };
}
static int no_wait(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms) {
    (void)s;
    (void)timeout_ms;
    int n = epoll_wait(epfd, evs, max, 0);
    return n < 0 ? -errno : n;
}

static void go_on(void) {
    struct http_exchange *x = f.x;
    f.x = NULL;
    if (!x)
        return;
    if (f.answers_later) {
        f.answers_later = false;
        note_answer(x);
        http_answer(x, 200, NULL, "late", 4);
        return;
    }
    http_resume(x);
}

static void hear(int fd) {
    ssize_t n;
    while (f.nout < OUT && (n = recv(fd, f.out + f.nout, OUT - f.nout, MSG_DONTWAIT)) > 0)
        f.nout += (size_t)n;
}

/* As long as there is something to do; each turn takes a bounded step, so that is bounded, too. */
static void run(struct loop *l, struct http_server *s, int fd, size_t most) {
    for (size_t turns = 0, quiet = 0; quiet < 2 && s->n > 0; turns++) {
        uint64_t before = s->bytes_in + s->bytes_out + s->requests;
        must(turns < most);
        bool waits = f.x != NULL;
        go_on();
        must(loop_turn(l) == 0);
        hear(fd);
        bool moved = s->bytes_in + s->bytes_out + s->requests != before || waits;
        quiet = moved || !list_empty(&s->dirty) ? 0 : quiet + 1;
    }
}

/* --- what comes back -------------------------------------------------------------------------- */

/* The body of an answer from `at` on; where it ends, or 0: it is cut. */
static size_t skip_body(const struct http_head *h, size_t at) {
    struct http_body b;
    struct slice data;
    http_body_begin(&b, h);
    while (!b.done) {
        int64_t n = http_body_next(&b, f.out + at, f.nout - at, &data);
        must(n >= 0);
        at += (size_t)n;
        if (n == 0 && !b.done)
            return 0;
    }
    return at;
}

static void check_answers(void) {
    size_t at = 0, n = 0;
    while (at < f.nout) {
        struct http_scan scan = { 0 };
        struct http_head h;
        int len = http_scan(&scan, f.out + at, f.nout - at);
        must(len >= 0 && (len > 0 || f.cut > 0));
        if (len == 0)
            return;
        int rc = http_parse_answer(&h, f.out + at, (size_t)len, n < f.nanswers && f.to_head[n]);
        must(rc == 0);
        at += (size_t)len;
        n += h.status != 100;
        must(n <= f.nanswers);
        if (h.status == 101 || h.framing == HTTP_UNTIL_CLOSE)
            return;
        at = skip_body(&h, at);
        must(at > 0 || f.cut > 0);
        if (at == 0)
            return;
    }
    must(n == f.nanswers || f.cut > 0);
}

/* --- */

static void begin(const uint8_t *moods) {
    f.nout = f.nanswers = f.nmood = 0;
    f.opened = f.over = f.cut = f.pauses = 0;
    f.x = NULL;
    f.answers_later = false;
    memcpy(f.mood, moods, MOODS);
}

/* Pieces as long as the next mood says; up to a whole message at once. */
static void say(struct loop *l, struct http_server *s, int fd, const uint8_t *data, size_t size) {
    for (size_t at = 0, i = 0; at < size && s->n > 0; i++) {
        uint8_t m = f.mood[i % MOODS];
        size_t n = m > 200 ? size : 1 + m;
        n = n < size - at ? n : size - at;
        ssize_t sent = send(fd, data + at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return;
        at += sent > 0 ? (size_t)sent : 0;
        run(l, s, fd, 200 + 8 * size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sys sys = { .now = now, .wait = no_wait };
    struct http_server server;
    struct loop loop;
    int pair[2];
    if (size < MOODS + 1 || size > 65536)
        return -1;
    (void)signal(SIGPIPE, SIG_IGN);
    begin(data);
    f.now_ns = 1;
    must(loop_init(&loop, &sys) == 0);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    http_server_init(&server, &loop, 4);
    struct http_conn *c = conn_new(&server, &site, pair[0]);
    must(c != NULL);
    conn_run(c);
    say(&loop, &server, pair[1], data + MOODS, size - MOODS);
    if (data[0] & 2)
        (void)shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < 20 && server.n > 0; i++) { /* past each deadline in turn */
        run(&loop, &server, pair[1], 200 + 8 * size);
        f.now_ns += 61LL * 1000000000;
        if (i == 10)
            (void)shutdown(pair[1], SHUT_WR); /* ends what was upgraded */
    }
    hear(pair[1]);
    must(server.n == 0 && list_empty(&loop.timers) && list_empty(&server.dirty));
    must(f.opened == f.over);
    check_answers();
    loop_fini(&loop);
    (void)close(pair[1]);
    return 0;
}
