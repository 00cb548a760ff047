/* Requests that a process makes to its own server. */
#include "http/inner.h"
#include "tests/unit/t_http_server.h"

enum { LARGE = 3 << 20 };

static struct {
    int opened, over, cut;
    size_t body; /* bytes that came */
    struct http_exchange *waiting;
} seen;

static void over(struct http_exchange *x, bool cut) {
    seen.over++;
    seen.cut += cut;
    if (seen.waiting == x)
        seen.waiting = NULL;
}

static void fill(struct http_exchange *x) {
    static char block[4096];
    memset(block, 'z', sizeof block);
    size_t left = (size_t)(uintptr_t)x->ctx;
    while (left > 0 && http_room(x) >= sizeof block) {
        http_send(x, block, sizeof block);
        left -= sizeof block;
    }
    x->ctx = (void *)left;
    if (left == 0)
        http_end(x);
}
static size_t take(struct http_exchange *x, const char *bytes, size_t n) {
    (void)x, (void)bytes;
    seen.body += n;
    return n;
}
static void taken(struct http_exchange *x) { http_answer(x, 200, "text/plain", "thanks", 6); }
static const struct http_handler handler = { take, taken, fill, over };

static void track(struct http_exchange *x) {
    seen.opened++;
    x->handler = &handler;
}

static void hello(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x);
    http_answer(x, 200, "text/plain", "hello", 5);
}
static void large(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x);
    x->ctx = (void *)(uintptr_t)LARGE;
    http_begin(x, 200, "text/plain", -1);
    fill(x);
}
static void later(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x);
    seen.waiting = x;
}
static void upload(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x);
}

static bool admit(struct http_exchange *x) {
    (void)x;
    return true;
}
static void refuse(struct http_exchange *x, int status, const char *text) {
    http_answer(x, status, "text/plain", text, strlen(text));
}
static const struct http_route routes[] = {
    { "GET", "/hello", HTTP_BODY_NONE, hello },
    { "GET", "/large", HTTP_BODY_NONE, large },
    { "GET", "/later", HTTP_BODY_NONE, later },
    { "POST", "/upload", HTTP_BODY_STREAM, upload },
};
static const struct http_site site = { .routes = routes,
                                       .nroutes = 4,
                                       .admit = admit,
                                       .refuse = refuse,
                                       .idle = { IDLE_S * INT64_C(1000000000) } };

/* --- a caller --------------------------------------------------------------------------------- */

static struct caller {
    struct http_inner c;
    bool heads, rests;
    int status;
    size_t n;
    enum http_inner_next last;
} it;

static void pump(void) {
    struct slice data;
    for (;;) {
        if (it.rests) {
            http_inner_rest(&it.c);
            return;
        }
        it.last = http_inner_next(&it.c, 1000, &data);
        if (it.last == HTTP_INNER_HEAD)
            it.status = it.c.head.status;
        else if (it.last == HTTP_INNER_DATA)
            it.n += data.n;
        else
            return;
    }
}
static void ready(struct http_inner *c) {
    (void)c;
    pump();
}

static int call(const char *head, size_t body) {
    size_t n = strlen(head);
    char *request = malloc(n + body);
    it = (struct caller){ .c.ready = ready, .last = HTTP_INNER_WAIT };
    memcpy(request, head, n);
    memset(request + n, 'b', body);
    return http_inner_begin(&it.c, &server, &site, request, n + body);
}

#define H " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"

static void answers(void) {
    OK(call("GET /hello" H "\r\n", 0) == 0 && seen.opened == 0, "nothing is served from within");
    UNTIL(it.last == HTTP_INNER_END);
    OK(it.status == 200 && it.n == 5, "an answer");
    http_inner_stop(&it.c);
    OK(call("GET /nowhere" H "\r\n", 0) == 0, "no such route");
    UNTIL(it.last == HTTP_INNER_END);
    OK(it.status == 404, "%d", it.status);
    http_inner_stop(&it.c);
    OK(call("nonsense\r\n\r\n", 0) == 0, "what is no request");
    UNTIL(it.last == HTTP_INNER_END);
    OK(it.status == 400, "%d", it.status);
    http_inner_stop(&it.c);
    UNTIL(server.n == 0);
    OK(server.n == 0 && seen.over == seen.opened && !seen.cut, "and all are gone");
}

static void large_ones(void) {
    size_t before = heap_used(), most = 0;
    OK(call("GET /large" H "\r\n", 0) == 0, "a large answer");
    for (int i = 0; i < 20; i++)
        settle();
    OK(it.last == HTTP_INNER_END && it.n == LARGE && it.status == 200, "all of it: %zu", it.n);
    http_inner_stop(&it.c);
    settle();
    call("GET /large" H "\r\n", 0);
    it.rests = true;
    for (int i = 0; i < 20; i++) {
        settle();
        most = heap_used() > most ? heap_used() : most;
    }
    OK(it.n == 0 && most - before < 1 << 20, "not wanted now, it waits where it is made: %zu KiB",
       (most - before) >> 10);
    it.rests = false;
    pump();
    UNTIL(it.last == HTTP_INNER_END);
    OK(it.n == LARGE, "until it is wanted");
    http_inner_stop(&it.c);
    char head[200];
    (void)snprintf(head, sizeof head, "POST /upload" H "Content-Length: %d\r\n\r\n", LARGE);
    OK(call(head, LARGE) == 0, "a large request");
    UNTIL(it.last == HTTP_INNER_END);
    OK(seen.body == LARGE && it.status == 200 && it.n == 6, "all of it");
    http_inner_stop(&it.c);
    settle();
}

static void given_up(void) {
    int cut = seen.cut;
    call("GET /later" H "\r\n", 0);
    UNTIL(seen.waiting);
    OK(seen.waiting && it.last == HTTP_INNER_WAIT, "one that waits");
    http_inner_stop(&it.c);
    UNTIL(seen.cut == cut + 1);
    OK(seen.cut == cut + 1, "is given up");
    call("GET /later" H "\r\n", 0);
    UNTIL(seen.waiting);
    http_cut(seen.waiting);
    UNTIL(it.last == HTTP_INNER_CUT);
    OK(it.last == HTTP_INNER_CUT, "one that is cut before its answer");
    http_inner_stop(&it.c);
    call("GET /later" H "\r\n", 0);
    UNTIL(seen.waiting);
    http_begin(seen.waiting, 200, "text/plain", -1);
    http_send(seen.waiting, "half", 4);
    settle();
    OK(it.status == 200 && it.n == 4 && it.last == HTTP_INNER_WAIT, "half an answer");
    http_cut(seen.waiting);
    UNTIL(it.last == HTTP_INNER_CUT);
    OK(it.last == HTTP_INNER_CUT, "that is cut");
    http_inner_stop(&it.c);
    http_inner_stop(&it.c);
    struct http_inner none = { 0 };
    http_inner_stop(&none);
    settle();
}

static void limits(void) {
    struct client one = dial(false), two = dial(false);
    ask(&one, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    ask(&two, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    OK(call("GET /hello" H "\r\n", 0) == -EAGAIN, "no more than there may be connections");
    hang_up(&one);
    hang_up(&two);
    settle();
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    if (loop_init(&loop, &sys) < 0)
        return 1;
    serve(&site, 2);
    answers();
    large_ones();
    given_up();
    limits();
    serve_no_more();
    OK(seen.opened == seen.over, "%d exchanges, and %d were over", seen.opened, seen.over);
    loop_fini(&loop);
    return tap_end();
}
