/* Our HTTP/1.1 parser against http_parser 2.9 (Debian: libhttp-parser-dev): what ours takes, that
 * one takes as well, and both see the same method, path, fields, body, end and keep-alive. Where
 * it takes more it may.
 *
 *     http [SEED [MESSAGES]]
 */
#include <http_parser.h>

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "http/head.h"
#include "tests/unit/tap.h"

enum { MOST = 4096 };

struct message {
    enum { REQUEST, ANSWER, TO_HEAD } kind; /* TO_HEAD: an answer to HEAD */
    size_t n;
    char bytes[MOST];
};

/* What a parser makes of a message. */
struct seen {
    enum { REFUSED, BEGUN, WHOLE } verdict; /* BEGUN: the head is whole and good, the body is not */
    bool keep_alive;                        /* of a WHOLE one */
    size_t end;                             /* of a WHOLE one */
    struct text head, body;
    char head_bytes[2 * MOST], body_bytes[MOST + 1];
};

static void clear(struct seen *s) {
    s->verdict = REFUSED;
    s->keep_alive = false;
    s->end = 0;
    s->head = TEXT(s->head_bytes);
    s->body = TEXT(s->body_bytes);
}

/* A piece of the head in a form that both can write. */
static void put(struct seen *s, char mark, const char *bytes, size_t n) {
    while (n > 0 && (bytes[n - 1] == ' ' || bytes[n - 1] == '\t'))
        n--; /* http_parser leaves the blanks behind a value */
    text_put(&s->head, (char[]){ '\n', mark }, 2);
    text_put(&s->head, bytes, n);
}

#define MESSAGE(kind, text) \
    { kind, sizeof(text) - 1, text }

/* --- ours ---------------------------------------------------------------------------------- */

static void our_body(struct seen *s, const struct http_head *h, const struct message *m) {
    struct http_body b;
    http_body_begin(&b, h);
    s->verdict = BEGUN;
    s->end = h->len;
    while (!b.done && s->end < m->n) {
        struct slice data;
        int64_t used = http_body_next(&b, m->bytes + s->end, m->n - s->end, &data);
        if (used <= 0) {
            s->verdict = REFUSED;
            return;
        }
        text_put(&s->body, data.s, data.n);
        s->end += (size_t)used;
    }
    if (b.done || h->framing == HTTP_UNTIL_CLOSE)
        s->verdict = WHOLE;
}

static void ours(struct seen *s, struct http_head *h, const struct message *m) {
    struct http_scan scan = { 0 };
    clear(s);
    int rc = http_scan(&scan, m->bytes, m->n);
    if (rc <= 0)
        return;
    size_t len = (size_t)rc;
    rc = m->kind == REQUEST ? http_parse_request(h, m->bytes, len)
                            : http_parse_answer(h, m->bytes, len, m->kind == TO_HEAD);
    if (rc < 0)
        return;
    text_add(&s->head, "1.%d %d", h->minor, h->status);
    if (m->kind == REQUEST) {
        put(s, 'm', h->method.s, h->method.n);
        put(s, 'p', h->path.s, h->path.n);
        put(s, 'q', h->query.s, h->query.n);
    }
    for (size_t i = 0; i < h->nfields; i++) {
        put(s, 'n', h->bytes + h->fields[i].name, h->fields[i].name_len);
        put(s, 'v', h->bytes + h->fields[i].value, h->fields[i].value_len);
    }
    s->keep_alive = h->keep_alive;
    our_body(s, h, m);
}

/* --- theirs -------------------------------------------------------------------------------- */

struct theirs {
    struct seen *seen;
    const struct message *message;
    char target[MOST];
    size_t target_len;
    bool has_first, has_head;
};

static int on_target(http_parser *p, const char *at, size_t n) {
    struct theirs *t = p->data;
    memcpy(t->target + t->target_len, at, n);
    t->target_len += n;
    return 0;
}

/* http_parser_parse_url() takes only hosts that DNS could have, so the path is found by hand. */
static void put_target(struct seen *s, const struct theirs *t) {
    const char *path = t->target, *end = path + t->target_len;
    if (t->target_len > 7 && strncasecmp(path, "http://", 7) == 0)
        for (path += 7; path < end && *path != '/' && *path != '?';)
            path++;
    const char *query = memchr(path, '?', (size_t)(end - path));
    size_t n = (size_t)((query ? query : end) - path);
    put(s, 'p', n ? path : "/", n ? n : 1);
    put(s, 'q', query ? query + 1 : end, query ? (size_t)(end - query) - 1 : 0);
}

static void put_first(const http_parser *p) {
    struct theirs *t = p->data;
    if (t->has_first)
        return;
    t->has_first = true;
    bool request = t->message->kind == REQUEST;
    text_add(&t->seen->head, "%d.%d %d", p->http_major, p->http_minor,
             request ? 0 : (int)p->status_code);
    if (!request)
        return;
    const char *method = http_method_str(p->method);
    put(t->seen, 'm', method, strlen(method));
    put_target(t->seen, t);
}

static int on_name(http_parser *p, const char *at, size_t n) {
    struct theirs *t = p->data;
    put_first(p);
    if (!t->has_head) /* later ones are trailers */
        put(t->seen, 'n', at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n) {
    struct theirs *t = p->data;
    if (!t->has_head)
        put(t->seen, 'v', at, n);
    return 0;
}

static int on_head(http_parser *p) {
    struct theirs *t = p->data;
    put_first(p);
    t->has_head = true;
    t->seen->verdict = BEGUN;
    return t->message->kind == TO_HEAD; /* 1: there is no body */
}

static int on_body(http_parser *p, const char *at, size_t n) {
    struct theirs *t = p->data;
    text_put(&t->seen->body, at, n);
    return 0;
}

static int on_end(http_parser *p) {
    struct theirs *t = p->data;
    t->seen->verdict = WHOLE;
    t->seen->keep_alive = http_should_keep_alive(p) != 0;
    http_parser_pause(p, 1);
    return 0;
}

/* `closed`: the peer says no more after it. Returns why it is refused, if it is. */
static enum http_errno theirs(struct seen *s, const struct message *m, bool closed) {
    static const http_parser_settings settings = {
        .on_url = on_target,
        .on_header_field = on_name,
        .on_header_value = on_value,
        .on_headers_complete = on_head,
        .on_body = on_body,
        .on_message_complete = on_end,
    };
    static struct theirs t;
    http_parser p;
    clear(s);
    t = (struct theirs){ .seen = s, .message = m };
    http_parser_init(&p, m->kind == REQUEST ? HTTP_REQUEST : HTTP_RESPONSE);
    p.data = &t;
    s->end = http_parser_execute(&p, &settings, m->bytes, m->n);
    if (closed && s->verdict == BEGUN && HTTP_PARSER_ERRNO(&p) == HPE_OK)
        (void)http_parser_execute(&p, &settings, "", 0);
    enum http_errno error = HTTP_PARSER_ERRNO(&p);
    if (error == HPE_PAUSED)
        error = HPE_OK;
    if (error != HPE_OK)
        s->verdict = REFUSED;
    return error;
}

/* --- where they differ --------------------------------------------------------------------- */

enum difference { SAME, THEY_REFUSE, ANOTHER_HEAD, ANOTHER_BODY, ANOTHER_END, ANOTHER_KEEP_ALIVE };
static const char *const difference_words[] = {
    "none", "it refuses", "another head", "another body", "another end", "another keep-alive",
};

static bool same_text(const struct text *a, const struct text *b) {
    return a->len == b->len && memcmp(a->buf, b->buf, a->len) == 0;
}

static enum difference compare(const struct seen *our, const struct seen *their) {
    if (our->verdict == REFUSED)
        return SAME;
    if (their->verdict == REFUSED)
        return THEY_REFUSE;
    if (!same_text(&our->head, &their->head))
        return ANOTHER_HEAD;
    if (!same_text(&our->body, &their->body))
        return ANOTHER_BODY;
    if (our->verdict != their->verdict || our->end != their->end)
        return ANOTHER_END;
    return our->verdict == WHOLE && our->keep_alive != their->keep_alive ? ANOTHER_KEEP_ALIVE
                                                                         : SAME;
}

struct both {
    const struct message *message;
    struct seen our, their;
    struct http_head head;
    enum http_errno error; /* theirs */
    enum difference difference;
};

static void judge(struct both *b, const struct message *m) {
    b->message = m;
    ours(&b->our, &b->head, m);
    bool closed = b->our.verdict != REFUSED && b->head.framing == HTTP_UNTIL_CLOSE;
    b->error = theirs(&b->their, m, closed);
    b->difference = compare(&b->our, &b->their);
}

static bool is_other_method(const struct both *b) {
#define KNOWS(number, name, string) || http_is(b->head.method, #string)
    return b->error == HPE_INVALID_METHOD && !(false HTTP_METHOD_MAP(KNOWS));
#undef KNOWS
}

static bool is_length_of_304(const struct both *b) {
    return b->head.status == 304 && (http_field(&b->head, "Content-Length").s ||
                                     http_field(&b->head, "Transfer-Encoding").s);
}

static bool is_about_length(const struct both *b) {
    return b->error == HPE_INVALID_CONTENT_LENGTH || b->error == HPE_UNEXPECTED_CONTENT_LENGTH ||
           b->error == HPE_INVALID_TRANSFER_ENCODING;
}

static bool is_longer_name(const struct both *b) {
    static const char name[] = "Transfer-Encoding";
    for (size_t i = 0; i < b->head.nfields; i++) {
        const struct http_field *f = &b->head.fields[i];
        if (f->name_len > sizeof name - 1 &&
            strncasecmp(b->head.bytes + f->name, name, sizeof name - 1) == 0)
            return true;
    }
    return false;
}

/* The body is chunked, and a line in it or behind begins with such a name. */
static bool is_trailer(const struct both *b) {
    static const char *const names[] = { "\nContent-Length:", "\nTransfer-Encoding",
                                         "\nConnection:", "\nProxy-Connection:" };
    if (b->head.framing != HTTP_CHUNKED ||
        !(is_about_length(b) || b->difference == ANOTHER_KEEP_ALIVE))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (size_t at = b->head.len, n = strlen(names[i]); at + n <= b->message->n; at++)
            if (strncasecmp(b->message->bytes + at, names[i], n) == 0)
                return true;
    return false;
}

static bool is_proxy_connection(const struct both *b) {
    return b->difference == ANOTHER_KEEP_ALIVE && http_field(&b->head, "Proxy-Connection").s;
}

static bool is_close_and_keep(const struct both *b) {
    return b->difference == ANOTHER_KEEP_ALIVE && !b->our.keep_alive && b->head.minor == 0 &&
           http_lists(&b->head, "Connection", "close");
}

static bool is_odd_list(const struct both *b) {
    static const char name[] = "Connection:";
    for (size_t i = 0; i < b->head.nfields && b->difference == ANOTHER_KEEP_ALIVE; i++) {
        const char *line = b->head.bytes + b->head.fields[i].name, *v = line + sizeof name - 1;
        size_t n = strcspn(v, "\r");
        bool odd = memchr(v, '\t', n) || memchr(v, ';', n) || memmem(v, n, ",,", 2) ||
                   memmem(v, n, ", ,", 3) || v[strspn(v, " ")] == ',';
        if (strncasecmp(line, name, sizeof name - 1) == 0 && odd)
            return true;
    }
    return false;
}

/* Those that are meant. Each has a specimen, so that none stays here without need. */
static const struct known {
    const char *reason;
    bool (*is)(const struct both *b);
    struct message specimen;
} knowns[] = {
    { "it has a list of methods; here the caller says which there are", is_other_method,
      MESSAGE(REQUEST, "GETX / HTTP/1.1\r\nHost: x\r\n\r\n") },
    { "304 never has a body (RFC 9112 6.3), also with the length that 200 would have",
      is_length_of_304, MESSAGE(ANSWER, "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\nHTTP/1.1") },
    { "it takes names that begin with Transfer-Encoding for that one", is_longer_name,
      MESSAGE(REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding-X: y\r\n\r\n") },
    { "it heeds trailers; here they are ignored (RFC 9110 6.5.1)", is_trailer,
      MESSAGE(REQUEST, "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "0\r\nConnection: close\r\n\r\n") },
    { "Proxy-Connection is no field of HTTP (RFC 9112 C.2.2)", is_proxy_connection,
      MESSAGE(REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nProxy-Connection: close\r\n\r\n") },
    { "close wins over keep-alive in 1.0, too (RFC 9112 9.3)", is_close_and_keep,
      MESSAGE(REQUEST, "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n") },
    { "it sees no option of Connection beside an empty one, a tab or a ';'", is_odd_list,
      MESSAGE(REQUEST, "GET / HTTP/1.1\r\nHost: x\r\nConnection: ,close\r\n\r\n") },
};
enum { KNOWNS = sizeof knowns / sizeof knowns[0] };

static const struct known *known(const struct both *b) {
    for (size_t i = 0; i < KNOWNS; i++)
        if (knowns[i].is(b))
            return &knowns[i];
    return NULL;
}

/* --- messages ------------------------------------------------------------------------------ */

static const struct message valid[] = {
    MESSAGE(REQUEST, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    MESSAGE(REQUEST, "GET /v1/files?path=%2Fetc%2Fpasswd&user=a HTTP/1.1\r\nHost: box\r\n"
                     "Accept: application/json;q=1, */*\r\nConnection: keep-alive\r\n"
                     "Range: bytes=0-4\r\n\r\nGET / HTTP/1.1\r\n"),
    MESSAGE(REQUEST, "PUT http://a.b:80/c/d?e=f HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 5\r\n"
                     "Expect: 100-continue\r\n\r\nhelloPUT"),
    MESSAGE(REQUEST, "POST /v1/exec HTTP/1.1\r\nhost: [::1]:80\r\ntransfer-encoding: chunked\r\n"
                     "Connection: close, x\r\n\r\n5;a=\"b\"\r\nhello\r\n00A\r\n0123456789\r\n"
                     "0;c\r\nTrailer: d\r\nE:\r\n\r\nGET"),
    MESSAGE(REQUEST, "POST /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
                     "Upgrade: pinnace-stream\r\nContent-Length: 2\r\n\r\n{}\1\2\3"),
    MESSAGE(REQUEST, "OPTIONS * HTTP/1.0\r\nConnection: Keep-Alive\r\nA: b\r\na:  c \t\r\n\r\n"),
    MESSAGE(REQUEST, "DELETE /jobs/1 HTTP/1.0\r\nHost:\r\nContent-Length: 0\r\n\r\n"),
    MESSAGE(ANSWER, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\nServer: x\r\n\r\nhello world"),
    MESSAGE(ANSWER, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                    "1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
    MESSAGE(ANSWER, "HTTP/1.0 404 Not Found\r\nDate: x\r\n\r\nuntil the end"),
    MESSAGE(ANSWER, "HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r\nHTTP/1.1"),
    MESSAGE(ANSWER, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                    "Upgrade: x\r\n\r\n\5\0\0"),
    MESSAGE(ANSWER, "HTTP/1.1 304 \r\nETag: \"x\"\r\n\r\n"),
    MESSAGE(TO_HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1"),
    MESSAGE(TO_HEAD, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
};
enum { VALID = sizeof valid / sizeof valid[0] };

/* What is put into messages. */
#define WORD(text) \
    { text, sizeof(text) - 1 }
static const struct slice words[] = {
    WORD("\r\n"),
    WORD("\r\n\r\n"),
    WORD("\n"),
    WORD("\r"),
    WORD(" "),
    WORD("\t"),
    WORD("\0"),
    WORD(":"),
    WORD(","),
    WORD(";"),
    WORD("?"),
    WORD("#"),
    WORD("/"),
    WORD("="),
    WORD("\""),
    WORD("0"),
    WORD("1"),
    WORD("a"),
    WORD("+"),
    WORD("-"),
    WORD("0x"),
    WORD("\x7f"),
    WORD("\x80"),
    WORD("\r\n "),
    WORD("ffffffff"),
    WORD("99999999999999999"),
    WORD("chunked"),
    WORD("close"),
    WORD("keep-alive"),
    WORD("upgrade"),
    WORD("identity"),
    WORD("gzip, "),
    WORD("http://"),
    WORD("HTTP/1.0"),
    WORD("HTTP/1.1"),
    WORD("HEAD"),
    WORD("GET"),
    WORD("OPTIONS"),
    WORD("x"),
    WORD("Content-Length: 5\r\n"),
    WORD("Content-Length: 0\r\n"),
    WORD("Content-Length:"),
    WORD("Transfer-Encoding: chunked\r\n"),
    WORD("Transfer-Encoding:"),
    WORD("Host: x\r\n"),
    WORD("Connection: close\r\n"),
    WORD("Connection: keep-alive\r\n"),
    WORD("Connection:"),
    WORD("Connection: upgrade\r\nUpgrade: y\r\n"),
    WORD("Proxy-Connection: close\r\n"),
    WORD("Upgrade: y\r\n"),
    WORD(";x=y"),
    WORD("0\r\n\r\n"),
    WORD("5\r\nhello\r\n"),
    WORD("A: b\r\n"),
};
enum { WORDS = sizeof words / sizeof words[0] };

static unsigned random_state;
static size_t below(size_t n) {
    random_state = random_state * 1664525 + 1013904223; /* enough to be different every time */
    return (random_state >> 8) % n;
}

/* In place of m->bytes[at .. at + gone). */
static void replace(struct message *m, size_t at, size_t gone, const char *bytes, size_t n) {
    if (m->n - gone + n > MOST)
        return;
    memmove(m->bytes + at + n, m->bytes + at + gone, m->n - at - gone);
    memcpy(m->bytes + at, bytes, n);
    m->n = m->n - gone + n;
}

/* The line that `at` is in, with its end. */
static struct slice line_at(const struct message *m, size_t at) {
    size_t begin = at, end = at;
    while (begin > 0 && m->bytes[begin - 1] != '\n')
        begin--;
    while (end < m->n && m->bytes[end++] != '\n')
        continue;
    return (struct slice){ m->bytes + begin, end - begin };
}

/* What is well formed stays so now and then: whole lines are put in, doubled and taken out. */
static void mutate(struct message *m) {
    static struct message other;
    size_t at = below(m->n + 1), left = m->n - at, few = below(left < 8 ? left + 1 : 8);
    struct slice word = words[below(WORDS)], line = line_at(m, at);
    size_t begin = (size_t)(line.s - m->bytes);
    switch (below(10)) {
    case 0:
        replace(m, at, few, "", 0);
        break;
    case 1:
        replace(m, at, left > 0, (char[]){ (char)below(256) }, 1);
        break;
    case 2:
        if (left > 0)
            m->bytes[at] ^= 0x20;
        break;
    case 3:
        replace(m, at, few, word.s, word.n);
        break;
    case 4:
        replace(m, begin, line.n, "", 0);
        break;
    case 5:
        other = valid[below(VALID)];
        line = line_at(&other, below(other.n));
        replace(m, begin, 0, line.s, line.n);
        break;
    case 6:
        other = *m;
        replace(m, begin, 0, other.bytes + begin, line.n);
        break;
    case 7:
        m->n = at;
        break;
    case 8:
        replace(m, begin, 0, word.s, word.n);
        break;
    default:
        replace(m, at, 0, word.s, word.n);
    }
}

/* --- the test ------------------------------------------------------------------------------ */

static void show(const struct message *m, const struct both *b) {
    (void)printf("# %s; kind %d, ours %d, theirs %d (%s):\n# \"", difference_words[b->difference],
                 m->kind, b->our.verdict, b->their.verdict, http_errno_name(b->error));
    for (size_t i = 0; i < m->n; i++)
        (void)printf(m->bytes[i] >= ' ' && m->bytes[i] < 0x7f ? "%c" : "\\x%02x",
                     (unsigned char)m->bytes[i]);
    (void)printf("\"\n");
}

static struct both both;

static void agree_on_valid_ones(void) {
    for (size_t i = 0; i < VALID; i++) {
        judge(&both, &valid[i]);
        if (!OK(both.our.verdict == WHOLE && both.difference == SAME, "valid message %zu", i))
            show(&valid[i], &both);
    }
}

static void differ_as_known(void) {
    for (size_t i = 0; i < KNOWNS; i++) {
        judge(&both, &knowns[i].specimen);
        if (!OK(both.difference != SAME && known(&both) == &knowns[i], "known: %s",
                knowns[i].reason))
            show(&knowns[i].specimen, &both);
    }
}

/* A part of the messages has to get through, or nothing is compared. */
static void agree_on_mutants(unsigned seed, unsigned long messages) {
    static struct message m;
    unsigned long whole = 0, begun = 0, bad = 0, times[KNOWNS + 1] = { 0 };
    random_state = seed;
    for (unsigned long i = 0; i < messages; i++) {
        m = valid[below(VALID)];
        for (size_t n = 1 + below(4); n > 0; n--)
            mutate(&m);
        judge(&both, &m);
        whole += both.our.verdict == WHOLE;
        begun += both.our.verdict == BEGUN;
        if (both.difference == SAME)
            continue;
        const struct known *k = known(&both);
        if (k)
            times[k - knowns]++;
        else if (bad++ < 20)
            show(&m, &both);
    }
    for (size_t i = 0; i < KNOWNS; i++)
        (void)printf("# %lu times: %s\n", times[i], knowns[i].reason);
    OK(bad == 0, "seed %u, %lu mutants: %lu differ", seed, messages, bad);
    OK(whole >= messages / 10 && begun >= messages / 500, "taken: %lu whole, %lu begun", whole,
       begun);
}

int main(int argc, char **argv) {
    unsigned seed = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 0) : 1;
    agree_on_valid_ones();
    differ_as_known();
    agree_on_mutants(seed, argc > 2 ? strtoul(argv[2], NULL, 0) : 200000);
    return tap_end();
}
