#include "http/head.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#define HOST   "Host: x\r\n"
#define GET    "GET / HTTP/1.1\r\n"
#define POST   "POST / HTTP/1.1\r\n" HOST
#define OLD    "POST / HTTP/1.0\r\n"
#define OK200  "HTTP/1.1 200 OK\r\n"
#define CL(x)  "Content-Length:" x "\r\n"
#define TE(x)  "Transfer-Encoding:" x "\r\n"
#define END    "\r\n"
#define T16    "ABCDEFGHIJKLMNOP"
#define ROW(s) s, sizeof(s) - 1

/* As http_parse_*, for a message of which `n` bytes have arrived: 0 while it is not whole. */
enum kind { REQUEST, ANSWER, TO_HEAD };
static int parse(enum kind kind, struct http_head *out, const char *bytes, size_t n) {
    return kind == REQUEST ? http_parse_request(out, bytes, n)
                           : http_parse_answer(out, bytes, n, kind == TO_HEAD);
}

/* Feed it in pieces of at most `most` bytes, random if `seed`, each time in a block of exactly
 * the size so far. The verdict: 0 not whole, > 0 its length, < 0 refused. */
static int judge(enum kind kind, const char *text, size_t n, size_t most, unsigned seed) {
    struct http_scan scan = { 0 };
    int rc = 0;
    for (size_t have = 0; have < n && rc == 0;) {
        size_t piece = seed ? 1 + (size_t)rand_r(&seed) % most : most;
        have = piece < n - have ? have + piece : n;
        char *block = malloc(have);
        memcpy(block, text, have);
        rc = http_scan(&scan, block, have);
        free(block);
    }
    if (rc <= 0)
        return rc;
    struct http_head h;
    char *head = malloc((size_t)rc);
    memcpy(head, text, (size_t)rc);
    int bad = parse(kind, &h, head, (size_t)rc);
    free(head);
    return bad < 0 ? bad : rc;
}

struct row {
    const char *text;
    size_t n;
    int rc; /* 1: its whole length */
};

/* clang-format off */
static const struct row requests[] = {
    { ROW(GET HOST END), 1 },
    { ROW("HEAD /livez HTTP/1.1\r\n" HOST END), 1 },
    { ROW("GET / HTTP/1.0\r\n" END), 1 }, /* no Host in 1.0 */
    { ROW("GET / HTTP/1.0\r\n" HOST END), 1 },
    { ROW(GET "hOsT:\r\n" END), 1 },
    { ROW(GET "Host:x\r\nA: \tb c\xc3\xa4\t\r\n" END), 1 },
    { ROW(GET HOST "!#$%&'*+-.^_`|~09azAZ:\r\n" END), 1 },
    { ROW("get / HTTP/1.1\r\n" HOST END), 1 }, /* another method, for the caller to refuse */
    { ROW("M-SEARCH / HTTP/1.1\r\n" HOST END), 1 },
    { ROW(T16 " / HTTP/1.1\r\n" HOST END), 1 },
    { ROW(T16 "Q / HTTP/1.1\r\n" HOST END), -501 },
    { ROW(GET HOST END "junk"), (int)sizeof GET HOST END - 1 }, /* what follows is not ours */
    /* not whole */
    { ROW(""), 0 },
    { ROW(GET HOST "\r"), 0 },
    { ROW(GET HOST), 0 },
    { ROW("GET / HT"), 0 },
    /* line ends */
    { ROW("GET / HTTP/1.1\n" HOST END), -400 },
    { ROW(GET "A: b\nHost: x\r\n" END), -400 },
    { ROW(GET HOST "A: b\n\r\n\r\n"), -400 },
    { ROW(GET HOST "\n"), -400 },
    { ROW("\n"), -400 },
    { ROW("\n" GET HOST END), -400 },
    { ROW(GET "\nHost: x\r\n" END), -400 },
    { ROW(GET "A: b\rHost: x\r\n" END), -400 },
    { ROW(GET HOST "A: b\r\r\n" END), -400 },
    { ROW(GET HOST "\r\r\n" END), -400 },
    { ROW("GET /\r HTTP/1.1\r\n" HOST END), -400 },
    { ROW("\r\n"), -400 },
    { ROW("\r\n" GET HOST END), -400 },
    /* obs-fold */
    { ROW(GET HOST "A: b\r\n c\r\n" END), -400 },
    { ROW(GET HOST "A: b\r\n\tc: d\r\n" END), -400 },
    { ROW(GET " " HOST END), -400 },
    { ROW(GET HOST " \r\n" END), -400 },
    /* names and values */
    { ROW(GET HOST "A : b\r\n" END), -400 },
    { ROW(GET "Host\t: x\r\n" END), -400 },
    { ROW(GET HOST ": b\r\n" END), -400 },
    { ROW(GET HOST "A\r\n" END), -400 },
    { ROW(GET HOST "A(b): c\r\n" END), -400 },
    { ROW(GET HOST "A\x80: c\r\n" END), -400 },
    { ROW(GET HOST "A\0: y\r\n" END), -400 },
    { ROW(GET HOST "A: b\x01\r\n" END), -400 },
    { ROW(GET HOST "A: b\x7f\r\n" END), -400 },
    { ROW(GET HOST "A: b\0\r\n" END), -400 },
    { ROW(GET HOST "A: \x0b\r\n" END), -400 },
    { ROW(GET HOST "A: \0" "b\r\n" END), -400 },
    /* Host */
    { ROW(GET END), -400 },
    { ROW(GET HOST HOST END), -400 },
    { ROW(GET HOST "HOST: y\r\n" END), -400 },
    { ROW("GET / HTTP/1.0\r\n" HOST HOST END), -400 },
    { ROW(GET "Hos: x\r\nHostx: y\r\n" END), -400 },
    { ROW(GET "Host: x:8080\r\n" END), 1 },
    { ROW(GET "Host: x:\r\n" END), 1 },
    { ROW(GET "Host: [::1]:80\r\n" END), 1 },
    { ROW(GET "Host: [fe80::1.2.3.4]\r\n" END), 1 },
    { ROW(GET "Host: %2Frun%2Fpinnace.sock\r\n" END), 1 }, /* clients of unix sockets */
    { ROW(GET "Host: x:80:81\r\n" END), -400 },
    { ROW(GET "Host: x:y\r\n" END), -400 },
    { ROW(GET "Host: [::1\r\n" END), -400 },
    { ROW(GET "Host: []\r\n" END), -400 },
    { ROW(GET "Host: [g]\r\n" END), -400 },
    { ROW(GET "Host: [::1]x\r\n" END), -400 },
    { ROW(GET "Host: ::1\r\n" END), -400 },
    { ROW(GET "Host: x y\r\n" END), -400 },
    { ROW(GET "Host: x,y\r\n" END), -400 },
    { ROW(GET "Host: u@x\r\n" END), -400 },
    { ROW(GET "Host: x/y\r\n" END), -400 },
    { ROW(GET "Host: x#y\r\n" END), -400 },
    { ROW(GET "Host: \xc3\xa4\r\n" END), -400 },
    /* versions */
    { ROW("GET / HTTP/2.0\r\n" HOST END), -505 },
    { ROW("GET / HTTP/1.2\r\n" HOST END), -505 },
    { ROW("GET / HTTP/0.9\r\n" HOST END), -505 },
    { ROW("PRI * HTTP/2.0\r\n\r\n"), -505 },
    { ROW("GET / http/1.1\r\n" HOST END), -400 },
    { ROW("GET / HTTP/1.1 \r\n" HOST END), -400 },
    { ROW("GET / HTTP/1.11\r\n" HOST END), -400 },
    { ROW("GET / HTTP/1.\r\n" HOST END), -400 },
    { ROW("GET / HTTP/1,1\r\n" HOST END), -400 },
    { ROW("GET / HTTP/x.1\r\n" HOST END), -400 },
    { ROW("GET / HTTP/1.x\r\n" HOST END), -400 },
    { ROW("GET / HTTQ/1.1\r\n" HOST END), -400 },
    { ROW("GET /\r\n" HOST END), -400 },
    { ROW("GET\r\n" HOST END), -400 },
    /* methods */
    { ROW(" GET / HTTP/1.1\r\n" HOST END), -400 },
    { ROW("G(T / HTTP/1.1\r\n" HOST END), -400 },
    { ROW("G\0T / HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET\t/ HTTP/1.1\r\n" HOST END), -400 },
    { ROW("CONNECT x:80 HTTP/1.1\r\n" HOST END), -501 },
    { ROW("CONNECT / HTTP/1.1\r\n" HOST END), -501 },
    /* targets */
    { ROW("OPTIONS * HTTP/1.1\r\n" HOST END), 1 },
    { ROW("GET /a?b?c=/&d HTTP/1.1\r\n" HOST END), 1 },
    { ROW("GET //x/../y;z=%41 HTTP/1.1\r\n" HOST END), 1 },
    { ROW("GET http://x HTTP/1.1\r\n" HOST END), 1 },
    { ROW("GET HTTP://X/a HTTP/1.1\r\n" HOST END), 1 },
    { ROW("GET http://x:80/a HTTP/1.1\r\nHost: x:80\r\n" END), 1 },
    { ROW("GET http://x/a HTTP/1.0\r\n" END), 1 },
    { ROW("GET http://x/a HTTP/1.1\r\n" END), -400 },
    { ROW("GET http://y/a HTTP/1.1\r\n" HOST END), -400 }, /* one host in two ways */
    { ROW("GET http://x:80/a HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET http://u@x/a HTTP/1.1\r\nHost: u@x\r\n" END), -400 },
    { ROW("GET http://u@x/a HTTP/1.0\r\n" END), -400 },
    { ROW("GET http:///a HTTP/1.1\r\nHost:\r\n" END), -400 },
    { ROW("GET http://?a HTTP/1.1\r\nHost:\r\n" END), -400 },
    { ROW("GET http:// HTTP/1.1\r\nHost:\r\n" END), -400 },
    { ROW("GET http:/x HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET https://x/a HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET x:80 HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET a HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET ?a HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET * HTTP/1.1\r\n" HOST END), -400 },
    { ROW("options * HTTP/1.1\r\n" HOST END), -400 },
    { ROW("OPTIONS ** HTTP/1.1\r\n" HOST END), -400 },
    { ROW("OPTIONS *?a HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET  HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET  / HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET /  HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET /a b HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET /a#b HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET http://x#b HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET /a\tb HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET /a\x7f HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET /a\x80 HTTP/1.1\r\n" HOST END), -400 },
    { ROW("GET /\0 HTTP/1.1\r\n" HOST END), -400 },
    /* lengths */
    { ROW(POST CL("0") END), 1 },
    { ROW(POST CL("  5  ") END), 1 },
    { ROW(POST CL(" 5\t") END), -400 },
    { ROW(POST CL("\t5") END), -400 },
    { ROW(POST CL("005") END), 1 },
    { ROW(POST CL("999999999999999999") END), 1 },
    { ROW(POST CL("0999999999999999999") END), -400 },
    { ROW(POST CL("18446744073709551621") END), -400 },
    { ROW(POST CL("") END), -400 },
    { ROW(POST CL("+5") END), -400 },
    { ROW(POST CL("-5") END), -400 },
    { ROW(POST CL("0x5") END), -400 },
    { ROW(POST CL("5x") END), -400 },
    { ROW(POST CL("5.0") END), -400 },
    { ROW(POST CL("5 5") END), -400 },
    { ROW(POST CL("5,5") END), -400 },
    { ROW(POST CL("5, 5") END), -400 },
    { ROW(POST CL("5") CL("5") END), -400 },
    { ROW(POST CL("5") "content-length: 7\r\n" END), -400 },
    { ROW(POST CL("5") HOST CL("7") END), -400 },
    { ROW(OLD CL("5") END), 1 },
    /* transfer codings */
    { ROW(POST TE("chunked") END), 1 },
    { ROW(POST TE("  CHUNKed ") END), 1 },
    { ROW(POST TE("\tchunked") END), -400 },
    { ROW(POST TE(" chunked\t") END), -400 },
    { ROW(OLD TE("chunked") END), -400 },
    { ROW(POST TE("chunked") CL("5") END), -400 },
    { ROW(POST CL("5") TE("chunked") END), -400 },
    { ROW(POST CL("5") TE("identity") END), -400 },
    { ROW(POST TE("chunked") TE("chunked") END), -400 },
    { ROW(POST TE("gzip") TE("chunked") END), -400 },
    { ROW(POST TE("chunked") TE("identity") END), -400 },
    { ROW(POST TE("xchunked") END), -501 },
    { ROW(POST TE("chunkedx") END), -501 },
    { ROW(POST TE("\"chunked\"") END), -501 },
    { ROW(POST TE("chunked, identity") END), -501 },
    { ROW(POST TE("gzip, chunked") END), -501 },
    { ROW(POST TE("chunked, chunked") END), -501 },
    { ROW(POST TE("chunked,") END), -501 },
    { ROW(POST TE(",chunked") END), -501 },
    { ROW(POST TE("chunked;q=1") END), -501 },
    { ROW(POST TE("identity") END), -501 },
    { ROW(POST TE("") END), -501 },
    { ROW(POST TE("\x0b" "chunked") END), -400 },
    { ROW(POST "Transfer-Encoding : chunked\r\n" END), -400 },
    { ROW(POST "X: y\r\n Transfer-Encoding: chunked\r\n" END), -400 },
};

static const struct row answers[] = {
    { ROW(OK200 END), 1 },
    { ROW("HTTP/1.1 200 \r\n" END), 1 },
    { ROW("HTTP/1.1 200\r\n" END), 1 },
    { ROW("HTTP/1.0 404 Not  F\xc3\xb6und\r\n" END), 1 },
    { ROW("HTTP/1.1 100 Continue\r\n" END), 1 },
    { ROW("HTTP/1.1 599 x\r\n" END), 1 },
    { ROW(OK200 CL("5") END), 1 },
    { ROW(OK200 TE("chunked") END), 1 },
    { ROW("HTTP/1.1 204 x\r\n" CL("0") END), 1 },
    { ROW("HTTP/1.1 304 x\r\n" CL("5") END), 1 },
    { ROW("HTTP/1.1 304 x\r\n" TE("chunked") END), 1 },
    { ROW("HTTP/1.1 204 x\r\n" CL("5") END), -400 }, /* a body that cannot be */
    { ROW("HTTP/1.1 204 x\r\n" TE("chunked") END), -400 },
    { ROW("HTTP/1.1 101 x\r\n" CL("5") END), -400 },
    { ROW("HTTP/1.1 099 x\r\n" END), -400 },
    { ROW("HTTP/1.1 600 x\r\n" END), -400 },
    { ROW("HTTP/1.1 20 x\r\n" END), -400 },
    { ROW("HTTP/1.1 2000 x\r\n" END), -400 },
    { ROW("HTTP/1.1 0200 x\r\n" END), -400 },
    { ROW("HTTP/1.1 2x0 x\r\n" END), -400 },
    { ROW("HTTP/1.1 +20 x\r\n" END), -400 },
    { ROW("HTTP/1.1  200 x\r\n" END), -400 },
    { ROW("HTTP/1.1 200\tx\r\n" END), -400 },
    { ROW("HTTP/1.1 200 x\0\r\n" END), -400 },
    { ROW("HTTP/1.1 200 x\ry\r\n" END), -400 },
    { ROW("HTTP/1.1\r\n" END), -400 },
    { ROW("HTTP/1.1 \r\n" END), -400 },
    { ROW("HTTP/1.2 200 OK\r\n" END), -505 },
    { ROW("HTTP/2.0 200 OK\r\n" END), -505 },
    { ROW("HTTP/2 200 OK\r\n" END), -400 },
    { ROW("ICY 200 OK\r\n" END), -400 },
    { ROW(" HTTP/1.1 200 OK\r\n" END), -400 },
    { ROW("HTTP/1.1 200 OK\n" END), -400 },
    { ROW(OK200 "A: b\r\n c\r\n" END), -400 },
    { ROW(OK200 "A : b\r\n" END), -400 },
    { ROW(OK200 CL("5") CL("5") END), -400 },
    { ROW(OK200 CL("5") TE("chunked") END), -400 },
    { ROW("HTTP/1.0 200 OK\r\n" TE("chunked") END), -400 },
    { ROW(OK200 TE("gzip, chunked") END), -501 },
    { ROW(OK200 TE("identity") END), -501 },
};
/* clang-format on */

static void judges(const char *what, enum kind kind, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct row *r = &rows[i];
        int want = r->rc == 1 ? (int)r->n : r->rc;
        int got = judge(kind, r->text, r->n, r->n + 1, 0);
        OK(got == want, "%s %zu gives %d", what, i, got);
        bool alike = judge(kind, r->text, r->n, 1, 0) == want;
        for (unsigned seed = 1; seed <= 20; seed++)
            alike = alike && judge(kind, r->text, r->n, 2 + seed, seed) == want;
        OK(alike, "%s %zu gives the same in pieces", what, i);
    }
}

/* Each byte that may be looked back at is the CR before a LF; what is before is made a LF. */
static void looks_once(void) {
    static const char text[] = POST CL("5") "A: bb\r\n" END;
    size_t n = sizeof text - 1;
    char block[sizeof text];
    struct http_scan scan = { 0 };
    int rc = 0;
    for (size_t have = 1; have <= n; have++) {
        memset(block, '\n', sizeof block);
        memcpy(block, text, have);
        memset(block, '\n', have > 2 ? have - 2 : 0);
        rc = http_scan(&scan, block, have);
        if (rc != (have < n ? 0 : (int)n))
            break;
    }
    OK(rc == (int)n, "bytes that were looked at are not looked at again: %d", rc);
    OK(http_scan(&scan, text, n) == (int)n, "asked again it says the same");
}

/* What parse is given is exactly one head. */
static void takes_one_head(void) {
    static const char text[] = GET HOST END "x";
    struct http_head h;
    size_t n = sizeof text - 1;
    OK(http_parse_request(&h, text, n) == -400, "a byte too many");
    OK(http_parse_request(&h, text, n - 1) == 0, "a head");
    OK(http_parse_request(&h, text, n - 2) == -400, "a byte too few");
    OK(http_parse_request(&h, text, 0) == -400, "none");
}

static struct http_head h;
static bool request(const char *text) { return http_parse_request(&h, text, strlen(text)) == 0; }
static bool answer(const char *text, bool to_head) {
    return http_parse_answer(&h, text, strlen(text), to_head) == 0;
}

static void fills_the_head(void) {
    static const char text[] = "PUT /a%20b?c=d&e HTTP/1.1\r\nHost:x\r\nEmpty:  \r\n"
                               "TWO:\t a  b \r\ntwo: c\r\n" CL("12") END;
    OK(request(text) && h.bytes == text && h.len == sizeof text - 1, "the bytes");
    OK(http_is(h.method, "PUT") && http_is(h.target, "/a%20b?c=d&e"), "method and target");
    OK(http_is(h.path, "/a%20b") && http_is(h.query, "c=d&e"), "path and query");
    OK(h.minor == 1 && h.status == 0 && h.nfields == 5, "version, fields");
    OK(h.framing == HTTP_LENGTH && h.length == 12, "length");
    OK(http_is(http_field(&h, "HOST"), "x"), "a field without a blank");
    OK(http_is(http_field(&h, "two"), "a  b"), "the first of two, blanks around it gone");
    OK(http_field(&h, "empty").s && http_field(&h, "empty").n == 0, "an empty field");
    OK(!http_field(&h, "tw").s && !http_field(&h, "twoo").s, "no such field");
    OK(h.fields[3].name == (uint16_t)(strstr(text, "two") - text) && h.fields[3].name_len == 3 &&
           h.fields[3].value == h.fields[3].name + 5 && h.fields[3].value_len == 1,
       "offsets of a field");
}

static void splits_targets(void) {
    static const struct {
        const char *target, *path, *query;
    } rows[] = {
        { "/", "/", "" },
        { "/?", "/", "" },
        { "/a?b?c", "/a", "b?c" },
        { "//x/y", "//x/y", "" },
        { "http://x", "/", "" },
        { "http://x/", "/", "" },
        { "hTTp://x?a=b", "/", "a=b" },
        { "http://x/a/b?c://d", "/a/b", "c://d" },
    };
    char text[128];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST END, rows[i].target);
        OK(request(text) && http_is(h.path, rows[i].path) && http_is(h.query, rows[i].query) &&
               http_is(h.target, rows[i].target),
           "%s", rows[i].target);
    }
    OK(request("OPTIONS * HTTP/1.1\r\n" HOST END) && http_is(h.path, "*") && h.query.n == 0, "*");
}

static void frames(void) {
    OK(request(GET HOST END) && h.framing == HTTP_NO_BODY, "a request without a length");
    OK(request(POST TE("Chunked") END) && h.framing == HTTP_CHUNKED && h.length == 0, "chunked");
    OK(request(POST CL("0") END) && h.framing == HTTP_LENGTH && h.length == 0, "length 0");
    OK(request(POST CL("999999999999999999") END) && h.length == UINT64_C(999999999999999999),
       "the largest length");
    OK(answer(OK200 END, false) && h.framing == HTTP_UNTIL_CLOSE && h.status == 200,
       "an answer without a length");
    OK(answer(OK200 CL("5") END, false) && h.framing == HTTP_LENGTH, "an answer with one");
    OK(answer(OK200 TE("chunked") END, false) && h.framing == HTTP_CHUNKED, "a chunked answer");
    OK(answer(OK200 CL("5") END, true) && h.framing == HTTP_NO_BODY && h.length == 5, "to HEAD");
    OK(answer(OK200 TE("chunked") END, true) && h.framing == HTTP_NO_BODY, "to HEAD, chunked");
    OK(answer(OK200 END, true) && h.framing == HTTP_NO_BODY && h.keep_alive, "to HEAD, no length");
    static const char *const none[] = { "100", "101", "199", "204", "304" };
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "HTTP/1.1 %s x\r\n" END, none[i]);
        OK(answer(text, false) && h.framing == HTTP_NO_BODY && h.keep_alive, "%s", none[i]);
    }
    OK(answer("HTTP/1.1 304 x\r\n" CL("5") END, false) && h.framing == HTTP_NO_BODY &&
           h.length == 5,
       "304 with the length that 200 would have");
    OK(answer("HTTP/1.1 205 x\r\n" END, false) && h.framing == HTTP_UNTIL_CLOSE, "205");
}

static void keeps_alive(void) {
    static const struct {
        const char *connection;
        bool new, old; /* in 1.1, in 1.0 */
    } rows[] = {
        { "A: b\r\n", true, false },
        { "Connection: close\r\n", false, false },
        { "Connection: CLOSE \r\n", false, false },
        { "Connection: keep-alive\r\n", true, true },
        { "Connection: Keep-Alive, x\r\n", true, true },
        { "Connection: x ,\tclose,y\r\n", false, false },
        { "Connection: x\r\nConnection: close\r\n", false, false },
        { "Connection: keep-alive, close\r\n", false, false },
        { "Connection: close\r\nConnection: keep-alive\r\n", false, false },
        { "Connection: closed, xclose, clos\r\n", true, false },
        { "Connection:\r\n", true, false },
        { "Proxy-Connection: close\r\n", true, false },
    };
    char text[256];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(text, sizeof text, GET HOST "%s" END, rows[i].connection);
        OK(request(text) && h.keep_alive == rows[i].new, "1.1, row %zu", i);
        (void)snprintf(text, sizeof text, "GET / HTTP/1.0\r\n%s" END, rows[i].connection);
        OK(request(text) && h.keep_alive == rows[i].old, "1.0, row %zu", i);
        (void)snprintf(text, sizeof text, OK200 CL("1") "%s" END, rows[i].connection);
        OK(answer(text, false) && h.keep_alive == rows[i].new, "an answer, row %zu", i);
        (void)snprintf(text, sizeof text, OK200 "%s" END, rows[i].connection);
        OK(answer(text, false) && !h.keep_alive, "an answer until the end, row %zu", i);
    }
}

static void asks_for_more(void) {
    OK(request(GET HOST "Connection: x, UPGRADE\r\nupgrade: y\r\n" END) && h.upgrade, "upgrade");
    OK(request(GET HOST "Connection: upgrade\r\n" END) && !h.upgrade, "to nothing");
    OK(request(GET HOST "Upgrade: y\r\n" END) && !h.upgrade, "without Connection");
    OK(request("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: y\r\n" END) && !h.upgrade,
       "in 1.0");
    OK(request(POST "Expect: 100-Continue\r\n" END) && h.expects, "expects");
    OK(request(POST "Expect: 200-ok\r\n" END) && !h.expects, "something else");
    OK(request(OLD "Expect: 100-continue\r\n" END) && !h.expects, "in 1.0");
}

static void finds_in_lists(void) {
    OK(request(GET HOST "Accept: text/plain;q=0.5 , application/json ; v=2\r\n"
                        "A: ,, ,b\r\naccept: */*\r\n" END),
       "a request");
    OK(http_lists(&h, "accept", "TEXT/plain"), "the first");
    OK(http_lists(&h, "accept", "application/json"), "the last of a field");
    OK(http_lists(&h, "accept", "*/*"), "one of the second field");
    OK(http_lists(&h, "a", "b"), "one behind empty ones");
    OK(!http_lists(&h, "accept", "text/plai") && !http_lists(&h, "accept", "v=2") &&
           !http_lists(&h, "accept", "q=0.5") && !http_lists(&h, "accept", "b") &&
           !http_lists(&h, "b", "b"),
       "none of others");
    OK(http_is_nocase((struct slice){ "aB", 2 }, "Ab") && !http_is((struct slice){ "aB", 2 }, "Ab"),
       "case");
    OK(!http_is((struct slice){ 0 }, "") && http_is((struct slice){ "x", 0 }, ""), "nothing");
}

/* --- bounds -------------------------------------------------------------------------------- */

static char text[MAX_HTTP_HEAD + 64];

/* Verdicts on the first `n` bytes of text, whole and byte by byte, must be `want`. */
static void bound(size_t n, int want, const char *what) {
    struct http_scan scan = { 0 };
    int rc = 0;
    for (size_t have = 1; have <= n && rc == 0; have++)
        rc = http_scan(&scan, text, have);
    int whole = judge(REQUEST, text, n, n, 0);
    OK(whole == want && rc == want, "%s, %zu bytes: %d, %d", what, n, whole, rc);
}

static void bounds_lines(void) {
    for (size_t n = MAX_HTTP_LINE - 1; n <= MAX_HTTP_LINE + 1; n++) {
        memset(text, 'a', sizeof text);
        memcpy(text, "GET /", 5);
        static const char rest[] = " HTTP/1.1\r\n" HOST END;
        memcpy(text + n - 11, rest, sizeof rest - 1);
        size_t len = n - 11 + sizeof rest - 1;
        bound(len, n <= MAX_HTTP_LINE ? (int)len : -414, "a first line");
        memset(text + 5, 'a', sizeof text - 5);
        bound(n, n < MAX_HTTP_LINE ? 0 : -414, "a first line without an end");
    }
    memcpy(text + MAX_HTTP_LINE - 1, "\n", 1);
    bound(MAX_HTTP_LINE + 1, -400, "a bare LF where the line may still end");
    memcpy(text + MAX_HTTP_LINE - 1, "\r\n", 2);
    bound(MAX_HTTP_LINE + 1, -414, "a line end that is too late");
}

static void bounds_heads(void) {
    for (size_t n = MAX_HTTP_HEAD - 1; n <= MAX_HTTP_HEAD + 1; n++) {
        int at = snprintf(text, sizeof text, GET HOST "A: ");
        memset(text + at, 'b', sizeof text - (size_t)at);
        memcpy(text + n - 4, "\r\n\r\n", 4);
        bound(n, n <= MAX_HTTP_HEAD ? (int)n : -431, "a head");
        memset(text + n - 4, 'b', 4);
        bound(n, n < MAX_HTTP_HEAD ? 0 : -431, "a head without an end");
    }
    memcpy(text + MAX_HTTP_HEAD - 1, "\n", 1);
    bound(MAX_HTTP_HEAD + 1, -400, "a bare LF where the head may still end");
    OK(http_parse_request(&h, text, sizeof text) == -400, "the same, not scanned before");
    memcpy(text + MAX_HTTP_HEAD - 1, "b", 1);
    OK(http_parse_request(&h, text, sizeof text) == -431, "too long, not scanned before");
}

static void bounds_fields(void) {
    for (int fields = MAX_HTTP_FIELDS - 1; fields <= MAX_HTTP_FIELDS + 1; fields++) {
        int n = snprintf(text, sizeof text, GET HOST);
        for (int i = 1; i < fields; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, "A: %d\r\n", i);
        n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
        bound((size_t)n, fields <= MAX_HTTP_FIELDS ? n : -431, "fields");
    }
}

int main(void) {
    judges("request", REQUEST, requests, sizeof requests / sizeof requests[0]);
    judges("answer", ANSWER, answers, sizeof answers / sizeof answers[0]);
    looks_once();
    takes_one_head();
    fills_the_head();
    splits_targets();
    frames();
    keeps_alive();
    asks_for_more();
    finds_in_lists();
    bounds_lines();
    bounds_heads();
    bounds_fields();
    return tap_end();
}
