/* Any bytes as resolv.conf: no crash, nothing read past the end, and what is promised holds.
 *
 * The first byte is the number of our address. Promises: what is taken and given back is the
 * original byte for byte, whatever it was, unless it began with our block already; to take again
 * changes nothing; a text of ours names us, has the same servers as before, and no server line
 * of anybody else's; with too little room it is refused and says so.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/resolv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 8192, ROOM = 4 * MOST };

static void must(bool ok, const char *what) {
    if (ok)
        return;
    (void)fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static struct text take(char buf[ROOM], const char *text, size_t len, const struct ip *by) {
    struct text out = { .buf = buf, .cap = ROOM };
    must(resolv_take(&out, text, len, by) && !out.cut, "there is room to take it");
    return out;
}

static struct text give_back(char buf[ROOM], const char *text, size_t len) {
    struct text out = { .buf = buf, .cap = ROOM };
    must(resolv_give_back(&out, text, len) && !out.cut, "there is room to give it back");
    return out;
}

static bool same(const struct text *a, const char *text, size_t len) {
    return a->len == len && memcmp(a->buf, text, len) == 0;
}

static void check_parsed(const struct resolv *r) {
    must(r->n <= MAX_UPSTREAMS, "no more servers than fit");
    must(r->more == 0 || r->n == MAX_UPSTREAMS, "more only when it is full");
    for (size_t i = 0; i < r->n; i++) {
        must(!ip_is_none(&r->servers[i]), "each server has an address");
        for (size_t j = 0; j < i; j++)
            must(!ip_equal(&r->servers[i], &r->servers[j]), "each stands there once");
    }
}

static void check_same_servers(const struct resolv *a, const struct resolv *b) {
    must(a->n == b->n && a->more == b->more && a->wrong == b->wrong, "as many servers");
    for (size_t i = 0; i < a->n; i++)
        must(ip_equal(&a->servers[i], &b->servers[i]), "the same servers");
}

/* What libc would read of it: lines that begin with the keyword. */
static size_t server_lines(const char *text, size_t len) {
    static const char keyword[] = "nameserver";
    size_t n = 0;
    for (const char *at = text, *end = text + len; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t line = newline ? (size_t)(newline - at) : (size_t)(end - at);
        n += line > sizeof keyword - 1 && memcmp(at, keyword, sizeof keyword - 1) == 0 &&
             (at[sizeof keyword - 1] == ' ' || at[sizeof keyword - 1] == '\t');
        at = newline ? newline + 1 : end;
    }
    return n;
}

static void check_small_room(const char *text, size_t len, const struct ip *by, size_t need) {
    char *buf = malloc(need);
    struct text out = { .buf = buf, .cap = need };
    if (buf)
        must(!resolv_take(&out, text, len, by) && out.cut, "a byte short is refused");
    free(buf);
}

static void check(const char *text, size_t len, const struct ip *by) {
    static char ours[ROOM], again[ROOM], back[ROOM], other[ROOM];
    struct resolv before, after;
    resolv_parse(&before, text, len);
    check_parsed(&before);
    struct text t = take(ours, text, len, by);
    resolv_parse(&after, t.buf, t.len);
    check_parsed(&after);
    must(after.ours && ip_equal(&after.by, by), "it is ours, and names us");
    must(server_lines(t.buf, t.len) == 1, "and nobody else");
    check_same_servers(&before, &after);
    struct text twice = take(again, t.buf, t.len, by);
    must(same(&twice, t.buf, t.len), "to take again changes nothing");
    struct text original = give_back(back, t.buf, t.len);
    if (!before.ours)
        must(same(&original, text, len), "given back byte for byte");
    struct text rest = give_back(other, original.buf, original.len);
    resolv_parse(&after, original.buf, original.len);
    if (!after.ours)
        must(same(&rest, original.buf, original.len), "what is not ours is copied");
    check_small_room(text, len, by, t.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > MOST)
        return 0;
    const uint8_t bytes[4] = { 169, 254, 53, data[0] };
    struct ip by = ip_from_bytes(bytes, sizeof bytes);
    char *text = malloc(size); /* of its own: what reads past its end is seen */
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    check(text, size - 1, &by);
    free(text);
    return 0;
}
