#include "tests/unit/t_probe.h"

#include <poll.h>

#include "probes/parse.h"

/* A server that gives every client the same answer, in the pieces and pauses asked for. */
struct http {
    int listener;
    struct shared *shared;
    const char *answer;
    size_t n;
    size_t piece; /* bytes at once; 0: all */
    span pause;   /* after each piece */
    bool stay;    /* do not close at the end */
};

static void serve_one(struct http *h, int fd) {
    ssize_t n = read(fd, h->shared->seen, sizeof h->shared->seen - 1);
    h->shared->seen[n > 0 ? n : 0] = '\0';
    size_t piece = h->piece ? h->piece : h->n;
    for (size_t at = 0; at < h->n; at += piece) {
        size_t left = h->n - at;
        if (write(fd, h->answer + at, left < piece ? left : piece) < 0)
            return;
        if (h->pause.ns > 0)
            nap(h->pause);
    }
    while (h->stay && read(fd, h->shared->seen, 1) > 0)
        ;
}

static void serve(void *arg) {
    struct http *h = arg;
    for (;;) {
        int fd = accept(h->listener, NULL, NULL);
        serve_one(h, fd);
        (void)close(fd);
    }
}

static uint16_t port;
static struct http server;

/* Ask a fresh server, which answers `answer`, for "http://127.0.0.1:PORT<rest>". */
static struct asked get(const char *answer, const char *rest, span timeout) {
    char text[512];
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%u%s", port, rest);
    server.answer = answer;
    server.n = server.n ? server.n : strlen(answer);
    pid_t pid = server_start(serve, &server);
    struct asked a = ask_probe(text, timeout);
    server_stop(pid);
    server.n = 0;
    return a;
}

static const struct row {
    const char *what, *rest, *answer;
    int rc;
    const char *reason; /* a part of it */
} rows[] = {
    { "200", "/", "HTTP/1.1 200 OK\r\n\r\n", 0, "" },
    { "HTTP/1.0", "/", "HTTP/1.0 200 OK\r\n\r\n", 0, "" },
    { "no words, no blank", "/", "HTTP/1.1 204\r\n\r\n", 0, "" },
    { "bare newlines", "/", "HTTP/1.1 200 OK\n\n", 0, "" },
    { "399", "/", "HTTP/1.1 399 x\r\n\r\n", 0, "" },
    { "400", "/", "HTTP/1.1 400 Bad\r\n\r\n", -EPROTO, ": status 400 Bad, wanted 200-399" },
    { "503", "/", "HTTP/1.1 503 \r\n\r\n", -EPROTO, ": status 503, wanted 200-399" },
    { "401 is wanted", "/ status=401", "HTTP/1.1 401 No\r\n\r\n", 0, "" },
    { "200 is not wanted", "/ status=401", "HTTP/1.1 200 OK\r\n\r\n", -EPROTO,
      "status 200 OK, wanted 401" },
    { "100 comes before 200", "/",
      "HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 0, "" },
    { "100 alone", "/", "HTTP/1.1 100 Continue\r\n\r\n", -ECONNRESET, "before a status line" },
    { "nothing", "/", "", -ECONNRESET, "before a status line" },
    { "another protocol", "/", "SSH-2.0-OpenSSH_9.2\r\n", -EPROTO,
      "does not begin with an HTTP/1 status line: 'S" },
    { "HTTP/2", "/", "HTTP/2 200\r\n\r\n", -EPROTO, "status line: 'HTTP/2" },
    { "two digits", "/", "HTTP/1.1 20 OK\r\n\r\n", -EPROTO, "'HTTP/1.1 20 OK'" },
    { "four digits", "/", "HTTP/1.1 2000 OK\r\n\r\n", -EPROTO, "'HTTP/1.1 2000 OK'" },
    { "two blanks", "/", "HTTP/1.1  200 OK\r\n\r\n", -EPROTO, "status line" },
    { "no such status", "/", "HTTP/1.1 600 OK\r\n\r\n", -EPROTO, "status line" },
    { "control bytes are shown", "/", "HTTP/1.1 500 \033[2J\xc2\x9b\xff\xc3\xa4\r\n\r\n", -EPROTO,
      "status 500 \\x1b[2J\\xc2\\x9b\\xff\xc3\xa4, wanted" },
    { "body until the end", "/ body~all good", "HTTP/1.1 200 OK\r\n\r\n{all good}", 0, "" },
    { "another body", "/ body~all good", "HTTP/1.1 200 OK\r\n\r\n{all bad}", -EPROTO,
      "'all good' is not in the first 9 bytes of the body" },
    { "text in a header is not in the body", "/ body~secret",
      "HTTP/1.1 200 OK\r\nX: secret\r\nContent-Length: 0\r\n\r\nsecret", -EPROTO, "first 0 bytes" },
    { "the length ends the body", "/ body~cd", "HTTP/1.1 200 OK\r\ncontent-length:  3 \r\n\r\nabcd",
      -EPROTO, "first 3 bytes" },
    { "a length that is none", "/ body~x", "HTTP/1.1 200 OK\r\nContent-Length: 3x\r\n\r\nabc",
      -EPROTO, "length is not a number: 'Content-Length: 3x'" },
    { "chunks are joined", "/ body~needle",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nnee\r\n00A;x=y\r\ndle in hay\r\n0\r\n\r\n",
      0, "" },
    { "chunks end at zero", "/ body~x",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\ny\r\n0\r\nT: x\r\n\r\nx", -EPROTO,
      "first 1 bytes" },
    { "a chunk's size that is none", "/ body~x",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n", -EPROTO,
      "size is not a number: 'zz'" },
    { "a chunk that is too long", "/ body~x",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", -EPROTO,
      "longer than its size" },
    { "a header without a name", "/ body~x", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\nx", -EPROTO,
      "no name: 'nonsense'" },
    { "204 has no body", "/ status=204 body~x", "HTTP/1.1 204 No\r\n\r\nx", -EPROTO,
      "first 0 bytes" },
};

static void answers(void) {
    for (size_t piece = 0; piece < 2; piece++) {
        server.piece = piece;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            const struct row *r = &rows[i];
            struct asked a = get(r->answer, r->rest, span_s(5));
            if (!OK(a.rc == r->rc && strstr(a.e.text, r->reason), "%s%s", r->what,
                    piece ? ", byte by byte" : ""))
                printf("# %d: %s\n", a.rc, a.e.text);
        }
    }
    server.piece = 0;
}

static void request(void) {
    char want[256];
    struct asked a = get("HTTP/1.1 200 OK\r\n\r\n", "/a/b?c=d#e", span_s(5));
    (void)snprintf(want, sizeof want,
                   "GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: pinnace\r\n"
                   "Accept: */*\r\nConnection: close\r\n\r\n",
                   port);
    OK(a.rc == 0 && !strcmp(server.shared->seen, want), "the request is as RFC 9112 has it");
}

static void stay_open(void) {
    server.stay = true;
    OK(get("HTTP/1.1 200 OK\r\n", "/", span_s(5)).rc == 0,
       "the status line is enough; nobody waits for more");
    OK(get("HTTP/1.1 200 OK\r\n\r\nxx found", "/ body~found", span_s(5)).rc == 0,
       "so is the text, in a stream without an end");
    struct asked a = get("HTTP/1.1 200 OK\r\n\r\nxx", "/ body~found", span_ms(120));
    OK(on_time(a, span_ms(120)) && strstr(a.e.text, "only a part of the answer"), "%s", a.e.text);
    a = get("", "/", span_ms(120));
    OK(on_time(a, span_ms(120)) && strstr(a.e.text, "no answer in time"), "silence: %s", a.e.text);
    server.stay = false;
}

static void slowloris(void) {
    server.piece = 1;
    server.pause = span_ms(15);
    struct asked a = get("HTTP/1.1 200 OK is what it never comes to say\r\n", "/", span_ms(200));
    OK(on_time(a, span_ms(200)) && strstr(a.e.text, "only a part of the answer"),
       "a byte now and then: %s after %lld ms", a.e.text, (long long)span_to_ms(a.took));
    server.piece = 0;
    server.pause = span_ms(0);
}

/* Exactly at a limit, and one byte past it. */
static void limits(void) {
    char *big = calloc(1, 3 * MAX_PROBE_HEAD);
    const char *start = "HTTP/1.1 200 OK\r\nX: ";
    size_t n = strlen(start), fill = MAX_PROBE_HEAD - n - 4;
    memcpy(big, start, n);
    memset(big + n, 'x', fill + 1);
    memcpy(big + n + fill, "\r\n\r\nfound", 9);
    OK(get(big, "/ body~found", span_s(5)).rc == 0, "a head of %d bytes", MAX_PROBE_HEAD);
    memcpy(big + n + fill, "x\r\n\r\nfound", 10);
    struct asked a = get(big, "/ body~found", span_s(5));
    OK(a.rc == -EPROTO && strstr(a.e.text, "head is longer than"), "one more: %s", a.e.text);
    memset(big, 0, 3 * MAX_PROBE_HEAD);
    start = "HTTP/1.1 200 OK\r\n\r\n";
    n = strlen(start);
    memcpy(big, start, n);
    memset(big + n, 'x', MAX_PROBE_OUTPUT - 5);
    memcpy(big + n + MAX_PROBE_OUTPUT - 5, "found", 5);
    OK(get(big, "/ body~found", span_s(5)).rc == 0, "text at the end of %d bytes of body",
       MAX_PROBE_OUTPUT);
    memmove(big + n + 1, big + n, MAX_PROBE_OUTPUT);
    a = get(big, "/ body~found", span_s(5));
    OK(a.rc == -EPROTO && strstr(a.e.text, "first 4096 bytes"), "one byte later: %s", a.e.text);
    memset(big, 'H', MAX_PROBE_HEAD);
    server.n = MAX_PROBE_HEAD;
    a = get(big, "/", span_s(5));
    OK(a.rc == -EPROTO && strlen(a.e.text) < MAX_PROBE_REASON, "a reason is cut: %zu bytes",
       strlen(a.e.text));
    free(big);
}

static void over_unix(void) {
    char dir[] = "/tmp/t_probe.XXXXXX", path[64], text[128];
    if (!OK(mkdtemp(dir) != NULL, "a directory"))
        return;
    (void)snprintf(path, sizeof path, "%s/s", dir);
    (void)snprintf(text, sizeof text, "http+unix://%s:/x?y", path);
    struct asked a = ask_probe(text, span_s(5));
    OK(a.rc == -ENOENT && strstr(a.e.text, "connect /tmp/"), "no socket: %s", a.e.text);
    struct http h = server;
    h.listener = bound_unix(path);
    (void)listen(h.listener, 8);
    h.answer = "HTTP/1.1 200 OK\r\n\r\n";
    h.n = strlen(h.answer);
    pid_t pid = server_start(serve, &h);
    a = ask_probe(text, span_s(5));
    OK(a.rc == 0 && !strncmp(h.shared->seen, "GET /x?y HTTP/1.1\r\nHost: localhost\r\n", 36),
       "over a unix socket %s", a.e.text);
    server_stop(pid);
    (void)close(h.listener);
    (void)unlink(path);
    (void)rmdir(dir);
}

static void refused(void) {
    uint16_t closed = 0;
    AUTO_FD int fd = bound_tcp(&closed);
    OK(fd >= 0, "a port that nobody listens on");
    char text[64];
    (void)snprintf(text, sizeof text, "http://127.0.0.1:%u/", closed);
    struct asked a = ask_probe(text, span_s(5));
    OK(a.rc == -ECONNREFUSED && a.took.ns < span_s(1).ns, "refused at once: %s", a.e.text);
}

int main(void) {
    server.listener = bound_tcp(&port);
    (void)listen(server.listener, 16);
    server.shared = shared_new();
    answers();
    request();
    stay_open();
    slowloris();
    limits();
    over_unix();
    refused();
    shared_free(server.shared);
    (void)close(server.listener);
    return tap_end();
}
