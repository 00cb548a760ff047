/* The client against a scripted peer: one end of a socket pair, in a fork. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/own.h"
#include "http/client.h"
#include "tests/unit/tap.h"

enum { SOON_MS = 5000 };

/* --- the peer --------------------------------------------------------------------------------- */

struct script {
    const char *answer;
    size_t n;          /* 0: strlen(answer) */
    size_t piece;      /* bytes at once; 0: all */
    size_t read_first; /* bytes of the request that are read before it answers; 0: a head */
    bool mute;         /* stay, saying no more */
    bool deaf;         /* answer without reading, and read no more */
    int seen;          /* what was read goes here */
};

static void nap_ms(int ms) { (void)poll(NULL, 0, ms); }

static void read_head(int fd, int seen) {
    char c[4] = "";
    while (memcmp(c, "\r\n\r\n", 4) != 0) {
        memmove(c, c + 1, 3);
        if (read(fd, c + 3, 1) != 1)
            return;
        (void)!write(seen, c + 3, 1);
    }
}

static void play(const struct script *s, int fd) {
    char buf[65536];
    size_t n = s->n ? s->n : strlen(s->answer), piece = s->piece ? s->piece : n;
    if (!s->deaf)
        read_head(fd, s->seen);
    for (size_t got = 0; got < s->read_first;) {
        ssize_t k = read(fd, buf, sizeof buf);
        if (k <= 0)
            break;
        if (got < 4096) /* nobody empties that pipe meanwhile */
            (void)!write(s->seen, buf, k < 4096 ? (size_t)k : 4096);
        got += (size_t)k;
    }
    for (size_t at = 0; at < n; at += piece) {
        (void)!write(fd, s->answer + at, n - at < piece ? n - at : piece);
        if (s->piece)
            nap_ms(1);
    }
    struct pollfd p = { .fd = fd, .events = POLLRDHUP };
    if (s->mute)
        (void)poll(&p, 1, 2 * SOON_MS);
}

struct peer {
    int fd, seen;
    pid_t pid;
};

static struct peer peer_start(struct script s) {
    int pair[2], pipes[2];
    (void)!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    (void)!pipe2(pipes, O_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        (void)signal(SIGPIPE, SIG_IGN);
        (void)close(pair[0]);
        s.seen = pipes[1];
        play(&s, pair[1]);
        _exit(0);
    }
    (void)close(pair[1]);
    (void)close(pipes[1]);
    return (struct peer){ pair[0], pipes[0], pid };
}

/* What the peer has read; at most cap - 1 bytes, NUL-terminated. */
static size_t peer_end(struct peer *p, char *seen, size_t cap) {
    size_t n = 0;
    ssize_t k;
    char rest[4096];
    fd_close(&p->fd);
    while ((k = read(p->seen, n < cap - 1 ? seen + n : rest, n < cap - 1 ? cap - 1 - n : 4096)) > 0)
        n += n < cap - 1 ? (size_t)k : 0;
    if (cap)
        seen[n] = '\0';
    (void)kill(p->pid, SIGKILL);
    (void)waitpid(p->pid, NULL, 0);
    fd_close(&p->seen);
    return n;
}

/* --- one exchange ----------------------------------------------------------------------------- */

static struct http_client *c;

struct got {
    int rc; /* of ask, or of reading the body */
    int status;
    char *body; /* owned */
    ssize_t len;
    struct err e;
    char seen[8192];
};

static const struct http_request get = { .method = "GET", .target = "/x" };

static struct got ask_within(struct script s, const struct http_request *r, int ms) {
    struct got g = { .status = 0 };
    struct peer p = peer_start(s);
    http_client_init(c, p.fd, instant_add(instant_now(), span_ms(ms)), SPAN_NEVER);
    g.rc = http_client_ask(c, r, &g.e);
    if (g.rc == 0) {
        g.status = c->head.status;
        g.len = http_client_whole(c, 1 << 20, &g.body, &g.e);
        g.rc = g.len < 0 ? (int)g.len : 0;
    }
    (void)peer_end(&p, g.seen, sizeof g.seen);
    return g;
}

static struct got ask(const char *answer, size_t piece) {
    return ask_within((struct script){ .answer = answer, .piece = piece }, &get, SOON_MS);
}

static bool is(const struct got *g, int status, const char *body) {
    return g->rc == 0 && g->status == status && strcmp(g->body, body) == 0;
}

static void forget(struct got *g) { free(g->body); }

/* --- answers ---------------------------------------------------------------------------------- */

static const struct {
    const char *what, *answer;
    int rc, status;
    const char *body;
} answers[] = {
    { "a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 0, 200, "hello" },
    { "a length of 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 200, "" },
    { "no body by its status", "HTTP/1.1 204 No Content\r\n\r\n", 0, 204, "" },
    { "chunks",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: "
      "v\r\n\r\n",
      0, 200, "abcde" },
    { "until the end", "HTTP/1.0 200 OK\r\n\r\nto the end", 0, 200, "to the end" },
    { "an error is an answer", "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", 0, 404,
      "no" },
    { "interim answers are passed over",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      0, 200, "ok" },
    { "bytes behind a body are not its", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 5",
      0, 200, "ok" },
    { "a cut length", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", -EPROTO, 200, NULL },
    { "a cut chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", -EPROTO, 200,
      NULL },
    { "chunks without the last",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", -EPROTO, 200, NULL },
    { "the last chunk without its end",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", -EPROTO, 200,
      NULL },
    { "a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
      -EPROTO, 200, NULL },
    { "nothing", "", -ECONNRESET, 0, NULL },
    { "half a head", "HTTP/1.1 200 OK\r\nContent-Le", -ECONNRESET, 0, NULL },
    { "only an interim answer", "HTTP/1.1 100 Continue\r\n\r\n", -ECONNRESET, 0, NULL },
    { "no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", -EPROTO, 0, NULL },
    { "two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", -EPROTO,
      0, NULL },
};

static void test_answers(void) {
    static const size_t pieces[] = { 0, 1, 7 };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
            struct got g = ask(answers[i].answer, pieces[k]);
            bool right = g.rc == answers[i].rc && g.status == answers[i].status &&
                         (!answers[i].body || strcmp(g.body, answers[i].body) == 0) &&
                         (g.rc == 0) == (g.e.code == 0);
            if (!OK(right, "%s, %zu bytes at once", answers[i].what, pieces[k]))
                (void)printf("# rc %d status %d: %s\n", g.rc, g.status, g.e.text);
            forget(&g);
        }
}

/* As large as it may be, and more than a buffer of it. */
static void test_large(void) {
    enum { HEAD = 30000, BODY = 300000 };
    char *answer = malloc(HEAD + BODY + 100);
    size_t n = (size_t)sprintf(answer, "HTTP/1.1 200 OK\r\nX: ");
    memset(answer + n, 'x', HEAD);
    n += HEAD;
    n += (size_t)sprintf(answer + n, "\r\nContent-Length: %d\r\n\r\n", BODY);
    for (size_t i = 0; i < BODY; i++)
        answer[n + i] = (char)('a' + i % 26);
    struct script s = { .answer = answer, .n = n + BODY };
    struct got g = ask_within(s, &get, SOON_MS);
    OK(g.rc == 0 && g.len == BODY && memcmp(g.body, answer + n, BODY) == 0,
       "a head and a body larger than a buffer");
    forget(&g);
    s.n--;
    g = ask_within(s, &get, SOON_MS);
    OK(g.rc == -EPROTO && strstr(g.e.text, "299999 bytes"), "one byte short: %s", g.e.text);
    forget(&g);
    memset(answer, 'x', 60000);
    s.n = 60000;
    g = ask_within(s, &get, SOON_MS);
    OK(g.rc == -EPROTO, "a head without an end: %s", g.e.text);
    forget(&g);
    struct peer p = peer_start(
        (struct script){ .answer = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world" });
    http_client_init(c, p.fd, instant_add(instant_now(), span_ms(SOON_MS)), SPAN_NEVER);
    OK(http_client_ask(c, &get, &g.e) == 0 && http_client_whole(c, 10, &g.body, &g.e) == -EFBIG,
       "a body larger than wanted");
    (void)peer_end(&p, g.seen, sizeof g.seen);
    free(answer);
}

/* --- requests --------------------------------------------------------------------------------- */

struct counted {
    struct http_source source;
    size_t left, piece;
    int fail; /* after `left` bytes: -errno instead of the end */
    size_t asked;
};

static ssize_t take_counted(struct http_source *s, char *buf, size_t cap, struct err *e) {
    struct counted *k = (struct counted *)s;
    size_t n = k->left < k->piece ? k->left : k->piece;
    n = n < cap ? n : cap;
    k->asked++;
    if (n == 0 && k->fail)
        return err_sys(e, k->fail, "read it");
    memset(buf, 'z', n);
    k->left -= n;
    return (ssize_t)n;
}

static struct counted counted(size_t n, size_t piece, int64_t length) {
    return (struct counted){ .source = { .take = take_counted, .fd = -1, .length = length },
                             .left = n,
                             .piece = piece };
}

#define ANSWER_OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void test_requests(void) {
    struct http_request post = {
        .method = "POST", .target = "/y", .body = "{}", .length = 2, .fields = "A: b\r\n"
    };
    struct got g =
        ask_within((struct script){ .answer = ANSWER_OK, .read_first = 2 }, &post, SOON_MS);
    OK(is(&g, 200, "ok") && strstr(g.seen, "POST /y HTTP/1.1\r\nHost: pinnace\r\n") == g.seen &&
           strstr(g.seen, "Content-Length: 2\r\n") && strstr(g.seen, "A: b\r\n") &&
           strstr(g.seen, "\r\n\r\n{}"),
       "a body of bytes");
    forget(&g);
    post.body = NULL;
    g = ask_within((struct script){ .answer = ANSWER_OK }, &post, SOON_MS);
    OK(is(&g, 200, "ok") && strstr(g.seen, "Content-Length: 0\r\n"),
       "a POST without a body says so");
    forget(&g);
    g = ask(ANSWER_OK, 0);
    OK(is(&g, 200, "ok") && !strstr(g.seen, "Content-Length") &&
           strstr(g.seen, "Connection: close"),
       "a GET says nothing of a body");
    forget(&g);
    char *field = malloc(20000);
    memset(field, 'f', 20000);
    memcpy(field + 19997, "\r\n", 3);
    struct http_request big = { .method = "GET", .target = "/", .fields = field };
    g = ask_within((struct script){ .answer = ANSWER_OK }, &big, SOON_MS);
    OK(g.rc == -ENAMETOOLONG, "fields that are too long are not cut: %s", g.e.text);
    free(field);
}

static void test_sources(void) {
    struct counted k = counted(300, 100, -1);
    struct http_request put = { .method = "PUT", .target = "/z", .source = &k.source };
    struct got g =
        ask_within((struct script){ .answer = ANSWER_OK, .read_first = 323 }, &put, SOON_MS);
    const char *body = strstr(g.seen, "\r\n\r\n");
    OK(is(&g, 200, "ok") && strstr(g.seen, "Transfer-Encoding: chunked\r\n") && body &&
           strncmp(body + 4, "64\r\nzz", 6) == 0 && strlen(body + 4) == 3 * 106 + 5 &&
           strcmp(body + 4 + 3 * 106, "0\r\n\r\n") == 0,
       "a source of unknown length is sent in chunks");
    forget(&g);
    k = counted(300, 77, 300);
    g = ask_within((struct script){ .answer = ANSWER_OK, .read_first = 300 }, &put, SOON_MS);
    body = strstr(g.seen, "\r\n\r\n");
    OK(is(&g, 200, "ok") && strstr(g.seen, "Content-Length: 300\r\n") && body &&
           strlen(body + 4) == 300,
       "one of known length as it is");
    forget(&g);
    k = counted(500, 77, 300);
    g = ask_within((struct script){ .answer = ANSWER_OK, .read_first = 300 }, &put, SOON_MS);
    body = strstr(g.seen, "\r\n\r\n");
    OK(is(&g, 200, "ok") && body && strlen(body + 4) == 300, "and never more than was said");
    forget(&g);
    k = counted(200, 77, 300);
    g = ask_within((struct script){ .answer = ANSWER_OK, .read_first = 300 }, &put, SOON_MS);
    OK(g.rc == -EIO && strstr(g.e.text, "100 bytes fewer"), "too short a source: %s", g.e.text);
    k = counted(200, 77, -1);
    k.fail = ENODEV;
    g = ask_within((struct script){ .answer = ANSWER_OK, .read_first = 2000 }, &put, SOON_MS);
    OK(g.rc == -ENODEV && !strstr(g.seen, "0\r\n\r\n"), "a source that fails is not ended: %s",
       g.e.text);
    k = counted(0, 77, 0);
    g = ask_within((struct script){ .answer = ANSWER_OK }, &put, SOON_MS);
    OK(is(&g, 200, "ok") && k.asked == 0, "an empty one");
    forget(&g);
}

#define REFUSAL "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull"

/* The answer comes while most of the body is still to be sent. */
static void test_early_answer(void) {
    struct counted k = counted(64 << 20, 65536, -1);
    struct http_request put = { .method = "PUT", .target = "/z", .source = &k.source };
    struct script s = { .answer = REFUSAL, .read_first = 1000, .mute = true };
    instant begun = instant_now();
    struct got g = ask_within(s, &put, SOON_MS);
    OK(is(&g, 413, "full") && k.left > 0, "an early refusal ends the sending");
    OK(span_to_ms(instant_since(instant_now(), begun)) < SOON_MS, "at once");
    forget(&g);
    s.mute = false;
    k = counted(64 << 20, 65536, 64 << 20);
    g = ask_within(s, &put, SOON_MS);
    OK(is(&g, 413, "full"), "also when the peer is gone then");
    forget(&g);
    s.answer = "HTTP/1.1 100 Continue\r\n\r\n" ANSWER_OK;
    s.read_first = 1 << 20;
    k = counted(1 << 20, 65536, 1 << 20);
    g = ask_within(s, &put, SOON_MS);
    OK(is(&g, 200, "ok") && k.left == 0, "an interim answer does not");
    forget(&g);
    char *much = calloc(1, 8 << 20);
    struct http_request post = { .method = "POST", .target = "/", .body = much, .length = 8 << 20 };
    s = (struct script){ .answer = REFUSAL, .mute = true };
    g = ask_within(s, &post, SOON_MS);
    OK(is(&g, 413, "full"), "the same for a body of bytes");
    forget(&g);
    s.answer = "";
    s.mute = false;
    g = ask_within(s, &post, SOON_MS);
    OK(g.rc == -ECONNRESET, "a peer that goes: %s", g.e.text);
    free(much);
}

/* A source that has nothing yet: the refusal is heard all the same. */
static ssize_t take_pipe(struct http_source *s, char *buf, size_t cap, struct err *e) {
    (void)e;
    return read(s->fd, buf, cap);
}

static void test_slow_source(void) {
    int pipes[2];
    (void)!pipe2(pipes, O_CLOEXEC);
    struct http_source source = { .take = take_pipe, .fd = pipes[0], .length = -1 };
    struct http_request put = { .method = "PUT", .target = "/z", .source = &source };
    struct got g = ask_within((struct script){ .answer = REFUSAL, .mute = true }, &put, SOON_MS);
    OK(is(&g, 413, "full"), "a refusal is heard while the source has nothing");
    forget(&g);
    (void)!write(pipes[1], "abc", 3);
    (void)close(pipes[1]);
    g = ask_within((struct script){ .answer = ANSWER_OK, .read_first = 13 }, &put, SOON_MS);
    const char *body = strstr(g.seen, "\r\n\r\n");
    OK(is(&g, 200, "ok") && body && strcmp(body + 4, "3\r\nabc\r\n0\r\n\r\n") == 0,
       "a pipe to its end");
    forget(&g);
    (void)close(pipes[0]);
}

/* --- time ------------------------------------------------------------------------------------- */

static void test_deadlines(void) {
    struct got g = ask_within((struct script){ .answer = "", .mute = true }, &get, 60);
    OK(g.rc == -ETIMEDOUT && strstr(g.e.text, "no answer"), "no answer: %s", g.e.text);
    g = ask_within((struct script){ .answer = "HTTP/1.1 200", .mute = true }, &get, 60);
    OK(g.rc == -ETIMEDOUT && strstr(g.e.text, "part"), "half a head: %s", g.e.text);
    struct script half = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
                           .mute = true };
    g = ask_within(half, &get, 60);
    OK(g.rc == -ETIMEDOUT && g.status == 200, "half a body: %s", g.e.text);
    char *much = calloc(1, 8 << 20);
    struct http_request post = { .method = "POST", .target = "/", .body = much, .length = 8 << 20 };
    g = ask_within((struct script){ .answer = "", .deaf = true, .mute = true }, &post, 60);
    OK(g.rc == -ETIMEDOUT, "a peer that does not read: %s", g.e.text);
    free(much);
    struct peer p = peer_start(half);
    http_client_init(c, p.fd, INSTANT_NEVER, span_ms(50));
    int rc = http_client_ask(c, &get, &g.e);
    ssize_t n = rc == 0 ? http_client_whole(c, 100, &g.body, &g.e) : rc;
    OK(rc == 0 && n == -ETIMEDOUT, "a peer that falls silent, without a deadline for all of it");
    (void)peer_end(&p, g.seen, sizeof g.seen);
    struct script slow = { .answer = ANSWER_OK, .piece = 1 };
    p = peer_start(slow);
    http_client_init(c, p.fd, INSTANT_NEVER, span_ms(1000));
    rc = http_client_ask(c, &get, &g.e);
    OK(rc == 0 && http_client_whole(c, 100, &g.body, &g.e) == 2, "one that is slow is waited for");
    forget(&g);
    (void)peer_end(&p, g.seen, sizeof g.seen);
}

/* --- upgrade ---------------------------------------------------------------------------------- */

static void test_upgrade(void) {
    struct http_request r = {
        .method = "POST", .target = "/", .body = "{}", .length = 2, .upgrade = "x-stream"
    };
    struct peer p = peer_start(
        (struct script){ .answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                   "Upgrade: x-stream\r\n\r\n\1\2rest",
                         .read_first = 2 });
    struct err e = { 0 };
    char seen[2048];
    http_client_init(c, p.fd, instant_add(instant_now(), span_ms(SOON_MS)), SPAN_NEVER);
    int rc = http_client_ask(c, &r, &e);
    OK(rc == 0 && c->head.status == 101, "101 is an answer: %s", e.text);
    struct slice rest = http_client_rest(c);
    OK(rest.n <= 6 && memcmp(rest.s, "\1\2rest", rest.n) == 0, "with what came behind its head");
    OK(http_client_rest(c).n == 0, "once");
    (void)peer_end(&p, seen, sizeof seen);
    OK(strstr(seen, "Connection: Upgrade\r\nUpgrade: x-stream\r\n") && !strstr(seen, "close"),
       "it was asked for");
}

int main(void) {
    c = malloc(sizeof *c);
    test_answers();
    test_large();
    test_requests();
    test_sources();
    test_early_answer();
    test_slow_source();
    test_deadlines();
    test_upgrade();
    free(c);
    return tap_end();
}
