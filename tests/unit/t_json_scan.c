#include "http/json_scan.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tests/unit/tap.h"

/* What is told, as text: "path=/a|content=hi|n?|" and '!' for what is broken or not whole. */
static const char *scan(const char *in, size_t n, size_t step) {
    static char buf[70000];
    struct text t = TEXT(buf);
    struct json_scan s = { 0 };
    bool within = false;
    buf[0] = '\0';
    for (size_t at = 0; at < n;) {
        struct slice piece;
        size_t used, k = n - at < step ? n - at : step;
        enum json_scan_event e = json_scan_next(&s, in + at, k, &used, &piece);
        if (e == JSON_SCAN_BAD || (used == 0 && e == JSON_SCAN_NONE)) {
            text_add(&t, "!");
            return buf;
        }
        if (!within && (e == JSON_SCAN_TEXT || e == JSON_SCAN_END))
            text_add(&t, "%s=", s.name);
        text_put(&t, piece.s, piece.n);
        if (e == JSON_SCAN_END || e == JSON_SCAN_OTHER)
            text_add(&t, e == JSON_SCAN_END ? "|" : "%s?|", s.name);
        within = e == JSON_SCAN_TEXT || (within && e != JSON_SCAN_END);
        if (e == JSON_SCAN_END && used > 0 && in[at + used - 1] != '"')
            text_add(&t, "<not at its quote>");
        if (within != json_scan_in_text(&s) && e != JSON_SCAN_NONE)
            text_add(&t, "<in a text or not>");
        at += used;
    }
    if (!s.done)
        text_add(&t, "!");
    return buf;
}

static void check(const char *in, const char *want, const char *what) {
    char whole[512];
    size_t n = strlen(in);
    (void)snprintf(whole, sizeof whole, "%s", scan(in, n, n));
    bool same = true;
    for (size_t step = 1; step < 8; step++)
        same &= strcmp(scan(in, n, step), want) == 0 || want[strlen(want) - 1] == '!';
    OK(strcmp(whole, want) == 0 && same, "%s", what);
}

static void test_good(void) {
    check("{}", "", "nothing");
    check(" {\r\n\t} \n", "", "blanks");
    check("{\"path\":\"/a\",\"content\":\"hi\"}", "path=/a|content=hi|", "two texts");
    check("{\"a\":\"\"}", "a=|", "an empty one");
    check("{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a=\"\\/\b\f\n\r\t|", "all escapes");
    check("{\"a\":\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"}",
          "a=A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80|", "letters by number");
    check("{\"a\":\"\\ud83d\"}", "a=\xef\xbf\xbd|", "half a pair at the end");
    check("{\"a\":\"\\ud83dx\\udc00\\n\"}", "a=\xef\xbf\xbdx\xef\xbf\xbd\n|", "halves within");
    check("{\"a\":\"\\ud83d\\ud83d\\ude00\"}", "a=\xef\xbf\xbd\xf0\x9f\x98\x80|",
          "a half, and a pair");
    check("{\"a\":1,\"b\":-0.5e+3,\"c\":[1,{\"d\":\"x\"}],\"e\":null,\"f\":\"g\"}",
          "a?|b?|c?|e?|f=g|", "others");
    check("{\"\\u0061\":\"x\"}", "a=x|", "a name with an escape");
    check("{\"a\\u0000\":\"x\"}", "=x|", "a name with a NUL is none");
    check("{\"0123456789012345678901234567890123456789012345678901234567890123\":\"x\"}", "=x|",
          "one of 64 bytes is none");
    check("{\"012345678901234567890123456789012345678901234567890123456789012\":\"x\"}",
          "012345678901234567890123456789012345678901234567890123456789012=x|", "one of 63 is");
}

static void test_bad(void) {
    static const char *const rows[] = {
        "",
        "[]",
        "\"a\"",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":+1}",
        "{\"a\":tru}",
        "{\"a\":nul",
        "{\"a\":[1,]}",
        "{\"a\":[1}}",
        "{\"a\":{]}",
        "{a:1}",
        "{'a':1}",
        "{} {}",
        "{}x",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\xc3\"}",
        "{\"a\":\"\xc3\\n\"}",
        "{\"a\":\"x",
        "{\"a\":\"x\"",
        "{\"a\" \"b\"}",
        "{\"a\":1 2}",
        "{\"a\":\"b\" \"c\"}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *whole = scan(rows[i], strlen(rows[i]), SIZE_MAX);
        bool bad = *whole && whole[strlen(whole) - 1] == '!';
        bad |= rows[i][0] == '\0' && strcmp(whole, "!") == 0;
        const char *bytes = scan(rows[i], strlen(rows[i]), 1);
        OK(bad && bytes[strlen(bytes) - 1] == '!', "no object, %zu", i);
    }
}

static void test_depth(void) {
    char in[300];
    for (unsigned depth = JSON_SCAN_DEPTH - 2; depth <= JSON_SCAN_DEPTH; depth++) {
        struct text t = TEXT(in);
        text_add(&t, "{\"a\":");
        for (unsigned i = 1; i < depth; i++)
            text_add(&t, "[");
        for (unsigned i = 1; i < depth; i++)
            text_add(&t, "]");
        text_add(&t, "}");
        bool good = strcmp(scan(in, t.len, SIZE_MAX), "a?|") == 0;
        OK(good == (depth < JSON_SCAN_DEPTH), "%u within each other: %s", depth,
           good ? "yes" : "no");
    }
}

/* Longer than a piece, with escapes at every place of it. */
static void test_long(void) {
    static char in[70000], want[70000];
    bool same = true;
    for (size_t shift = 0; shift < 24; shift++) {
        struct text t = TEXT(in), w = TEXT(want);
        text_add(&t, "{\"c\":\"");
        text_add(&w, "c=");
        for (size_t i = 0; i < 2 * JSON_SCAN_PIECE + shift; i++) {
            bool letter = i % 13 == shift % 13;
            text_add(&t, letter ? "\\ud83d\\ude00" : "x");
            text_add(&w, letter ? "\xf0\x9f\x98\x80" : "x");
        }
        text_add(&t, "\"}");
        text_add(&w, "|");
        same &= !t.cut && strcmp(scan(in, t.len, SIZE_MAX), want) == 0 &&
                strcmp(scan(in, t.len, 777), want) == 0;
    }
    OK(same, "texts that are longer than a piece");
}

int main(void) {
    test_good();
    test_bad();
    test_depth();
    test_long();
    return tap_end();
}
