#include <stdlib.h>
#include <string.h>

#include "http/head.h"
#include "http/status.h"
#include "tests/unit/tap.h"

/* In blocks of exactly their size, so that a sanitizer sees every byte past them. */
static int decode(const char *in, size_t n, char *out, size_t cap) {
    char *from = malloc(n + !n), *to = malloc(cap + !cap);
    memcpy(from, in, n);
    int rc = http_decode((struct slice){ from, n }, to, cap);
    memcpy(out, to, cap);
    free(from);
    free(to);
    return rc;
}

static void decodes(void) {
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } rows[] = {
        { "", "" },
        { "abc", "abc" },
        { "a+b", "a+b" },
        { "%41%7a%2F%2f", "Az//" },
        { "%25%32%35", "%25" }, /* once, not twice */
        { "\xc3\xa4%c3%A4", "\xc3\xa4\xc3\xa4" },
        { "%ff%01", "\xff\x01" },
        { "%00", NULL },
        { "a%00b", NULL },
        { "%", NULL },
        { "%4", NULL },
        { "a%", NULL },
        { "%4g", NULL },
        { "%g4", NULL },
        { "%%41", NULL },
        { "% 41", NULL },
        { "%+4", NULL },
        { "%-1", NULL },
        { "%0x41", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[32] = { 0 };
        int rc = decode(rows[i].in, strlen(rows[i].in), out, sizeof out);
        if (rows[i].out)
            OK(rc == (int)strlen(rows[i].out) && strcmp(out, rows[i].out) == 0, "'%s'", rows[i].in);
        else
            OK(rc == -1, "'%s' is refused", rows[i].in);
    }
    char out[8];
    OK(decode("a\0b", 3, out, sizeof out) == -1, "a NUL as it is, refused");
    OK(decode("%41bc", 5, out, 4) == 3 && strcmp(out, "Abc") == 0, "what fits exactly");
    OK(decode("%41bc", 5, out, 3) == -1, "what does not");
    OK(decode("", 0, out, 1) == 0 && out[0] == '\0', "nothing fits in one byte");
    OK(decode("a", 1, out, 1) == -1 && decode("", 0, out, 0) == -1, "and nothing else in less");
}

static void splits_queries(void) {
    static const struct {
        const char *query, *params; /* each as <key|value> */
    } rows[] = {
        { "", "" },
        { "a=b", "<a|b>" },
        { "a=b&c=d", "<a|b><c|d>" },
        { "a", "<a|>" },
        { "a=", "<a|>" },
        { "a==b=c", "<a|=b=c>" },
        { "&&a=b&&c&", "<a|b><c|>" },
        { "=b", "<|b>" },
        { "=&a=b", "<a|b>" },
        { "a%26=b%3d+;c?", "<a%26|b%3d+;c?>" },
        { "a=1&a=2", "<a|1><a|2>" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64] = "";
        size_t n = strlen(rows[i].query);
        char *exact = malloc(n + !n);
        memcpy(exact, rows[i].query, n);
        struct slice rest = { exact, n }, key, value;
        while (http_next_param(&rest, &key, &value))
            (void)snprintf(out + strlen(out), sizeof out - strlen(out), "<%.*s|%.*s>", (int)key.n,
                           key.s, (int)value.n, value.s);
        OK(strcmp(out, rows[i].params) == 0, "'%s' is %s", rows[i].query, out);
        OK(!http_next_param(&rest, &key, &value), "and then no more");
        free(exact);
    }
    struct slice none = { 0 }, key, value;
    OK(!http_next_param(&none, &key, &value), "no query at all");
}

static void knows_reasons(void) {
    static const int known[] = { 100, 101, 200, 201, 202, 204, 206, 304, 400, 401, 403,
                                 404, 405, 408, 409, 411, 412, 413, 414, 415, 416, 417,
                                 422, 426, 429, 431, 500, 501, 503, 505, 507 };
    size_t n = 0, found = 0;
    for (int status = -1; status < 1000; status++) {
        bool has = *http_reason(status) != '\0';
        bool should = n < sizeof known / sizeof known[0] && known[n] == status;
        found += has == should;
        n += should;
    }
    OK(found == 1001, "a reason for each status, and for no other");
    OK(strcmp(http_reason(200), "OK") == 0 && strcmp(http_reason(404), "Not Found") == 0 &&
           strcmp(http_reason(507), "Insufficient Storage") == 0,
       "some of them");
}

int main(void) {
    decodes();
    splits_queries();
    knows_reasons();
    return tap_end();
}
