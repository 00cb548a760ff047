#include "tests/unit/t_http_server.h"

/* --- a site ----------------------------------------------------------------------------------- */

static struct {
    int opened, over, cut, refused, status, rooms, ends, bodies;
    struct http_exchange *x; /* of a route that answers later */
    size_t take;             /* bytes that body() takes; then it pauses */
    bool deny;               /* admit() says no */
    struct ucred peer;
    bool has_peer;
} seen = { .take = SIZE_MAX };

static void over(struct http_exchange *x, bool cut) {
    seen.over++;
    seen.cut += cut;
    if (seen.x == x)
        seen.x = NULL;
    free(x->ctx);
}

static const struct http_handler only_over = { .over = over };

static void track(struct http_exchange *x, const struct http_handler *h) {
    seen.opened++;
    x->handler = h;
}

static void text_answer(struct http_exchange *x, int status, const char *text) {
    http_answer(x, status, "text/plain", text, strlen(text));
}

static bool admit(struct http_exchange *x) {
    seen.has_peer = http_peer(x, &seen.peer);
    if (!seen.deny)
        return true;
    track(x, &only_over);
    http_add_field(x, "connection", "close");
    text_answer(x, 401, "who are you?\n");
    return false;
}

static void refuse(struct http_exchange *x, int status, const char *message) {
    seen.refused++;
    seen.status = status;
    text_answer(x, status, message);
}

static void preflight(struct http_exchange *x) {
    http_add_field(x, "Access-Control-Allow-Methods", "%s", "GET");
    http_answer(x, 204, NULL, NULL, 0);
}

static void hello(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x, &only_over);
    text_answer(x, 200, "hello\n");
}

static void two(struct http_exchange *x, yyjson_val *body) {
    char text[200], q[16] = "", unknown[16] = "";
    static const char *const known[] = { "q", "r", NULL };
    (void)body;
    int rc = http_param(x, "q", q, sizeof q);
    bool odd = http_unknown_param(x, known, unknown, sizeof unknown);
    (void)snprintf(text, sizeof text, "[%.*s][%.*s] %d %s %d %s\n", (int)x->params[0].n,
                   x->params[0].s, (int)x->params[1].n, x->params[1].s, rc, q, odd, unknown);
    text_answer(x, 200, text);
}

static void json(struct http_exchange *x, yyjson_val *body) {
    char text[100];
    track(x, &only_over);
    (void)snprintf(text, sizeof text, "%s %zu\n", body ? yyjson_get_type_desc(body) : "none",
                   yyjson_get_len(body));
    text_answer(x, 200, text);
}

static void later(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x, &only_over);
    seen.x = x;
}

/* What comes goes back, at the pace of the client. */
static size_t echo_body(struct http_exchange *x, const char *bytes, size_t n) {
    size_t room = http_room(x);
    n = n < room ? n : room;
    n = n < seen.take ? n : seen.take;
    http_send2(x, bytes, n / 2, bytes + n / 2, n - n / 2);
    return n;
}
static void echo_room(struct http_exchange *x) {
    seen.rooms++;
    http_resume(x);
}
static void echo_end(struct http_exchange *x) {
    seen.ends++;
    http_end(x);
}
static const struct http_handler echo_handler = { echo_body, echo_end, echo_room, over };
static void echo(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x, &echo_handler);
    http_begin(x, 200, "application/octet-stream", -1);
}

static void shout(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    seen.x = x;
    track(x, &echo_handler);
    http_upgrade(x, "echo");
}

/* Counts a body and answers at its end; takes at most `seen.take` bytes of it each time. */
static size_t count_body(struct http_exchange *x, const char *bytes, size_t n) {
    (void)bytes;
    size_t took = n < seen.take ? n : seen.take;
    seen.bodies++;
    *(size_t *)x->ctx += took;
    return took;
}
static void count_end(struct http_exchange *x) {
    char text[32];
    seen.ends++;
    (void)snprintf(text, sizeof text, "%zu bytes\n", *(size_t *)x->ctx);
    text_answer(x, 200, text);
}
static const struct http_handler count_handler = { count_body, count_end, NULL, over };
static void count(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    seen.x = x;
    track(x, &count_handler);
    x->ctx = calloc(1, sizeof(size_t));
}

static void no(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x, &count_handler);
    x->ctx = calloc(1, sizeof(size_t));
    text_answer(x, 403, "no\n");
}

/* Answers, in pieces, what it does not read. */
static void half(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    track(x, &only_over);
    http_begin(x, 200, NULL, -1);
    http_send(x, "half", 4);
    http_end(x);
}

/* 10 MB, as there is room. */
enum { BIG = 10000000, PIECE = 9973 };
static void big_room(struct http_exchange *x) {
    static const char piece[PIECE];
    size_t *sent = x->ctx;
    seen.rooms++;
    while (*sent < BIG) {
        size_t n = BIG - *sent < PIECE ? BIG - *sent : PIECE;
        if (http_room(x) < n)
            return;
        http_send(x, piece, n);
        *sent += n;
    }
    http_end(x);
}
static const struct http_handler big_handler = { .room = big_room, .over = over };
static void big(struct http_exchange *x, yyjson_val *body) {
    char length[16];
    (void)body;
    track(x, &big_handler);
    x->ctx = calloc(1, sizeof(size_t));
    bool known = http_param(x, "known", length, sizeof length) > 0;
    http_begin(x, 200, NULL, known ? BIG : -1);
    big_room(x);
}

/* Promises 100 bytes, and sends that many and then this: "end", "cut" or "more". */
static void promise(struct http_exchange *x, yyjson_val *body) {
    char n[8] = "0", then[8] = "";
    static const char bytes[200];
    (void)body;
    (void)http_param(x, "n", n, sizeof n);
    (void)http_param(x, "then", then, sizeof then);
    track(x, &only_over);
    http_begin(x, 200, NULL, 100);
    http_send(x, bytes, (size_t)atoi(n));
    if (strcmp(then, "end") == 0)
        http_end(x);
    else
        http_cut(x);
}

/* clang-format off */
static const struct http_route routes[] = {
    { "GET",    "/hello",       HTTP_BODY_NONE,   hello },
    { "DELETE", "/hello",       HTTP_BODY_NONE,   hello },
    { "GET",    "/a/{x}/b/{y}", HTTP_BODY_NONE,   two },
    { "POST",   "/json",        HTTP_BODY_JSON,   json },
    { "GET",    "/later",       HTTP_BODY_NONE,   later },
    { "POST",   "/echo",        HTTP_BODY_STREAM, echo },
    { "POST",   "/shout",       HTTP_BODY_JSON,   shout },
    { "GET",    "/shout",       HTTP_BODY_NONE,   shout },
    { "PUT",    "/count",       HTTP_BODY_STREAM, count },
    { "PUT",    "/no",          HTTP_BODY_STREAM, no },
    { "PUT",    "/half",        HTTP_BODY_STREAM, half },
    { "GET",    "/big",         HTTP_BODY_NONE,   big },
    { "GET",    "/promise",     HTTP_BODY_NONE,   promise },
};
/* clang-format on */
static struct http_site site = { .routes = routes,
                                 .nroutes = sizeof routes / sizeof routes[0],
                                 .admit = admit,
                                 .refuse = refuse,
                                 .preflight = preflight,
                                 .idle = { IDLE_S * 1000000000LL } };

#define H " HTTP/1.1\r\nHost: box\r\n"

/* --- requests --------------------------------------------------------------------------------- */

static void keeps_alive(void) {
    struct client c = dial(true);
    ask(&c, "GET /hello" H "\r\n");
    OK(begins(&c, "HTTP/1.1 200 OK\r\nDate: ") && has(&c, "Content-Type: text/plain\r\n") &&
           has(&c, "\r\nContent-Length: 6\r\n") && ends(&c, "\r\n\r\nhello\n"),
       "a request is answered");
    OK(!has(&c, "Connection:") && !c.eof, "and the connection stays");
    ask(&c, "\r\n\r\nDELETE /hello" H "\r\n");
    OK(ends(&c, "hello\n") && times(&c, "200 OK") == 1, "another one, after empty lines");
    ask(&c, "GET /hello" H "Connection: close\r\n\r\n");
    OK(has(&c, "Connection: close\r\n") && ends(&c, "hello\n") && c.eof && !c.error,
       "it is closed as the client wants");
    hang_up(&c);
    UNTIL(server.n == 0);
    OK(server.n == 0 && seen.opened == 3 && seen.over == 3 && seen.cut == 0,
       "every exchange was over once");
    c = dial(true);
    ask(&c, "GET /hello HTTP/1.0\r\n\r\n");
    OK(begins(&c, "HTTP/1.1 200") && has(&c, "Connection: close\r\n") && c.eof, "1.0: closed");
    hang_up(&c);
    c = dial(true);
    ask(&c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    OK(has(&c, "Connection: keep-alive\r\n") && !c.eof, "1.0 that wants to stay");
    hang_up(&c);
    settle();
}

static void pipelines(void) {
    enum { N = 100 };
    static const char one[] = "GET /hello" H "\r\n";
    char all[N * sizeof one];
    struct client c = dial(true);
    for (int i = 0; i < N; i++)
        memcpy(all + i * (int)(sizeof one - 1), one, sizeof one);
    long turns = turn.n;
    (void)say(&c, all);
    UNTIL(heard(&c, "hello") && times(&c, "hello\n") == N);
    OK(times(&c, "HTTP/1.1 200 OK") == N && times(&c, "hello\n") == N, "100 requests at once");
    OK(turn.n - turns >= N / HTTP_TURN, "but not all in one turn");
    hang_up(&c);
    c = dial(true);
    (void)say(&c, "GET /later" H "\r\nGET /hello" H "\r\nGET /a/1/b/2" H "\r\n");
    settle();
    hear(&c);
    OK(c.n == 0 && seen.x, "the first of three takes its time: the others wait");
    text_answer(seen.x, 200, "at last\n");
    UNTIL(heard(&c, "[1][2]"));
    const char *a = strstr(c.got, "at last"), *b = strstr(c.got, "hello\n");
    OK(a && b && a < b && b < strstr(c.got, "[1][2]"), "answers come in the order of requests");
    hang_up(&c);
    settle();
}

static void byte_by_byte(void) {
    static const char text[] = "\r\nPOST /echo" H "Transfer-Encoding: chunked\r\n\r\n"
                               "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nA: b\r\n\r\nGET /hello" H "\r\n";
    struct client c = dial(false);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        (void)send(c.fd, text + i, 1, 0);
        quick_turn();
    }
    UNTIL(heard(&c, "hello"));
    OK(has(&c, "Transfer-Encoding: chunked\r\n") && has(&c, "\r\n0\r\n\r\nHTTP/1.1 200") &&
           ends(&c, "hello\n"),
       "two requests that come byte by byte");
    OK(has(&c, "\r\n1\r\na\r\n1\r\nb\r\n") && has(&c, "\r\ne\r\n"),
       "as chunks, one for each piece");
    forget(&c);
    ask(&c, "POST /echo" H "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n");
    OK(ends(&c, "\r\n\r\n5\r\nabcde\r\n0\r\n\r\n"), "at once: one chunk");
    ask(&c, "POST /echo HTTP/1.0\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc");
    OK(!has(&c, "chunked") && !has(&c, "Length") && has(&c, "Connection: close") &&
           ends(&c, "\r\n\r\nabc") && c.eof,
       "1.0 is not sent chunks: the end is the connection's");
    hang_up(&c);
    settle();
}

static void head_and_lengths(void) {
    struct client c = dial(true);
    ask(&c, "HEAD /hello" H "\r\n");
    OK(has(&c, "Content-Length: 6\r\n") && ends(&c, "\r\n\r\n"), "HEAD: the length, no body");
    ask(&c, "HEAD /big" H "\r\n");
    OK(has(&c, "Transfer-Encoding: chunked\r\n") && ends(&c, "\r\n\r\n"), "HEAD of chunks");
    ask(&c, "HEAD /big?known=1" H "\r\n");
    OK(has(&c, "Content-Length: 10000000\r\n") && ends(&c, "\r\n\r\n"), "HEAD of 10 MB");
    ask(&c, "GET /hello" H "\r\n");
    OK(begins(&c, "HTTP/1.1 200 OK") && ends(&c, "hello\n"), "then GET: nothing was left over");
    int cuts = seen.cut;
    ask(&c, "HEAD /promise?n=10&then=end" H "\r\n");
    OK(!c.eof && seen.cut == cuts, "HEAD: bytes that are not sent are not missed");
    ask(&c, "GET /promise?n=100&then=end" H "\r\n");
    OK(!c.eof && seen.cut == cuts, "100 bytes as promised");
    ask(&c, "GET /promise?n=99&then=end" H "\r\n");
    OK(c.eof && seen.cut == cuts + 1, "99 of 100: cut");
    hang_up(&c);
    static const char *const bad[] = { "n=101&then=end", "n=200&then=cut", "n=50&then=cut",
                                       "n=100&then=cut" };
    for (size_t i = 0; i < 4; i++) {
        char text[100];
        c = dial(i & 1);
        (void)snprintf(text, sizeof text, "GET /promise?%s" H "\r\n", bad[i]);
        ask(&c, text);
        OK(c.eof && seen.cut == cuts + 2 + (int)i, "%s: cut", bad[i]);
        hang_up(&c);
    }
    settle();
}

static void routing(void) {
    struct client c = dial(false);
    static const struct {
        const char *request, *status, *has;
    } cases[] = {
        { "GET /nowhere", "404 Not Found", "no such route" },
        { "GET /hello/", "404 Not Found", "" },
        { "GET /hell", "404 Not Found", "" },
        { "GET /a//b/2", "404 Not Found", "" },
        { "GET /a/1/b/", "404 Not Found", "" },
        { "GET /a/1/b/2/3", "404 Not Found", "" },
        { "PUT /hello", "405 Method Not Allowed", "\r\nAllow: GET, HEAD, DELETE, OPTIONS\r\n" },
        { "OPTIONS /hello", "204 No Content", "Access-Control-Allow-Methods: GET\r\n" },
        { "OPTIONS /nowhere", "404 Not Found", "" },
        { "OPTIONS *", "404 Not Found", "" },
        { "get /hello", "405 Method Not Allowed", "" },
        { "GET /a/1/b/2", "200 OK", "[1][2] 0  0 \n" },
        { "GET /a/%2f/b/..?q=%41+b&r=", "200 OK", "[%2f][..] 1 A+b 0 \n" },
        { "GET /a/1/b/2?q", "200 OK", "[1][2] 1  0 \n" },
        { "GET /a/1/b/2?q=%zz", "200 OK", "[1][2] -22  0 \n" },
        { "GET /a/1/b/2?q=0123456789abcdef", "200 OK", "[1][2] -22" },
        { "GET /a/1/b/2?r&z=1&y=2", "200 OK", "[1][2] 0  1 z\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "%s" H "\r\n", cases[i].request);
        ask(&c, text);
        OK(has(&c, cases[i].status) && has(&c, cases[i].has) && times(&c, "HTTP/1.1 ") == 1,
           "%s: %s", cases[i].request, cases[i].status);
    }
    hang_up(&c);
    settle();
}

static void who_asks(void) {
    struct client c = dial(false);
    site.preflight = NULL;
    ask(&c, "OPTIONS /hello" H "\r\n");
    OK(has(&c, "405 ") && has(&c, "Allow: GET, HEAD, DELETE\r\n"), "no preflight: 405");
    site.preflight = preflight;
    ask(&c, "OPTIONS /hello" H "\r\n");
    OK(has(&c, "204 ") && !has(&c, "Content-Length"), "204 has no length (RFC 9110 8.6)");
    OK(seen.has_peer && seen.peer.pid == getpid() && seen.peer.uid == getuid(), "who asks");
    hang_up(&c);
    c = dial(true);
    ask(&c, "GET /hello" H "\r\n");
    OK(!seen.has_peer, "nobody knows who asks over TCP");
    seen.deny = true;
    ask(&c, "GET /nowhere" H "\r\n");
    OK(has(&c, "401 ") && times(&c, "Connection: close\r\n") == 1 && !has(&c, "connection:") &&
           c.eof,
       "not admitted: answered before it is routed, closed as that answer says");
    seen.deny = false;
    hang_up(&c);
    settle();
}

static void bad_requests(void) {
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        { "GET /hello\r\n\r\n", 400 },
        { "GET /hello HTTP/1.1\r\n\r\n", 400 },
        { "GET /hello HTTP/2.0\r\nHost: x\r\n\r\n", 505 },
        { "GET /hello HTTP/1.1\nHost: x\n\n", 400 },
        { "POST /json" H "Transfer-Encoding: gzip\r\n\r\n", 501 },
        { "POST /json" H "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400 },
        { "POST /echo" H "Content-Length: -1\r\n\r\n", 400 },
        { "GET /hello" H "Content-Length: 3\r\n\r\n", 413 },
        { "POST /json" H "Content-Length: 16777217\r\n\r\n", 413 },
        { "GET /hello" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char status[16];
        struct client c = dial(i & 1);
        int before = seen.refused;
        ask(&c, cases[i].text);
        (void)snprintf(status, sizeof status, "HTTP/1.1 %d ", cases[i].status);
        OK(begins(&c, status) && seen.refused == before + 1 && seen.status == cases[i].status,
           "bad request %zu: %d", i, cases[i].status);
        if (i != 7) /* 3 bytes are waited for, and read away */
            OK(c.eof && !c.error && has(&c, "Connection: close\r\n"), "closed, and heard");
        hang_up(&c);
        settle();
    }
    struct client c = dial(true);
    (void)say(&c, "GET /hello HTTP/1.1\r\nHost: x");
    (void)shutdown(c.fd, SHUT_WR);
    UNTIL(heard_end(&c));
    OK(has(&c, "400 Bad Request"), "a head that is cut is told so, if the client still reads");
    hang_up(&c);
    settle();
}

static void long_requests(void) {
    AUTO_FREE char *long_one = malloc(50000);
    struct client c = dial(true);
    memset(long_one, 'x', 50000);
    (void)say(&c, "GET /");
    (void)say_n(&c, long_one, MAX_HTTP_LINE);
    UNTIL(heard_end(&c));
    OK(has(&c, "414 URI Too Long") && !c.error, "a line that is too long");
    hang_up(&c);
    c = dial(true);
    (void)say(&c, "GET /hello" H "A: ");
    (void)say_n(&c, long_one, 50000);
    UNTIL(heard_end(&c));
    OK(has(&c, "431 Request Header") && !c.error, "a head that is too large");
    hang_up(&c);
    c = dial(true);
    (void)say(&c, "GET /hello" H "A: ");
    (void)say_n(&c, long_one, 40000);
    ask(&c, "\r\n\r\nGET /hello" H "\r\n");
    OK(times(&c, "200 OK") == 2, "one of 40 KB is not");
    hang_up(&c);
    settle();
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void continues(void) {
    struct client c = dial(true);
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    ask(&c, "PUT /count" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    OK(c.n == strlen(go_on) && begins(&c, go_on), "who waits is told to go on");
    ask(&c, "hello");
    OK(begins(&c, "HTTP/1.1 200 OK") && ends(&c, "5 bytes\n") && !c.eof, "and then answered");
    ask(&c, "PUT /count" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
    OK(!has(&c, "100 Continue") && ends(&c, "5 bytes\n"), "but not who did not wait");
    ask(&c, "POST /json" H "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    OK(begins(&c, go_on), "JSON, too");
    ask(&c, "{}");
    OK(ends(&c, "object 0\n"), "and then answered");
    ask(&c, "PUT /count" H "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n");
    OK(!has(&c, "100 Continue") && ends(&c, "0 bytes\n"), "no body: nothing to go on with");
    ask(&c, "PUT /no" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    OK(begins(&c, "HTTP/1.1 403") && has(&c, "Connection: close\r\n") && c.eof,
       "refused instead: nobody knows whether the body comes, so it is closed");
    hang_up(&c);
    c = dial(true);
    ask(&c, "PUT /count HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    OK(c.n == 0, "1.0 does not know of it");
    hang_up(&c);
    settle();
}

static void early_answers(void) {
    struct client c = dial(true);
    int over_before = seen.over, bodies = seen.bodies;
    ask(&c, "PUT /no" H "Content-Length: 5\r\n\r\n");
    OK(has(&c, "403 ") && !has(&c, "Connection: close") && !c.eof,
       "answered before its small body");
    ask(&c, "12345GET /hello" H "\r\n");
    OK(begins(&c, "HTTP/1.1 200") && ends(&c, "hello\n") && seen.over == over_before + 2 &&
           seen.bodies == bodies,
       "which is read away");
    ask(&c, "PUT /no" H "Content-Length: 5\r\n\r\n123");
    pass(HTTP_LINGER_MS);
    hear(&c);
    OK(c.eof && !c.error, "but not for long");
    hang_up(&c);
    settle();
}

static void early_answers_to_much(void) {
    enum { LOTS = 2 * MAX_HTTP_LINGER };
    struct client c;
    AUTO_FREE char *lots = calloc(1, LOTS);
    for (int tcp = 0; tcp < 2; tcp++) {
        c = dial(tcp);
        ask(&c, "PUT /no" H "Content-Length: 33554432\r\n\r\n");
        OK(has(&c, "403 ") && has(&c, "Connection: close\r\n"), "a large one: to be closed");
        uint64_t before = server.bytes_in;
        (void)say_n(&c, lots, LOTS);
        UNTIL(heard_end(&c));
        OK(c.eof && ends(&c, "no\n") && server.bytes_in <= before + MAX_HTTP_LINGER,
           "of which no more than a part is read away");
        hang_up(&c);
        c = dial(tcp);
        (void)say(&c, "PUT /no" H "Content-Length: 4000000\r\n\r\n");
        (void)say_n(&c, lots, 100000); /* on its way before the answer is */
        UNTIL(heard_end(&c));
        OK(ends(&c, "no\n") && c.eof && !c.error, "and no reset overtakes the answer");
        hang_up(&c);
        settle();
    }
    c = dial(true);
    ask(&c, "PUT /half" H "Content-Length: 4000000\r\n\r\n");
    OK(ends(&c, "4\r\nhalf\r\n0\r\n\r\n") && c.eof && !has(&c, "Connection:"),
       "an answer in pieces could not say so before: it is closed all the same");
    hang_up(&c);
    c = dial(true);
    ask(&c, "PUT /half" H "Content-Length: 3\r\n\r\n");
    OK(ends(&c, "half\r\n0\r\n\r\n") && !c.eof, "not for a small one");
    hang_up(&c);
    settle();
    c = dial(true);
    ask(&c, "PUT /no" H "Transfer-Encoding: chunked\r\n\r\n5\r\n");
    OK(has(&c, "403 ") && has(&c, "Connection: close\r\n"), "nobody knows how large: to be closed");
    pass(HTTP_LINGER_MS);
    OK(server.n == 0, "after a second, whether the client wants or not");
    hang_up(&c);
}

static void pauses(void) {
    struct client c = dial(true);
    seen.take = 3;
    ask(&c, "PUT /count" H "Content-Length: 8\r\n\r\n12345678");
    OK(seen.x && *(size_t *)seen.x->ctx == 3 && c.n == 0, "it takes 3 of 8, and pauses");
    http_resume(seen.x);
    settle();
    OK(*(size_t *)seen.x->ctx == 6, "resumed: 3 more");
    pass(HTTP_BODY_S * 1000 * 2);
    OK(seen.x != NULL, "a pause is no stall");
    http_resume(seen.x);
    settle();
    hear(&c);
    OK(ends(&c, "8 bytes\n"), "and the rest");
    ask(&c, "PUT /count" H "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n4\r\nefgh\r\n0\r\n\r\n");
    size_t steps[8], n = 0;
    while (n < 8 && seen.x) {
        steps[n++] = *(size_t *)seen.x->ctx;
        http_resume(seen.x);
        settle();
    }
    hear(&c);
    OK(n == 2 && steps[0] == 3 && steps[1] == 7 && ends(&c, "8 bytes\n"), "chunks: %zu %zu %zu",
       steps[0], steps[1], n);
    seen.take = 0;
    ask(&c, "PUT /count" H "Content-Length: 8\r\n\r\n12345678");
    long turns = turn.n;
    settle();
    OK(turn.n - turns < 10, "nothing taken: it does not spin");
    seen.take = SIZE_MAX;
    http_resume(seen.x);
    settle();
    hear(&c);
    OK(ends(&c, "8 bytes\n"), "then all is taken at once");
    hang_up(&c);
    settle();
}

static void json_bodies(void) {
    static const struct {
        const char *body, *answer;
        int status;
    } cases[] = {
        { "", "none 0\n", 200 },          { "{\"a\":[1]}", "object 1\n", 200 },
        { " [1,2] ", "array 2\n", 200 },  { "null", "null 0\n", 200 },
        { "{}x", "at byte 2", 400 },      { "{} {}", "at byte 3", 400 },
        { "{\"a\":1,}", "at byte", 400 }, { "{/**/}", "at byte", 400 },
        { "NaN", "at byte", 400 },        { " ", "at byte", 400 },
        { "\"\xff\"", "at byte", 400 },   { "[[[[", "at byte", 400 },
    };
    struct client c = dial(true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200], status[16];
        (void)snprintf(text, sizeof text, "POST /json" H "Content-Length: %zu\r\n\r\n%s",
                       strlen(cases[i].body), cases[i].body);
        (void)snprintf(status, sizeof status, " %d ", cases[i].status);
        ask(&c, text);
        OK(has(&c, cases[i].answer) && has(&c, status) && !c.eof, "JSON '%s': %d", cases[i].body,
           cases[i].status);
    }
    ask(&c, "POST /json" H "\r\n");
    OK(ends(&c, "none 0\n"), "no body at all: none");
    ask(&c, "POST /json" H "Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n2\r\n1]\r\n0\r\n\r\n");
    OK(ends(&c, "array 1\n"), "in chunks");
    hang_up(&c);
}

static void large_json(void) {
    AUTO_FREE char *text = malloc(MAX_JSON_BODY + 1);
    char head[100];
    struct client c = dial(false);
    size_t before = heap_used();
    memset(text, '[', MAX_JSON_BODY);
    (void)snprintf(head, sizeof head, "POST /json" H "Content-Length: %d\r\n\r\n", MAX_JSON_BODY);
    (void)say(&c, head);
    (void)say_n(&c, text, MAX_JSON_BODY);
    UNTIL(heard(&c, "413 ") || c.eof || has(&c, "400 "));
    OK(has(&c, "413 "), "16 million brackets: its tree would be 256 MB");
    memset(text, ' ', MAX_JSON_BODY);
    text[0] = '[', text[MAX_JSON_BODY - 1] = ']';
    forget(&c);
    (void)say(&c, head);
    (void)say_n(&c, text, MAX_JSON_BODY);
    UNTIL(heard(&c, "array 0\n") || c.eof);
    OK(has(&c, "array 0\n"), "16 MiB are taken");
    OK(heap_used() < before + 1000000, "and given back: %zd", (ssize_t)(heap_used() - before));
    forget(&c);
    (void)say(&c, "POST /json" H "Transfer-Encoding: chunked\r\n\r\n1000001\r\n");
    (void)say_n(&c, text, MAX_JSON_BODY + 1);
    UNTIL(heard_end(&c));
    OK(has(&c, "413 ") && has(&c, "Connection: close"), "one byte more is not");
    hang_up(&c);
    settle();
}

/* --- answers ---------------------------------------------------------------------------------- */

static void slow_readers(void) {
    for (int known = 0; known < 2; known++) {
        struct client c = dial(known);
        size_t before = heap_used(), most = 0;
        seen.rooms = 0;
        (void)say(&c, known ? "GET /big?known=1" H "\r\n" : "GET /big" H "\r\n");
        settle();
        OK(seen.rooms < 60 && heap_used() < before + 400000, "nobody reads: it waits");
        for (int i = 0; i < 2000 && !(known ? c.n > BIG : ends(&c, "\r\n0\r\n\r\n")); i++) {
            hear_some(&c, 65536);
            size_t used = heap_used() - c.cap;
            most = used > most ? used : most;
            quick_turn();
        }
        hear(&c);
        OK(c.n > BIG && seen.rooms > 2, "read slowly, all comes: %zu bytes, %d rooms", c.n,
           seen.rooms);
        OK(most < before + 3 * MAX_HTTP_OUT, "and at most %zd bytes wait",
           (ssize_t)(most - before));
        hang_up(&c);
        settle();
    }
    int cuts = seen.cut, overs = seen.over;
    struct client c = dial(true);
    (void)say(&c, "GET /big" H "\r\n");
    settle();
    hang_up(&c);
    UNTIL(seen.over == overs + 1);
    OK(seen.over == overs + 1 && seen.cut == cuts + 1, "the reader goes: it is cut");
    c = dial(true);
    ask(&c, "GET /big?known=1" H "\r\n");
    hang_up(&c);
    settle();
}

static void stalled_readers(void) {
    int cuts = seen.cut;
    struct client c = dial(true), follows = dial(true);
    (void)say(&c, "GET /big?known=1" H "\r\n");
    (void)say(&follows, "GET /big" H "\r\n");
    settle();
    pass(HTTP_SEND_S * 1000 - 1);
    OK(seen.cut == cuts && server.n == 2, "a reader may stall for 10 minutes");
    pass(1);
    OK(seen.cut == cuts + 1 && server.n == 1, "one of a whole answer no longer");
    pass(HTTP_SEND_S * 10000);
    OK(seen.cut == cuts + 1 && server.n == 1, "who follows something may");
    hang_up(&c);
    hang_up(&follows);
    settle();
    OK(server.n == 0 && seen.cut == cuts + 2, "until it goes");
}

static void fields(void) {
    struct client c = dial(true);
    char big[3000];
    memset(big, 'v', sizeof big);
    (void)say(&c, "GET /later" H "\r\n");
    UNTIL(seen.x);
    http_add_field(seen.x, "A", "%d-%s", 7, "x");
    http_add_field(seen.x, "B", "1\r\nEvil: yes");
    http_add_field(seen.x, "C", "%c", 0);
    http_add_field(seen.x, "D\n", "1");
    http_add_field(seen.x, "E", "%.3000s", big);
    http_add_field(seen.x, "F", "%.3000s", big);
    http_add_field(seen.x, "G", "last");
    text_answer(seen.x, 200, "");
    http_add_field(seen.x, "H", "too late");
    UNTIL(heard(&c, "\r\n\r\n"));
    OK(has(&c, "\r\nA: 7-x\r\n") && has(&c, "\r\nE: vvv") && has(&c, "v\r\nG: last\r\n\r\n"),
       "fields of a route");
    OK(!has(&c, "Evil") && !has(&c, "\r\nB") && !has(&c, "\r\nC:") && !has(&c, "\n: 1") &&
           !has(&c, "\nF:") && !has(&c, "\nH:"),
       "but none that would break the head, and at most 4 KiB");
    ask(&c, "GET /later" H "\r\n");
    text_answer(seen.x, 204, "a body that cannot be");
    settle();
    hear(&c);
    OK(begins(&c, "HTTP/1.1 204") && ends(&c, "\r\n\r\n") && !has(&c, "Length"), "204 has no body");
    ask(&c, "GET /later" H "\r\n");
    http_begin(seen.x, 304, NULL, -1);
    http_send(seen.x, "nor has", 7);
    http_end(seen.x);
    settle();
    hear(&c);
    OK(begins(&c, "HTTP/1.1 304") && ends(&c, "\r\n\r\n") && !has(&c, "chunked"), "nor has 304");
    hang_up(&c);
    settle();
}

/* A source that has nothing more to say when there is room again. */
static void idle_room(struct http_exchange *x) {
    (void)x;
    seen.rooms++;
}
static const struct http_handler idle_handler = { .room = idle_room, .over = over };

static void room_is_given_once(void) {
    static const char bytes[60000];
    struct client c = dial(false);
    ask(&c, "GET /later" H "\r\n");
    struct http_exchange *x = seen.x;
    x->handler = &idle_handler;
    seen.rooms = 0;
    http_begin(x, 200, NULL, -1);
    while (http_room(x) >= sizeof bytes)
        http_send(x, bytes, sizeof bytes);
    settle();
    OK(seen.rooms == 0, "nobody reads: there is no room");
    hear(&c);
    UNTIL(seen.rooms > 0);
    settle();
    OK(seen.rooms == 1 && http_room(x) == MAX_HTTP_OUT, "then there is, which is told once");
    http_end(x);
    UNTIL(heard(&c, "\r\n0\r\n\r\n"));
    hang_up(&c);
    settle();
}

/* --- upgrades --------------------------------------------------------------------------------- */

#define UPGRADE "Connection: Upgrade\r\nUpgrade: echo\r\n"

static void upgrades(void) {
    struct client c = dial(true);
    int overs = seen.over, cuts = seen.cut, at_end = seen.ends;
    ask(&c, "POST /shout" H UPGRADE "Content-Length: 2\r\n\r\n{}early");
    OK(begins(&c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"),
       "101");
    OK(ends(&c, "\r\n\r\nearly") && !has(&c, "Length") && !has(&c, "chunked"),
       "what came with the request is the first that is taken");
    ask(&c, "GET /hello" H "\r\n");
    OK(ends(&c, "\r\n\r\n") && begins(&c, "GET /hello"), "from there on bytes are bytes");
    pass(HTTP_BODY_S * 2000);
    ask(&c, "still?");
    OK(ends(&c, "still?"), "and silence is no stall");
    (void)shutdown(c.fd, SHUT_WR);
    UNTIL(heard_end(&c));
    OK(seen.ends == at_end + 1 && c.eof && !c.error, "the client's end is told; we end, too");
    UNTIL(server.n == 0);
    OK(seen.over == overs + 1 && seen.cut == cuts, "and it is over, whole");
    hang_up(&c);
    c = dial(false);
    ask(&c, "GET /shout" H UPGRADE "\r\n");
    http_send(seen.x, "bye", 3);
    http_end(seen.x);
    UNTIL(heard_end(&c));
    OK(ends(&c, "\r\n\r\nbye") && seen.ends == at_end + 1, "we end first: what was sent comes");
    UNTIL(seen.over == overs + 2);
    OK(server.n == 1 && seen.cut == cuts, "it is over, but the client may still be writing");
    (void)say(&c, "more");
    settle();
    OK(server.n == 1, "which is read away");
    hang_up(&c);
    UNTIL(server.n == 0);
}

static void upgraded_pauses(void) {
    struct client c = dial(true);
    int cuts = seen.cut;
    seen.take = 2;
    ask(&c, "GET /shout" H UPGRADE "\r\n12345");
    OK(ends(&c, "\r\n\r\n12"), "it pauses");
    seen.take = SIZE_MAX;
    http_resume(seen.x);
    UNTIL(heard(&c, "12345"));
    OK(ends(&c, "\r\n\r\n12345"), "and goes on");
    http_cut(seen.x);
    UNTIL(heard_end(&c));
    OK(seen.cut == cuts + 1, "cut from outside");
    hang_up(&c);
    settle();
}

/* --- ends ------------------------------------------------------------------------------------- */

/* A client whose request is waiting for its answer; this has begun, or not. */
static struct client dial_and_wait(bool tcp, bool begun) {
    struct client c = dial(tcp);
    (void)say(&c, "GET /later" H "\r\n");
    UNTIL(seen.x);
    if (begun)
        http_begin(seen.x, 200, NULL, -1);
    settle();
    return c;
}

static void half_closed(void) {
    struct client c = dial_and_wait(true, false);
    (void)shutdown(c.fd, SHUT_WR);
    settle();
    OK(seen.x != NULL, "a client that has said all it will may still wait for the answer");
    text_answer(seen.x, 200, "here\n");
    UNTIL(heard_end(&c));
    OK(begins(&c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200") && ends(&c, "here\n") && !c.error,
       "and gets it, after it was asked whether it is there");
    hang_up(&c);
    for (int n = 0; n < 3; n++) {
        c = dial_and_wait(true, true);
        (void)shutdown(c.fd, SHUT_WR);
        settle();
        if (n > 0)
            http_send(seen.x, "abc", 3);
        if (n > 1)
            http_send(seen.x, "defghijklmnopqrst", 17);
        settle();
        http_end(seen.x);
        UNTIL(heard_end(&c));
        OK(ends(&c, n == 0   ? "\r\n\r\n00\r\n\r\n"
                    : n == 1 ? "\r\n\r\n03\r\nabc\r\n0\r\n\r\n"
                             : "\r\n\r\n03\r\nabc\r\n11\r\ndefghijklmnopqrst\r\n0\r\n\r\n"),
           "a zero more in front of %d chunks is part of a size", n + 1);
        hang_up(&c);
    }
    settle();
}

static void gone(void) {
    int cuts = seen.cut;
    struct client c = dial_and_wait(false, false);
    struct linger now = { .l_onoff = 1 };
    hang_up(&c);
    UNTIL(!seen.x);
    OK(!seen.x && seen.cut == cuts + 1, "one that is gone is noticed at once on a unix socket");
    c = dial_and_wait(true, false);
    (void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up(&c);
    UNTIL(!seen.x);
    OK(!seen.x && seen.cut == cuts + 2, "and one that resets on TCP");
    for (int begun = 0; begun < 2; begun++) {
        c = dial_and_wait(true, begun);
        hang_up(&c);
        UNTIL(!seen.x);
        OK(!seen.x && seen.cut == cuts + 3 + begun,
           "and one that ends as if it would read on on TCP, %s",
           begun ? "in its answer" : "before it");
    }
}

static void cut_bodies(void) {
    int cuts = seen.cut;
    struct client c = dial(true);
    (void)say(&c, "PUT /count" H "Content-Length: 5\r\n\r\n123");
    (void)shutdown(c.fd, SHUT_WR);
    UNTIL(heard_end(&c));
    OK(has(&c, "400 Bad Request") && seen.cut == cuts, "a body that is cut short is refused");
    hang_up(&c);
    c = dial(false);
    (void)say(&c, "POST /echo" H "Content-Length: 5\r\n\r\n123");
    (void)shutdown(c.fd, SHUT_WR);
    UNTIL(heard_end(&c));
    OK(!has(&c, "400 ") && !ends(&c, "0\r\n\r\n") && seen.cut == cuts + 1,
       "once its answer has begun, that is cut, too");
    hang_up(&c);
    c = dial(true);
    (void)say(&c, "GET /later HTTP/1.0\r\n\r\n");
    UNTIL(seen.x);
    http_begin(seen.x, 200, NULL, -1);
    http_send(seen.x, "part", 4);
    settle();
    http_cut(seen.x);
    UNTIL(heard_end(&c));
    OK(c.eof && c.error == ECONNRESET, "an answer without a length is cut by a reset");
    hang_up(&c);
    settle();
}

static void deadlines(void) {
    struct client c = dial(true), slow = dial(true), body = dial(true), big_one = dial(true);
    int cuts = seen.cut;
    settle();
    (void)say(&slow, "GET /hello HTTP/1.1\r\n");
    (void)say(&body, "PUT /count" H "Content-Length: 100\r\n\r\n1");
    (void)say(&big_one, "POST /echo" H "Content-Length: 100\r\n\r\n1");
    settle();
    for (int i = 1; i < HTTP_HEAD_S; i++) {
        pass(1000);
        (void)say(&slow, "A: b\r\n");
    }
    pass(999);
    hear(&slow);
    OK(server.n == 4 && slow.n == 0, "a head may take 10 seconds");
    pass(1);
    hear(&slow);
    OK(has(&slow, "408 Request Timeout") && slow.eof && !slow.error, "and no longer");
    pass(49000);
    (void)say(&body, "2");
    settle();
    pass(999);
    hear(&c);
    OK(!c.eof, "a connection may be idle for a minute");
    pass(1);
    hear(&c);
    OK(c.eof && c.n == 0, "then it is closed");
    hear(&big_one);
    OK(seen.cut == cuts + 1 && big_one.eof, "a body that stalls ends the answer that has begun");
    pass(HTTP_BODY_S * 1000 - 1001);
    hear(&body);
    OK(body.n == 0, "another has moved");
    pass(1);
    hear(&body);
    OK(has(&body, "408 Request Timeout") && body.eof && seen.cut == cuts + 1,
       "until it stalls as well");
    hang_up(&c), hang_up(&slow), hang_up(&body), hang_up(&big_one);
    UNTIL(server.n == 0);
}

static void rests(void) {
    struct client c = dial(true);
    seen.x = NULL;
    (void)say(&c, "PUT /count" H "Content-Length: 2\r\n\r\n1");
    UNTIL(seen.x);
    seen.x->patient = true;
    for (int i = 0; i < 3; i++)
        pass(HTTP_BODY_S * 1000);
    hear(&c);
    OK(c.n == 0 && !c.eof, "a body may rest where that is expected");
    ask(&c, "2");
    OK(has(&c, "200 OK") && !c.eof, "and goes on");
    hang_up(&c);
    UNTIL(server.n == 0);
}

static void closes(void) {
    struct client idle = dial(true), half = dial(true), late = dial(true);
    ask(&idle, "GET /hello" H "\r\n");
    (void)say(&half, "GET /hel");
    (void)say(&late, "GET /later" H "\r\n");
    UNTIL(seen.x);
    settle();
    OK(http_server_busy(&server), "one is being answered");
    http_server_close(&server);
    settle();
    hear(&idle);
    OK(idle.eof && server.n == 1, "closed: those without a request go at once");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    OK(connect(fd, (struct sockaddr *)&unix_address, unix_len) == 0, "the socket is not ours");
    settle();
    OK(server.n == 1, "but who connects is not taken");
    (void)close(fd);
    text_answer(seen.x, 200, "bye\n");
    UNTIL(heard_end(&late));
    OK(has(&late, "Connection: close\r\n") && ends(&late, "bye\n"), "the last one is answered");
    hang_up(&idle), hang_up(&half), hang_up(&late);
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    OK(loop_init(&loop, &sys) == 0, "a loop");
    serve(&site, 64);
    keeps_alive();
    pipelines();
    byte_by_byte();
    head_and_lengths();
    routing();
    who_asks();
    bad_requests();
    long_requests();
    continues();
    early_answers();
    early_answers_to_much();
    pauses();
    json_bodies();
    large_json();
    slow_readers();
    stalled_readers();
    fields();
    room_is_given_once();
    upgrades();
    upgraded_pauses();
    half_closed();
    gone();
    cut_bodies();
    deadlines();
    rests();
    closes();
    serve_no_more();
    OK(seen.opened == seen.over, "%d exchanges had a handler, and %d were over", seen.opened,
       seen.over);
    loop_fini(&loop);
    return tap_end();
}
