#include "base/str.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/limits.h"
#include "base/own.h"
#include "tests/unit/tap.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static void text_stays_in_its_bounds(void) {
    char buf[8 + 1];
    struct text t = { .buf = buf, .cap = 8 };
    memset(buf, 'z', sizeof buf);
    text_put(&t, "1234567", 7);
    OK(t.len == 7 && !t.cut && strcmp(buf, "1234567") == 0, "7 bytes fit into 8");
    text_put(&t, NULL, 0); /* as of an absent slice */
    text_add(&t, "%s", "");
    OK(!t.cut, "nothing more is not too much");
    text_put(&t, "8", 1);
    OK(t.len == 7 && t.cut && buf[7] == '\0' && buf[8] == 'z', "an eighth is cut, and said so");
    t = (struct text){ .buf = buf, .cap = 8 };
    text_add(&t, "%s", "1234567");
    OK(t.len == 7 && !t.cut, "the same by format");
    t.len = 0;
    text_add(&t, "%s", "12345678");
    OK(t.len == 7 && t.cut && strcmp(buf, "1234567") == 0 && buf[8] == 'z', "cut by format");
    t = (struct text){ .buf = buf, .cap = 1 };
    text_add(&t, "x");
    text_json(&t, "ab", 2);
    OK(t.len == 0 && t.cut && buf[0] == '\0', "room for the NUL alone");
}

static void escapes_json(void) {
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } rows[] = {
        { "", 0, "\"\"" },
        { "a\"b\\c", 5, "\"a\\\"b\\\\c\"" },
        { "\n\r\t\b\f", 5, "\"\\n\\r\\t\\b\\f\"" },
        { "\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\\u007f\"" },
        { "\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2", 9, "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\xa2\"" },
        { "\xc2\x80\xdf\xbf", 4, "\"\xc2\x80\xdf\xbf\"" },                 /* first, last of two */
        { "\xe0\xa0\x80\xef\xbf\xbf", 6, "\"\xe0\xa0\x80\xef\xbf\xbf\"" }, /* of three */
        { "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8, "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
        { "\xed\x9f\xbf\xee\x80\x80", 6, "\"\xed\x9f\xbf\xee\x80\x80\"" }, /* around surrogates */
    };
    char buf[128];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text t = TEXT(buf);
        text_json(&t, rows[i].in, rows[i].n);
        OK(strcmp(buf, rows[i].out) == 0, "JSON row %zu: %s", i, buf);
    }
}

#define BAD "\xef\xbf\xbd"

/* RFC 3629: every byte that no well-formed sequence holds becomes one U+FFFD. */
static void replaces_what_is_not_utf8(void) {
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "a\x80z", "\"a" BAD "z\"" },
        { "\xbf", "\"" BAD "\"" },
        { "\xc0\x80", "\"" BAD BAD "\"" },
        { "\xc1\xbf", "\"" BAD BAD "\"" },
        { "\xc3", "\"" BAD "\"" },
        { "\xc3z", "\"" BAD "z\"" },
        { "\xe0\x9f\xbf", "\"" BAD BAD BAD "\"" },
        { "\xe2\x82", "\"" BAD BAD "\"" },
        { "\xe2\x28\xa1", "\"" BAD "(" BAD "\"" },
        { "\xe2\x82z", "\"" BAD BAD "z\"" },
        { "\xed\xa0\x80", "\"" BAD BAD BAD "\"" },
        { "\xed\xbf\xbf", "\"" BAD BAD BAD "\"" },
        { "\xf0\x8f\xbf\xbf", "\"" BAD BAD BAD BAD "\"" },
        { "\xf0\x9f\x9a", "\"" BAD BAD BAD "\"" },
        { "\xf0\x9f\x9az", "\"" BAD BAD BAD "z\"" },
        { "\xf4\x90\x80\x80", "\"" BAD BAD BAD BAD "\"" },
        { "\xf5\x80\x80\x80", "\"" BAD BAD BAD BAD "\"" },
        { "\xff\xfe", "\"" BAD BAD "\"" },
    };
    char buf[128];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text t = TEXT(buf);
        text_json(&t, rows[i].in, strlen(rows[i].in));
        OK(strcmp(buf, rows[i].out) == 0, "bad UTF-8 row %zu: %s", i, buf);
    }
}

/* A piece of a stream ends before a character that may go on. */
static void cuts_no_character(void) {
    static const struct {
        const char *in;
        size_t whole;
    } rows[] = { { "", 0 },
                 { "abc", 3 },
                 { "a\xc3", 1 },
                 { "a\xc3\xa9", 3 },
                 { "\xe2", 0 },
                 { "\xe2\x82", 0 },
                 { "\xe2\x82\xac", 3 },
                 { "\xf0\x9f\x9a", 0 },
                 { "\xf0\x9f\x9a\x80", 4 },
                 { "x\x80\x80\x80\x80", 5 },
                 { "\xff", 1 },
                 { "\xc0", 1 },
                 { "\xf5\x80", 2 } };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        OK(utf8_whole(rows[i].in, strlen(rows[i].in)) == rows[i].whole, "whole characters, row %zu",
           i);
}

static void parses_spans(void) {
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = { { "0s", 0 },
                 { "1us", 1000 },
                 { "500ms", 500000000 },
                 { "2s", 2000000000 },
                 { "1m30s", 90000000000 },
                 { "1h", 3600000000000 },
                 { "1d2h3m4s5ms6us", 93784005006000 },
                 { "1s1s", 2000000000 },
                 { "007s", 7000000000 },
                 { "36500d", 3153600000000000000 } };
    static const char *const bad[] = { "",
                                       "5",
                                       "s",
                                       "-5s",
                                       "+5s",
                                       " 5s",
                                       "5s ",
                                       "5 s",
                                       "1.5s",
                                       "5S",
                                       "5sec",
                                       "5s5",
                                       "1m30",
                                       "5w",
                                       "ns",
                                       "5ns",
                                       "never",
                                       "5s,",
                                       "36501d",
                                       "36500d1us",
                                       "99999999999999999999s",
                                       "9223372036855s",
                                       "9223372036854775807us",
                                       "9223372036854775808us",
                                       "18250d18251d" };
    span d;
    struct err e = { 0 };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        OK(parse_span(good[i].text, false, &d, &e) == 0 && d.ns == good[i].ns, "%s is %lld ns",
           good[i].text, (long long)good[i].ns);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        d = span_ms(77);
        OK(parse_span(bad[i], false, &d, &e) == -EINVAL && e.code == EINVAL &&
               d.ns == span_ms(77).ns,
           "refused, the value left alone: '%s'", bad[i]);
    }
    OK(parse_span("never", true, &d, &e) == 0 && span_is_never(d), "never, where it is allowed");
    (void)parse_span("5", true, &d, &e);
    OK(strcmp(e.text, "'5' is not a time such as 500ms, 5s, 1m30s, or never") == 0, "%s", e.text);
    (void)parse_span("5", false, &d, &e);
    OK(strcmp(e.text, "'5' is not a time such as 500ms, 5s, 1m30s") == 0, "%s", e.text);
    OK(parse_span("x", false, &d, NULL) == -EINVAL, "without a place for the message");
}

static void formats_spans(void) {
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = { { 0, "0ms" },
                 { 999, "0ms" },
                 { 999999, "999ms" },
                 { 1000000, "1.0s" },
                 { 12345678, "12.3s" },
                 { 59999999, "59.9s" },
                 { 60000000, "1m00s" },
                 { 245000000, "4m05s" },
                 { 3599999999, "59m59s" },
                 { 3600000000, "1h00m" },
                 { 86399999999, "23h59m" },
                 { 86400000000, "1d00h" },
                 { 8640000000000, "100d00h" } };
    char buf[32];
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        OK(strcmp(format_span(buf, sizeof buf, span_us(rows[i].us)), rows[i].text) == 0,
           "%lld us reads %s", (long long)rows[i].us, buf);
    OK(strcmp(format_span(buf, sizeof buf, SPAN_NEVER), "never") == 0, "for ever reads never");
}

static void parses_sizes(void) {
    static const struct {
        const char *text;
        size_t n;
    } good[] = { { "0", 0 },
                 { "4096", 4096 },
                 { "64k", 65536 },
                 { "64K", 65536 },
                 { "1m", 1 << 20 },
                 { "2G", (size_t)2 << 30 },
                 { "3t", (size_t)3 << 40 },
                 { "9223372036854775807", INT64_MAX },
                 { "9007199254740991k", (size_t)9007199254740991 << 10 },
                 { "8388607t", (size_t)8388607 << 40 } };
    static const char *const bad[] = { "",
                                       "k",
                                       "-1",
                                       "+1",
                                       " 1",
                                       "1 ",
                                       "1b",
                                       "1kb",
                                       "1kk",
                                       "1.5m",
                                       "0x10",
                                       "9223372036854775808",
                                       "9007199254740992k",
                                       "8388608t",
                                       "1\v",
                                       "1p" };
    size_t n;
    struct err e = { 0 };
    for (size_t i = 0; i < COUNT_OF(good); i++)
        OK(parse_size(good[i].text, &n, &e) == 0 && n == good[i].n, "size %s", good[i].text);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        OK(parse_size(bad[i], &n, &e) == -EINVAL, "refused size '%s'", bad[i]);
    OK(strcmp(e.text, "'1p' is not a size such as 4096, 64k, 1m") == 0, "%s", e.text);
}

static void parses_numbers(void) {
    unsigned v = 7;
    struct err e = { 0 };
    OK(parse_uint("3", 3, 1023, &v, &e) == 0 && v == 3, "the least");
    OK(parse_uint("1023", 3, 1023, &v, &e) == 0 && v == 1023, "the most");
    OK(parse_uint("2", 3, 1023, &v, &e) == -EINVAL && v == 1023, "one below");
    OK(parse_uint("1024", 3, 1023, &v, &e) == -EINVAL && v == 1023, "one above");
    OK(strcmp(e.text, "'1024' is not a whole number from 3 to 1023") == 0, "%s", e.text);
    OK(parse_uint("4294967295", 0, UINT_MAX, &v, &e) == 0 && v == UINT_MAX, "UINT_MAX");
    OK(parse_uint("4294967296", 0, UINT_MAX, &v, &e) == -EINVAL, "past UINT_MAX");
    static const char *const bad[] = {
        "", "-1", "+1", " 1", "1 ", "1x", "x", "99999999999999999999"
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        OK(parse_uint(bad[i], 0, UINT_MAX, &v, &e) == -EINVAL, "refused number '%s'", bad[i]);
}

/* The words, each followed by '|'. */
static const char *joined(const char *in) {
    static char buf[256];
    struct text t = TEXT(buf);
    AUTO_FREE char **words = NULL;
    size_t n;
    struct err e = { 0 };
    buf[0] = '\0';
    if (split_words(in, &words, &n, &e) < 0)
        return e.text[0] ? "refused" : "refused without a word";
    for (size_t i = 0; i < n; i++)
        text_add(&t, "%s|", words[i]);
    return words[n] ? "no NULL at the end" : buf;
}

static void splits_words(void) {
    static const struct {
        const char *in, *out;
    } rows[] = {
        { "", "" },
        { " \t\n ", "" },
        { "a", "a|" },
        { "  a  b\tc\nd ", "a|b|c|d|" },
        { "'a b' \"c d\"", "a b|c d|" },
        { "a'b'\"c\"d", "abcd|" },
        { "'' \"\"", "||" },
        { "a ''", "a||" },
        { "\\ ", " |" },
        { "a\\ b", "a b|" },
        { "\\'\\\"\\\\", "'\"\\|" },
        { "'a\\'", "a\\|" },
        { "'a\\\\b\\$'", "a\\\\b\\$|" },
        { "\"a\\\"b\"", "a\"b|" },
        { "\"a\\\\b\"", "a\\b|" },
        { "\"\\$\\`\\n\"", "$`\\n|" },
        { "'\"' \"'\"", "\"|'|" },
        { "a\\", "a\\|" },
        { "$HOME *.c ~ `x` $(y)", "$HOME|*.c|~|`x`|$(y)|" },
        { "a;b|c&d>e", "a;b|c&d>e|" },
        { "\"a\nb\"", "a\nb|" },
        { "'", "refused" },
        { "\"", "refused" },
        { "a 'b", "refused" },
        { "\"a\\\"", "refused" },
        { "'a\"", "refused" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        OK(strcmp(joined(rows[i].in), rows[i].out) == 0, "words of row %zu: %s", i,
           joined(rows[i].in));
    struct err e = { 0 };
    char **words;
    size_t n;
    (void)split_words("sh -c 'x", &words, &n, &e);
    OK(strcmp(e.text, "a quote is left open in: sh -c 'x") == 0, "%s", e.text);
}

/* One-byte words are the most that a text can hold: the block must be large enough. */
static void splits_the_most_words(void) {
    for (size_t len = 1; len < 600; len++) {
        char in[601];
        for (size_t i = 0; i < len; i++)
            in[i] = i % 2 ? ' ' : 'x';
        in[len] = '\0';
        AUTO_FREE char **words = NULL;
        size_t n = 0;
        if (split_words(in, &words, &n, NULL) < 0 || n != (len + 1) / 2 || words[n]) {
            OK(false, "%zu bytes of one-byte words", len);
            return;
        }
    }
    OK(true, "1 to 599 bytes of one-byte words");
}

static void finds_the_nearest(void) {
    static const char *const keys[] = { "ready", "ready-every", "restart", "requires",
                                        "log",   "start",       "status" };
    static const struct {
        const char *word, *near;
    } rows[] = { { "redy", "ready" },      { "raedy", "ready" },
                 { "ready", "ready" },     { "readyevery", "ready-every" },
                 { "restrat", "restart" }, { "lgo", "log" },
                 { "stauts", "status" },   { "satrt", "start" },
                 { "lo", "log" },          { "logs", "log" },
                 { "xyzzy", NULL },        { "", NULL },
                 { "user", NULL } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *near = nearest(rows[i].word, keys, COUNT_OF(keys));
        bool same = near && rows[i].near ? strcmp(near, rows[i].near) == 0 : near == rows[i].near;
        OK(same, "nearest to '%s': %s", rows[i].word, near ? near : "none");
    }
    char longer[400];
    memset(longer, 'q', sizeof longer);
    for (size_t n = 62; n < sizeof longer; n += n < 66 ? 1 : 61) {
        longer[n] = '\0';
        OK(!nearest(longer, keys, COUNT_OF(keys)), "nothing is near a word of %zu bytes", n);
        longer[n] = 'q';
    }
    OK(!nearest("a", NULL, 0), "no candidates");
}

static void knows_signals(void) {
    static const struct {
        const char *name;
        int n;
    } rows[] = { { "TERM", 15 },     { "SIGTERM", 15 }, { "term", 15 },      { "sigterm", 15 },
                 { "HUP", 1 },       { "SYS", 31 },     { "1", 1 },          { "64", 64 },
                 { "34", 34 },       { "RTMIN", 34 },   { "RTMIN+0", 34 },   { "SIGRTMIN+1", 35 },
                 { "RTMIN+30", 64 }, { "RTMAX", 64 },   { "RTMAX-0", 64 },   { "RTMAX-30", 34 },
                 { "rtmax-1", 63 },  { "0", -1 },       { "65", -1 },        { "", -1 },
                 { "SIG", -1 },      { "TERMX", -1 },   { "RTMIN+31", -1 },  { "RTMAX-31", -1 },
                 { "RTMIN-1", -1 },  { "RTMAX+1", -1 }, { "RTMIN+", -1 },    { "RTMINX", -1 },
                 { "-1", -1 },       { " TERM", -1 },   { "SIGSIGTERM", -1 } };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        OK(signal_number(rows[i].name) == rows[i].n, "'%s' is signal %d", rows[i].name, rows[i].n);
    char buf[32];
    OK(strcmp(signal_name(buf, sizeof buf, 15), "SIGTERM") == 0, "15 is %s", buf);
    OK(strcmp(signal_name(buf, sizeof buf, 34), "SIGRTMIN") == 0, "34 is %s", buf);
    OK(strcmp(signal_name(buf, sizeof buf, 64), "SIGRTMIN+30") == 0, "64 is %s", buf);
    for (int n = 1; n <= 64; n++)
        if (n < 32 || n > 33)
            OK(signal_number(signal_name(buf, sizeof buf, n)) == n, "%d there and back as %s", n,
               buf);
    OK(strcmp(signal_name(buf, sizeof buf, 32), "signal 32") == 0, "32 is %s", buf);
    OK(strcmp(signal_name(buf, sizeof buf, 0), "signal 0") == 0, "0 is %s", buf);
}

int main(void) {
    text_stays_in_its_bounds();
    escapes_json();
    replaces_what_is_not_utf8();
    cuts_no_character();
    parses_spans();
    formats_spans();
    parses_sizes();
    parses_numbers();
    splits_words();
    splits_the_most_words();
    finds_the_nearest();
    knows_signals();
    OK(has_prefix("abc", "ab") && has_prefix("abc", "") && !has_prefix("ab", "abc"), "prefixes");
    OK(has_suffix("abc", "bc") && has_suffix("abc", "") && !has_suffix("bc", "abc") &&
           !has_suffix("abcd", "bc"),
       "suffixes");
    return tap_end();
}
