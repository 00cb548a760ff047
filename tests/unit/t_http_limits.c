/* How much the server takes: of memory, of connections, of descriptors; and what it does without.
 */
#include "tests/unit/t_http_server.h"

enum { MANY = 1000 };

static struct {
    int opened, over, cut;
    bool hold; /* answers come later */
} seen;

static void over(struct http_exchange *x, bool cut) {
    (void)x;
    seen.over++;
    seen.cut += cut;
}

static void text_answer(struct http_exchange *x, int status, const char *text) {
    http_answer(x, status, "text/plain", text, strlen(text));
}

static bool admit(struct http_exchange *x) {
    http_add_field(x, "X-Test", "%s", "yes");
    return true;
}
static void refuse(struct http_exchange *x, int status, const char *message) {
    text_answer(x, status, message);
}

static size_t body(struct http_exchange *x, const char *bytes, size_t n) {
    (void)bytes;
    return x ? n : 0;
}
static void end(struct http_exchange *x) { text_answer(x, 200, "done\n"); }
static const struct http_handler handler = { .body = body, .body_end = end, .over = over };

static void open_it(struct http_exchange *x, yyjson_val *json) {
    seen.opened++;
    x->handler = &handler;
    if (!seen.hold && x->route->body != HTTP_BODY_STREAM)
        text_answer(x, 200, yyjson_is_obj(json) ? "object\n" : "hello\n");
}

/* Chunks, more than a socket takes at once. */
static void stream(struct http_exchange *x, yyjson_val *json) {
    static const char bytes[60000];
    (void)json;
    seen.opened++;
    x->handler = &handler;
    http_begin(x, 200, NULL, -1);
    for (int i = 0; i < 100 && http_room(x) >= sizeof bytes; i++)
        http_send(x, bytes, sizeof bytes);
    http_end(x);
}

static const struct http_route routes[] = {
    { "GET", "/hello", HTTP_BODY_NONE, open_it },
    { "POST", "/json", HTTP_BODY_JSON, open_it },
    { "PUT", "/body", HTTP_BODY_STREAM, open_it },
    { "GET", "/stream", HTTP_BODY_NONE, stream },
};
static const struct http_site site = {
    .routes = routes, .nroutes = 4, .admit = admit, .refuse = refuse, .idle = { 60000000000 }
};

static struct client crowd[MANY];

static void gather(bool tcp) {
    for (int i = 0; i < MANY; i++) {
        crowd[i] = dial(tcp);
        if (i % 32 == 31)
            quick_turn();
    }
    UNTIL(server.n >= MANY);
    settle();
}

static void disperse(void) {
    for (int i = 0; i < MANY; i++)
        hang_up(&crowd[i]);
    UNTIL(server.n == 0);
}

/* --- memory ----------------------------------------------------------------------------------- */

static void idle_ones_are_small(void) {
    struct client c = dial(true);
    ask(&c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"); /* glibc allocates for the first date */
    hang_up(&c);
    UNTIL(server.n == 0);
    size_t before = heap_used();
    gather(true);
    size_t fresh = heap_used() - before;
    OK(server.n == MANY && fresh < MANY * 420, "%d fresh connections: %zu bytes each", MANY,
       fresh / MANY);
    for (int i = 0; i < MANY; i++)
        (void)say(&crowd[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    UNTIL(server.requests >= MANY);
    settle();
    OK(heap_used() - before == fresh, "and no more after a request each: %zd",
       (ssize_t)(heap_used() - before - fresh));
    disperse();
    OK(heap_used() == before, "which are given back: %zd", (ssize_t)(heap_used() - before));
}

static void slow_ones_are_small(void) {
    size_t before = heap_used();
    gather(true);
    for (int i = 0; i < MANY; i++)
        (void)say(&crowd[i], "GET /hello HTTP/1.1\r\nHost: x\r\nUser-Agent: slow\r\nA: 1234");
    settle();
    size_t used = heap_used() - before;
    OK(used < 4 << 20, "%d connections with a part of a head: %zu KiB", MANY, used >> 10);
    uint64_t requests = server.requests;
    struct client c = dial(true);
    ask(&c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(ends(&c, "hello\n") && server.requests == requests + 1, "others are served meanwhile");
    hang_up(&c);
    for (int i = 0; i < HTTP_HEAD_S; i++)
        pass(1000);
    hear(&crowd[0]), hear(&crowd[MANY - 1]);
    OK(has(&crowd[0], "408 ") && has(&crowd[MANY - 1], "408 "), "until their time is over");
    pass(HTTP_LINGER_MS);
    OK(server.n == 0 && heap_used() == before + crowd[0].cap + crowd[MANY - 1].cap,
       "then they are gone");
    disperse();
}

/* --- connections ------------------------------------------------------------------------------ */

static void the_idlest_makes_room(void) {
    uint64_t refused = server.refused;
    struct client first = dial(true);
    ask(&first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    gather(true);
    struct client rest[MAX_CONNECTIONS - MANY - 1];
    for (int i = 0; i < MAX_CONNECTIONS - MANY - 1; i++)
        rest[i] = dial(false);
    settle();
    ask(&first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    OK(server.n == MAX_CONNECTIONS && ends(&first, "hello\n"), "%zu connections", server.n);
    struct client late = dial(true);
    ask(&late, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    hear(&crowd[0]), hear(&crowd[1]), hear(&first);
    OK(ends(&late, "hello\n") && server.n == MAX_CONNECTIONS && server.refused == refused,
       "one more is served all the same");
    OK(crowd[0].eof && !crowd[1].eof && !first.eof, "in place of the longest idle");
    hang_up(&late), hang_up(&first);
    for (int i = 0; i < MAX_CONNECTIONS - MANY - 1; i++)
        hang_up(&rest[i]);
    disperse();
}

static void one_for_one(struct client *c) {
    uint64_t accepted = server.accepted;
    hang_up(c);
    settle();
    *c = dial(true);
    (void)say(c, "GET /hel");
    settle();
    OK(server.accepted == accepted + 1, "one goes: one comes, whoever is still being told");
}

static void slow_heads_make_room(struct client *slow) {
    uint64_t refused = server.refused;
    pass(1000);
    struct client c = dial(true);
    settle();
    hear(slow);
    OK(server.refused == refused && slow->eof,
       "a head that takes more than a second has to make room");
    hang_up(&c);
}

static void none_is_idle(void) {
    uint64_t refused = server.refused;
    struct client rest[MAX_CONNECTIONS - MANY], late[HTTP_REFUSALS + 2];
    gather(false);
    seen.hold = true;
    for (int i = 0; i < MANY; i++)
        (void)say(&crowd[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    settle();
    for (int i = 0; i < MAX_CONNECTIONS - MANY; i++) {
        rest[i] = dial(true);
        (void)say(&rest[i], "GET /hel");
    }
    settle();
    for (int i = 0; i < HTTP_REFUSALS + 2; i++) {
        late[i] = dial(true);
        (void)say(&late[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    settle();
    int told = 0, closed = 0;
    for (int i = 0; i < HTTP_REFUSALS + 2; i++) {
        hear(&late[i]);
        told += has(&late[i], "503 Service Unavailable");
        closed += late[i].eof;
    }
    OK(told == HTTP_REFUSALS && closed == HTTP_REFUSALS + 2 &&
           server.refused == refused + HTTP_REFUSALS + 2,
       "none is idle: %d are told so, %d closed", told, closed);
    OK(server.n == MAX_CONNECTIONS + HTTP_REFUSALS, "and there are never more: %zu", server.n);
    one_for_one(&rest[1]);
    for (int i = 0; i < HTTP_REFUSALS + 2; i++)
        hang_up(&late[i]);
    settle();
    OK(server.n == MAX_CONNECTIONS && server.extra == 0, "they go");
    slow_heads_make_room(&rest[0]);
    seen.hold = false;
    for (int i = 0; i < MAX_CONNECTIONS - MANY; i++)
        hang_up(&rest[i]);
    disperse();
    OK(server.extra == 0 && seen.opened == seen.over, "all are over");
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void without_descriptors(void) {
    struct rlimit was, none = { 0 };
    struct client c = dial(true);
    ask(&c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    forget(&c);
    struct client idle = dial(true);
    (void)say(&c, "PUT /body HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
    settle();
    struct client waits = dial(true);
    (void)getrlimit(RLIMIT_NOFILE, &was);
    none.rlim_max = was.rlim_max;
    none.rlim_cur = (rlim_t)waits.fd + 1;
    for (int fd = waits.fd; fd < 64; fd++) /* what is free below */
        none.rlim_cur = fcntl(fd, F_GETFD) >= 0 ? (rlim_t)fd + 1 : none.rlim_cur;
    (void)setrlimit(RLIMIT_NOFILE, &none);
    int plug[64], n = 0;
    while (n < 64 && (plug[n] = dup(0)) >= 0)
        n++;
    (void)say(&waits, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    long turns = turn.n;
    settle();
    hear(&idle);
    OK(server.n == 1 && idle.eof && !on_tcp.source.loop && turn.n - turns < 10,
       "no descriptor is left: the idle give theirs, the listener rests");
    (void)say(&c, "bc");
    UNTIL(heard(&c, "done"));
    OK(has(&c, "done"), "those who are there are served");
    while (n > 0)
        (void)close(plug[--n]);
    (void)setrlimit(RLIMIT_NOFILE, &was);
    settle();
    OK(!on_tcp.source.loop, "it rests");
    pass(100);
    UNTIL(heard(&waits, "hello"));
    OK(has(&waits, "hello"), "for a tenth of a second");
    hang_up(&waits), hang_up(&c), hang_up(&idle);
    UNTIL(server.n == 0);
}

/* --- no memory: each allocation fails once, and all from there on ----------------------------- */

#ifndef __SANITIZE_ADDRESS__
static const char *const scenario[] = {
    "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "POST /json HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{\"a\":[1]}",
    "PUT /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
    "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
    "BAD\r\n\r\n",
};

/* Returns how many of the requests were answered in one way or another. */
static int run_scenario(long fail_at, bool for_good) {
    static char got[1 << 20];
    int answered = 0;
    for (size_t i = 0; i < sizeof scenario / sizeof scenario[0]; i++) {
        struct client c = dial(i & 1);
        (void)send(c.fd, scenario[i], strlen(scenario[i]), MSG_NOSIGNAL);
        heap.until_failure = fail_at;
        size_t n = 0;
        ssize_t got_now;
        for (int quiet = 0; quiet < 3; quiet++) {
            quick_turn();
            if (!for_good && heap.until_failure == 0)
                fail_at = heap.until_failure = -1;
            while ((got_now = recv(c.fd, got + n, sizeof got - n, MSG_DONTWAIT)) > 0)
                n += (size_t)got_now, quiet = -1;
        }
        fail_at = heap.until_failure;
        heap.until_failure = -1;
        answered += n > 12 && memcmp(got, "HTTP/1.1 ", 9) == 0;
        hang_up(&c);
        UNTIL(server.n == 0);
    }
    return answered;
}

static void without_memory(void) {
    int opened = seen.opened, over_ = seen.over, whole = 0, worst = 99;
    long before = heap.n;
    (void)run_scenario(-1, false);
    long n = heap.n - before;
    size_t used = heap_used();
    for (int for_good = 0; for_good < 2; for_good++)
        for (long i = 1; i <= n; i++) {
            int answered = run_scenario(i, for_good);
            whole += answered == 6;
            worst = !for_good && answered < worst ? answered : worst;
        }
    OK(n > 20 && seen.opened - opened == seen.over - over_ && heap_used() == used,
       "%ld allocations, each of which fails: nothing crashes or is lost", n);
    OK(worst >= 5, "one failure costs no more than one request: %d of 6 at least, %d times all",
       worst, whole);
    OK(run_scenario(-1, false) == 6, "and afterwards all is well");
}
#else
static void without_memory(void) {}
#endif

int main(void) {
    struct rlimit files;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max < 8192 ? files.rlim_max : 8192;
    (void)setrlimit(RLIMIT_NOFILE, &files);
    OK(loop_init(&loop, &sys) == 0, "a loop");
    serve(&site, MAX_CONNECTIONS);
    idle_ones_are_small();
    slow_ones_are_small();
    the_idlest_makes_room();
    none_is_idle();
    without_descriptors();
    without_memory();
    serve_no_more();
    loop_fini(&loop);
    return tap_end();
}
