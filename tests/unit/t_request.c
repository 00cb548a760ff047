#include "channel/request.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "tests/unit/tap.h"

#define HOST "Host: x\r\n"
#define GET  "GET /livez HTTP/1.1\r\n"

static const struct {
    const char *text;
    size_t n; /* 0: strlen */
    int rc;   /* 1: its whole length */
} rows[] = {
    { GET HOST "\r\n", 0, 1 },
    { "HEAD /livez HTTP/1.1\r\n" HOST "\r\n", 0, 1 },
    { "GET /livez HTTP/1.0\r\n" HOST "\r\n", 0, 1 },
    { GET "hOsT:\r\n\r\n", 0, 1 },
    { GET "Host:x\r\nA: \tb c\xc3\xa4\t\r\n\r\n", 0, 1 },
    { GET HOST "Content-Length: 0\r\n\r\n", 0, 1 },
    { "GET /v1/status?after=0 HTTP/1.1\r\n" HOST "\r\n", 0, 1 },
    { "GET /v1/status?after=999999999999999999 HTTP/1.1\r\n" HOST "\r\n", 0, 1 },
    { "", 0, 0 },
    { GET HOST "\r", 0, 0 },
    { GET HOST, 0, 0 },
    { "GET /livez HTTP/1.1\n" HOST "\r\n", 0, -400 }, /* bare LF */
    { GET "A: b\nHost: x\r\n\r\n", 0, -400 },
    { GET HOST "A: b\n\r\n\r\n", 0, -400 },
    { GET "\nHost: x\r\n\r\n", 0, -400 },
    { GET "A: b\rHost: x\r\n\r\n", 0, -400 }, /* bare CR */
    { "GET /livez\r HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { GET HOST "A: b\r\n c\r\n\r\n", 0, -400 }, /* obs-fold */
    { GET HOST "A: b\r\n\tc: d\r\n\r\n", 0, -400 },
    { GET " " HOST "\r\n", 0, -400 },
    { GET HOST HOST "\r\n", 0, -400 }, /* two Hosts */
    { GET HOST "HOST: y\r\n\r\n", 0, -400 },
    { GET "\r\n", 0, -400 }, /* no Host */
    { GET "Hos: x\r\nHostx: y\r\n\r\n", 0, -400 },
    { "GET /livez HTTP/1.0\r\n\r\n", 0, -400 },
    { GET HOST "A : b\r\n\r\n", 0, -400 }, /* blank before the colon */
    { GET "Host\t: x\r\n\r\n", 0, -400 },
    { GET HOST ": b\r\n\r\n", 0, -400 },
    { GET HOST "A\r\n\r\n", 0, -400 },
    { GET HOST "A(b): c\r\n\r\n", 0, -400 },
    { GET HOST "A\x80: c\r\n\r\n", 0, -400 },
    { GET HOST "A: b\x01\r\n\r\n", 0, -400 },
    { GET HOST "A: b\x7f\r\n\r\n", 0, -400 },
    { GET HOST "Content-Length: 5\r\n\r\nhello", 0, -413 }, /* a body */
    { GET HOST "Content-Length: 00\r\n\r\n", 0, -413 },
    { GET HOST "Content-Length: -0\r\n\r\n", 0, -413 },
    { GET HOST "Content-Length:\r\n\r\n", 0, -413 },
    { GET HOST "Content-Length: 0\r\ncontent-length: 7\r\n\r\n", 0, -413 },
    { GET HOST "Transfer-Encoding: chunked\r\n\r\n", 0, -413 },
    { GET HOST "transfer-encoding:identity\r\n\r\n", 0, -413 },
    { "GET /livez HTTP/2.0\r\n" HOST "\r\n", 0, -505 }, /* versions */
    { "GET /livez HTTP/1.2\r\n" HOST "\r\n", 0, -505 },
    { "GET /livez http/1.1\r\n" HOST "\r\n", 0, -505 },
    { "GET /livez HTTP/1.1 \r\n" HOST "\r\n", 0, -505 },
    { "GET /livez HTTP/1.11\r\n" HOST "\r\n", 0, -505 },
    { "GET /livez HTTP/1.\r\n" HOST "\r\n", 0, -505 },
    { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, -505 },
    { "GET /livez\r\n" HOST "\r\n", 0, -400 }, /* HTTP/0.9 */
    { "GET\r\n" HOST "\r\n", 0, -400 },
    { "\r\n\r\n", 0, -400 },
    { "\r\n" GET HOST "\r\n", 0, -400 },
    { " GET / HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "POST /livez HTTP/1.1\r\n" HOST "\r\n", 0, -405 }, /* methods */
    { "get /livez HTTP/1.1\r\n" HOST "\r\n", 0, -405 },
    { "GETX /livez HTTP/1.1\r\n" HOST "\r\n", 0, -405 },
    { "HEA /livez HTTP/1.1\r\n" HOST "\r\n", 0, -405 },
    { "G(T /livez HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET  HTTP/1.1\r\n" HOST "\r\n", 0, -400 }, /* targets */
    { "GET livez HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET http://x/livez HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET * HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a\tb HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a\x80 HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?after= HTTP/1.1\r\n" HOST "\r\n", 0, -400 }, /* queries */
    { "GET /a? HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?after=1x HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?after=-1 HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?after=1&b=2 HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?after=1?after=2 HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?After=1 HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?b=12345 HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { "GET /a?after=1000000000000000000 HTTP/1.1\r\n" HOST "\r\n", 0, -400 },
    { GET "Host: x\0y\r\n\r\n", sizeof GET "Host: x\0y\r\n\r\n" - 1, -400 }, /* NUL */
    { GET HOST "A\0: y\r\n\r\n", sizeof GET HOST "A\0: y\r\n\r\n" - 1, -400 },
    { "GET /\0 HTTP/1.1\r\n" HOST "\r\n", sizeof "GET /\0 HTTP/1.1\r\n" HOST "\r\n" - 1, -400 },
    { "G\0T / HTTP/1.1\r\n" HOST "\r\n", sizeof "G\0T / HTTP/1.1\r\n" HOST "\r\n" - 1, -400 },
    { GET HOST "\r\n" GET "junk", 0, sizeof GET HOST "\r\n" - 1 }, /* what follows is not ours */
};

/* Bytes in a block of exactly their size, so that a sanitizer sees every read past them. */
static int parse(const char *text, size_t n, struct request *r) {
    char *exact = malloc(n ? n : 1);
    memcpy(exact, text, n);
    int rc = request_parse(exact, n, r);
    free(exact);
    return rc;
}

static void judges_every_row(void) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct request r;
        size_t n = rows[i].n ? rows[i].n : strlen(rows[i].text);
        int want = rows[i].rc == 1 ? (int)n : rows[i].rc, rc = parse(rows[i].text, n, &r);
        OK(rc == want, "row %zu gives %d", i, rc);
    }
}

/* However it is cut, the head is judged once it is whole, and then the same. */
static void judges_every_split_alike(void) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = rows[i].n ? rows[i].n : strlen(rows[i].text);
        struct request whole, part;
        const char *end = memmem(rows[i].text, n, "\r\n\r\n", 4);
        size_t head = end ? (size_t)(end - rows[i].text) + 4 : n + 1;
        int rc = parse(rows[i].text, n, &whole);
        bool alike = true;
        for (size_t k = 0; k <= n; k++) {
            int got = parse(rows[i].text, k, &part);
            alike = alike && got == (k < head ? 0 : rc);
        }
        OK(alike, "row %zu, cut at every byte", i);
    }
}

static void fills_the_request(void) {
    struct request r;
    static const char text[] = "HEAD /v1/status?after=17 HTTP/1.1\r\n" HOST "oRigin: null\r\n\r\n";
    OK(parse(text, sizeof text - 1, &r) > 0 && r.head && strcmp(r.path, "/v1/status") == 0 &&
           r.after == 17 && r.has_origin,
       "all parts");
    static const char plain[] = GET HOST "Origins: x\r\n\r\n";
    OK(parse(plain, sizeof plain - 1, &r) > 0 && !r.head && strcmp(r.path, "/livez") == 0 &&
           r.after == 0 && !r.has_origin,
       "none of them");
    static const char most[] = "GET /?after=999999999999999999 HTTP/1.1\r\n" HOST "\r\n";
    OK(parse(most, sizeof most - 1, &r) > 0 && r.after == UINT64_C(999999999999999999),
       "the largest number");
}

static void bounds_targets(void) {
    char text[256];
    for (size_t n = 62; n <= 65; n++) {
        struct request r;
        char path[128];
        memset(path, 'a', sizeof path);
        path[0] = '/';
        path[n] = '\0';
        int len = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", path);
        int rc = parse(text, (size_t)len, &r);
        if (n < sizeof r.path)
            OK(rc == len && strcmp(r.path, path) == 0, "a path of %zu bytes", n);
        else
            OK(rc == -404, "a path of %zu bytes is no route", n);
    }
}

static void bounds_heads(void) {
    static char text[MAX_REQUEST + 64];
    struct request r;
    for (size_t n = MAX_REQUEST - 1; n <= MAX_REQUEST + 1; n++) {
        int at = snprintf(text, sizeof text, GET HOST "A: ");
        memset(text + at, 'b', sizeof text - (size_t)at);
        memcpy(text + n - 4, "\r\n\r\n", 4);
        int rc = parse(text, n, &r);
        OK(rc == (n <= MAX_REQUEST ? (int)n : -431), "a head of %zu bytes: %d", n, rc);
        memset(text + n - 4, 'b', 4);
        rc = parse(text, n, &r);
        OK(rc == (n < MAX_REQUEST ? 0 : -431), "%zu bytes without an end: %d", n, rc);
    }
}

static void bounds_fields(void) {
    static char text[4096];
    struct request r;
    for (int fields = 99; fields <= 101; fields++) {
        int n = snprintf(text, sizeof text, GET HOST);
        for (int i = 1; i < fields; i++)
            n += snprintf(text + n, sizeof text - (size_t)n, "A: b\r\n");
        n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
        int rc = parse(text, (size_t)n, &r);
        OK(rc == (fields <= 100 ? n : -431), "%d fields: %d", fields, rc);
    }
}

int main(void) {
    judges_every_row();
    judges_every_split_alike();
    fills_the_request();
    bounds_targets();
    bounds_heads();
    bounds_fields();
    return tap_end();
}
