#include "http/head.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

#define ROW(s) s, sizeof(s) - 1
#define LAST   "0\r\n\r\n"

enum verdict { MORE, DONE, REFUSED };

/* What came of feeding a body. */
struct fed {
    enum verdict verdict;
    size_t used, n;
    char data[65536];
};

/* Feed all of it in pieces of at most `most` bytes, random if `seed`. Each is in a block of
 * exactly its size, and what was not used is fed again in front of the next. */
static void feed(struct http_body *b, const char *text, size_t n, size_t most, unsigned seed,
                 struct fed *f) {
    *f = (struct fed){ .verdict = MORE };
    while (f->used < n && f->verdict == MORE) {
        size_t piece = seed ? 1 + (size_t)rand_r(&seed) % most : most;
        piece = piece < n - f->used ? piece : n - f->used;
        char *block = malloc(piece);
        memcpy(block, text + f->used, piece);
        struct slice data;
        int64_t used = http_body_next(b, block, piece, &data);
        if (used > 0) {
            memcpy(f->data + f->n, data.s, data.n);
            f->n += data.n;
            f->used += (size_t)used;
        }
        free(block);
        if (used <= 0 && !b->done)
            f->verdict = REFUSED;
        if (b->done)
            f->verdict = DONE;
    }
    if (b->done)
        f->verdict = DONE;
}

static struct http_body begin(enum http_framing framing, uint64_t length) {
    struct http_head h = { .framing = framing, .length = length };
    struct http_body b;
    http_body_begin(&b, &h);
    return b;
}

/* clang-format off */
static const struct row {
    const char *text;
    size_t n;
    enum verdict verdict;
    const char *data;
    size_t left; /* bytes behind the body */
} rows[] = {
    { ROW(LAST), DONE, "", 0 },
    { ROW(LAST "GET"), DONE, "", 3 },
    { ROW("5\r\nhello\r\n" LAST), DONE, "hello", 0 },
    { ROW("5\r\nhello\r\n6\r\n world\r\n" LAST "\r\n"), DONE, "hello world", 2 },
    { ROW("a\r\n0\r\n\r\n12345\r\n" LAST), DONE, "0\r\n\r\n12345", 0 },
    { ROW("0A\r\n0123456789\r\n000\r\n\r\n"), DONE, "0123456789", 0 },
    { ROW("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n"), DONE, "x", 0 },
    /* not whole */
    { ROW(""), MORE, "", 0 },
    { ROW("5"), MORE, "", 0 },
    { ROW("5\r"), MORE, "", 0 },
    { ROW("5\r\nhell"), MORE, "hell", 0 },
    { ROW("5\r\nhello\r"), MORE, "hello", 0 },
    { ROW("5\r\nhello\r\n"), MORE, "hello", 0 },
    { ROW("5\r\nhello\r\n0\r\n"), MORE, "hello", 0 },
    { ROW("5\r\nhello\r\n0\r\n\r"), MORE, "hello", 0 },
    { ROW("7fffffffffffffff\r\nabc"), MORE, "abc", 0 },
    /* sizes */
    { ROW("5x\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("0x5\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("0X5\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("g\r\n"), REFUSED, "", 0 },
    { ROW("+5\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("-1\r\n"), REFUSED, "", 0 },
    { ROW(" 5\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5 \r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5\t\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5 ;a\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5,5\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("\r\n" LAST), REFUSED, "", 0 },
    { ROW("\r\n\r\n"), REFUSED, "", 0 },
    { ROW(";a\r\n" LAST), REFUSED, "", 0 },
    { ROW(";a\r\n\r\n"), REFUSED, "", 0 },
    { ROW("\0"), REFUSED, "", 0 },
    { ROW("8000000000000000\r\n"), REFUSED, "", 0 },
    { ROW("ffffffffffffffff\r\n"), REFUSED, "", 0 },
    { ROW("00000000000000001\r\nx\r\n" LAST), REFUSED, "", 0 },
    { ROW("10000000000000005\r\nhello\r\n" LAST), REFUSED, "", 0 },
    /* line ends */
    { ROW("5\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5\rhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5\r\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5\r\nhello" LAST), REFUSED, "hello", 0 },
    { ROW("5\r\nhello\n" LAST), REFUSED, "hello", 0 },
    { ROW("5\r\nhello\rx" LAST), REFUSED, "hello", 0 },
    { ROW("5\r\nhellox\r\n" LAST), REFUSED, "hello", 0 },
    { ROW("5\r\nhellox\n" LAST), REFUSED, "hello", 0 },
    { ROW("5\r\nhello\r\n\r\n" LAST), REFUSED, "hello", 0 },
    { ROW("4\r\nhello\r\n" LAST), REFUSED, "hell", 0 },
    { ROW("0\n\n"), REFUSED, "", 0 },
    { ROW("0\r\n\n"), REFUSED, "", 0 },
    { ROW("0\r\n\rx"), REFUSED, "", 0 },
    { ROW("0\r\n\r\r\n"), REFUSED, "", 0 },
    /* extensions */
    { ROW("5;a=b\r\nhello\r\n0;c\r\n\r\n"), DONE, "hello", 0 },
    { ROW("5;\r\nhello\r\n" LAST), DONE, "hello", 0 },
    { ROW("5;a=\"b c;\xc3\xa4\" ; d\r\nhello\r\n" LAST), DONE, "hello", 0 },
    { ROW("5;a\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5;a\rb\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5;a\0\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5;a\tb\r\nhello\r\n" LAST), REFUSED, "", 0 },
    { ROW("5;a\x7f\r\nhello\r\n" LAST), REFUSED, "", 0 },
    /* trailers */
    { ROW("0\r\nA: b\r\n\r\n"), DONE, "", 0 },
    { ROW("0\r\nA:\r\nB-c: \td\xc3\xa4\r\n\r\nx"), DONE, "", 1 },
    { ROW("0\r\nA: b\r\n"), MORE, "", 0 },
    { ROW("0\r\nA\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\n: b\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\nA : b\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\n A: b\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\nA: b\r\n c\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\nA: b\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\nA: b\rc\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\nA: b\0\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\nA: b\x7f\r\n\r\n"), REFUSED, "", 0 },
    { ROW("0\r\nA\x80: b\r\n\r\n"), REFUSED, "", 0 },
};
/* clang-format on */

static bool as_said(const struct row *r, const struct fed *f) {
    return f->verdict == r->verdict && f->n == strlen(r->data) &&
           memcmp(f->data, r->data, f->n) == 0 &&
           (r->verdict == REFUSED || f->used == r->n - r->left);
}

static void decodes_chunks(void) {
    static struct fed f;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct http_body b = begin(HTTP_CHUNKED, 0);
        feed(&b, r->text, r->n, r->n + 1, 0, &f);
        OK(as_said(r, &f), "row %zu: verdict %d, %zu used, %zu out", i, f.verdict, f.used, f.n);
        bool alike = true;
        for (unsigned seed = 0; seed <= 20; seed++) {
            b = begin(HTTP_CHUNKED, 0);
            feed(&b, r->text, r->n, 1 + seed, seed, &f);
            alike = alike && as_said(r, &f);
        }
        OK(alike, "row %zu, the same in pieces", i);
    }
}

static void stops_where_it_ends(void) {
    struct slice data;
    struct http_body b = begin(HTTP_CHUNKED, 0);
    OK(http_body_next(&b, "5\r\nhe", 5, &data) == 5 && data.n == 2 && memcmp(data.s, "he", 2) == 0,
       "the size and some data at once");
    OK(http_body_next(&b, "", 0, &data) == 0 && data.n == 0 && !b.done, "nothing of nothing");
    OK(http_body_next(&b, "llo\r\n" LAST "x", 11, &data) == 3 && data.n == 3, "the rest of it");
    OK(http_body_next(&b, "\r\n" LAST "x", 8, &data) == 7 && data.n == 0 && b.done, "the end");
    OK(http_body_next(&b, "x", 1, &data) == 0 && data.n == 0 && b.done, "nothing after the end");
    b = begin(HTTP_CHUNKED, 0);
    OK(http_body_next(&b, "x", 1, &data) == -400, "what is refused");
    OK(http_body_next(&b, LAST, 5, &data) == -400 && !b.done, "stays refused");
}

static void counts_lengths(void) {
    static struct fed f;
    static const char text[] = "0\r\n\r\nGET / HTTP";
    for (size_t length = 0; length < sizeof text; length++) {
        bool alike = true;
        for (unsigned seed = 0; seed <= 10; seed++) {
            struct http_body b = begin(HTTP_LENGTH, length);
            feed(&b, text, sizeof text - 1, 1 + seed, seed, &f);
            alike = alike && f.verdict == DONE && f.used == length && f.n == length &&
                    memcmp(f.data, text, length) == 0;
        }
        OK(alike, "%zu bytes", length);
    }
    OK(begin(HTTP_LENGTH, 0).done && !begin(HTTP_LENGTH, 1).done, "none is over at once");
    struct http_body b = begin(HTTP_LENGTH, UINT64_C(999999999999999999));
    feed(&b, text, sizeof text - 1, 3, 0, &f);
    OK(f.verdict == MORE && f.n == sizeof text - 1 && b.left == UINT64_C(999999999999999999) - f.n,
       "the longest");
}

static void takes_all_or_nothing(void) {
    static struct fed f;
    struct slice data;
    struct http_body b = begin(HTTP_NO_BODY, 5);
    OK(b.done && http_body_next(&b, "hello", 5, &data) == 0 && data.n == 0, "no body");
    b = begin(HTTP_UNTIL_CLOSE, 0);
    feed(&b, "0\r\n\r\nxyz", 8, 3, 0, &f);
    OK(f.verdict == MORE && f.used == 8 && f.n == 8 && !b.done, "all there is");
}

/* --- bounds -------------------------------------------------------------------------------- */

static char text[65536];

static void bound(size_t n, enum verdict want, const char *what, size_t extra) {
    static struct fed f;
    for (size_t most = 1; most <= n; most += n - 1) {
        struct http_body b = begin(HTTP_CHUNKED, 0);
        feed(&b, text, n, most, 0, &f);
        OK(f.verdict == want, "%zu bytes of %s, fed by %zu: %d", extra, what, most, f.verdict);
    }
}

/* Extra bytes of one kind and of both, and in many chunks, each of which has few. */
static void bounds_extra(void) {
    for (size_t n = MAX_HTTP_EXTRA - 1; n <= MAX_HTTP_EXTRA + 1; n++) {
        enum verdict want = n <= MAX_HTTP_EXTRA ? DONE : REFUSED;
        memset(text, 'a', sizeof text);
        memcpy(text, "0;", 2);
        memcpy(text + 1 + n, "\r\n\r\n", 4);
        bound(1 + n + 4, want, "an extension", n);
        memset(text, 'a', sizeof text);
        memcpy(text, "0\r\nA:", 5);
        memcpy(text + 3 + n - 2, "\r\n\r\n", 4);
        bound(3 + n + 2, want, "trailers", n);
        memcpy(text, "0;b\r\nA:", 7);
        memset(text + 7, 'a', sizeof text - 7);
        memcpy(text + 5 + n - 2 - 2, "\r\n\r\n", 4);
        bound(5 + n - 2 + 2, want, "both", n);
        size_t at = 0;
        for (size_t i = 0; i < n / 2; i++, at += 8)
            memcpy(text + at, "1;b\r\nx\r\n", 8);
        memcpy(text + at, n % 2 ? "0;\r\n\r\n" : "0\r\n\r\n\r\n", 6);
        bound(at + (n % 2 ? 6 : 5), want, "extensions of many chunks", n);
    }
}

int main(void) {
    decodes_chunks();
    stops_where_it_ends();
    counts_lengths();
    takes_all_or_nothing();
    bounds_extra();
    return tap_end();
}
