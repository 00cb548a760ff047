/* The pure parts of the E2B dialect: envelopes, the JSON mapping, and what POST /init has set. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel/e2b/envelope.h"
#include "channel/e2b/proto.h"
#include "channel/e2b/settings.h"
#include "tests/unit/tap.h"

/* --- envelopes -------------------------------------------------------------------------------- */

/* "flags:payload|" of each envelope in[n] holds, taken in pieces of `step` bytes. */
static const char *read_all(const char *in, size_t n, size_t step, size_t max) {
    static char buf[1024];
    struct text t = TEXT(buf);
    struct envelope e = { 0 };
    buf[0] = '\0';
    for (size_t at = 0; at < n;) {
        int64_t used = envelope_take(&e, in + at, n - at < step ? n - at : step, max);
        if (used < 0) {
            text_add(&t, "error %d", (int)-used);
            envelope_next(&e);
            break;
        }
        at += (size_t)used;
        if (!e.whole)
            continue;
        text_add(&t, "%u:%.*s|", e.flags, (int)e.len, e.payload);
        envelope_next(&e);
    }
    if (e.have > 0 && !e.whole)
        text_add(&t, "partial");
    envelope_next(&e);
    return buf;
}

static void test_envelopes(void) {
    static const char in[] = "\0\0\0\0\5hello\2\0\0\0\0\0\0\0\0\2{}";
    size_t n = sizeof in - 1;
    unsigned char head[ENVELOPE_HEAD];
    envelope_head(head, ENVELOPE_END, 0x01020304);
    OK(memcmp(head, "\2\1\2\3\4", 5) == 0, "a length is 32 bits, big-endian");
    for (size_t step = 1; step <= n; step++)
        OK(strcmp(read_all(in, n, step, 100), "0:hello|2:|0:{}|") == 0, "in pieces of %zu: %s",
           step, read_all(in, n, step, 100));
    OK(strcmp(read_all(in, 8, 3, 100), "partial") == 0, "one that is cut is not whole");
    OK(strcmp(read_all(in, n, n, 4), "error 90") == 0, "a byte more than the limit is refused");
    OK(strcmp(read_all("\0\xff\xff\xff\xff", 5, 5, 1 << 24), "error 90") == 0,
       "4 GiB that are announced cost nothing");
}

/* --- members ---------------------------------------------------------------------------------- */

static yyjson_doc *parse(const char *text) {
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    if (!doc)
        abort();
    return doc;
}

static void test_names(void) {
    yyjson_doc *doc = parse("{\"includeEntry\":true,\"allow_network_mounts\":true,\"path\":null,"
                            "\"other\":[1],\"includeentry\":1}");
    yyjson_val *m = yyjson_doc_get_root(doc);
    struct proto p = { 0 };
    OK(proto_bool(&p, m, "includeEntry"), "by its name");
    OK(proto_bool(&p, m, "allowNetworkMounts"), "by its name in snake_case");
    OK(!proto_text(&p, m, "path") && !p.err.code, "null means absent");
    OK(!proto_get(m, "tag") && !proto_text(&p, m, "tag") && !p.err.code, "absent is no error");
    yyjson_doc_free(doc);
}

static void test_integers(void) {
    static const struct {
        const char *json;
        bool ok;
        int64_t value;
    } rows[] = {
        { "{\"n\":7}", true, 7 },
        { "{\"n\":\"7\"}", true, 7 },
        { "{\"n\":-1}", true, -1 },
        { "{\"n\":7.0}", true, 7 },
        { "{\"n\":1e2}", true, 100 },
        { "{\"n\":\"100\"}", true, 100 },
        { "{\"n\":101}", false, 0 },
        { "{\"n\":-2}", false, 0 },
        { "{\"n\":7.5}", false, 0 },
        { "{\"n\":\"\"}", false, 0 },
        { "{\"n\":\" 7\"}", false, 0 },
        { "{\"n\":\"7x\"}", false, 0 },
        { "{\"n\":\"+7\"}", false, 0 },
        { "{\"n\":true}", false, 0 },
        { "{\"n\":[]}", false, 0 },
        { "{\"n\":1e300}", false, 0 },
        { "{\"n\":18446744073709551615}", false, 0 },
        { "{\"n\":\"99999999999999999999\"}", false, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        yyjson_doc *doc = parse(rows[i].json);
        struct proto p = { 0 };
        int64_t n = 0;
        bool got = proto_int(&p, yyjson_doc_get_root(doc), "n", -1, 100, &n);
        OK(got == rows[i].ok && n == rows[i].value && !p.err.code == rows[i].ok, "%s: %s",
           rows[i].json, p.err.code ? p.err.text : "taken");
        yyjson_doc_free(doc);
    }
}

static void test_bytes(void) {
    static const struct {
        const char *json, *bytes; /* NULL: refused */
    } rows[] = {
        { "{\"b\":\"aGk=\"}", "hi" },
        { "{\"b\":\"aGk\"}", "hi" },
        { "{\"b\":\"\"}", "" },
        { "{\"b\":\"-_8\"}", "\xfb\xff" },
        { "{\"b\":\"+/8=\"}", "\xfb\xff" },
        { "{\"b\":\"aA==\"}", "h" },
        { "{\"b\":\"a\"}", NULL },
        { "{\"b\":\"aGk==\"}", NULL },
        { "{\"b\":\"aG k\"}", NULL },
        { "{\"b\":\"====\"}", NULL },
        { "{\"b\":7}", NULL },
        { "{\"b\":\"a===\"}", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        yyjson_doc *doc = parse(rows[i].json);
        struct proto p = { 0 };
        size_t n = 99;
        const char *b = proto_bytes(&p, yyjson_doc_get_root(doc), "b", &n);
        const char *want = rows[i].bytes;
        bool right = want ? b && n == strlen(want) && memcmp(b, want, n) == 0 && !p.err.code
                          : p.err.code != 0;
        OK(right, "%s is %s", rows[i].json, want ? "decoded" : "refused");
        yyjson_doc_free(doc);
    }
}

static void test_kinds(void) {
    yyjson_doc *doc = parse("{\"a\":[],\"o\":{},\"s\":\"a\\u0000b\",\"b\":1}");
    yyjson_val *m = yyjson_doc_get_root(doc);
    struct proto p = { 0 };
    OK(proto_message(&p, m, "o") && proto_list(&p, m, "a") && !p.err.code, "of the right kind");
    OK(!proto_text(&p, m, "s") && strstr(p.err.text, "s: "), "a text with NUL: %s", p.err.text);
    OK(!proto_bool(&p, m, "b") && strstr(p.err.text, "s: "), "the first error is kept");
    p = (struct proto){ 0 };
    OK(!proto_message(&p, m, "a") && p.err.code, "an array is no object");
    p = (struct proto){ 0 };
    OK(!proto_list(&p, m, "o") && p.err.code, "an object is no array");
    yyjson_doc_free(doc);
}

/* --- the other way ---------------------------------------------------------------------------- */

static void test_times(void) {
    static const struct {
        const char *text;
        int64_t s;
        int32_t ns; /* -1: refused */
    } rows[] = {
        { "1970-01-01T00:00:00Z", 0, 0 },
        { "2026-11-26T10:43:27.5Z", 1795689807, 500000000 },
        { "2026-11-26t10:43:27.123456789z", 1795689807, 123456789 },
        { "2026-11-26T12:43:27+02:00", 1795689807, 0 },
        { "2026-11-26T04:13:27-06:30", 1795689807, 0 },
        { "2026-11-26T10:43:27.1234567891234Z", 1795689807, 123456789 },
        { "2026-11-26 10:43:27Z", 0, -1 },
        { "2026-13-26T10:43:27Z", 0, -1 },
        { "2026-11-26T10:43:27", 0, -1 },
        { "2026-11-26T10:43:27.Z", 0, -1 },
        { "2026-11-26T10:43:27Zx", 0, -1 },
        { "2026-11-26T10:43:27+0200", 0, -1 },
        { "", 0, -1 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t s = 0;
        int32_t ns = 0;
        bool ok = rfc3339_parse(rows[i].text, &s, &ns);
        OK(rows[i].ns < 0 ? !ok : ok && s == rows[i].s && ns == rows[i].ns, "'%s'", rows[i].text);
    }
}

static void test_output(void) {
    char buf[256];
    struct text t = TEXT(buf);
    text_add(&t, "{");
    proto_put_text(&t, "a", "x\"y");
    proto_put_text(&t, "empty", "");
    proto_put_time(&t, "t", 1795689807, 120000000);
    proto_put_time(&t, "u", 1795689807, 1000);
    proto_put_time(&t, "v", 0, 1);
    proto_put_time(&t, "w", -1, 0);
    OK(strcmp(buf, "{\"a\":\"x\\\"y\",\"t\":\"2026-11-26T10:43:27.120Z\","
                   "\"u\":\"2026-11-26T10:43:27.000001Z\",\"v\":\"1970-01-01T00:00:00.000000001Z\","
                   "\"w\":\"1969-12-31T23:59:59Z\"") == 0,
       "texts and times: %s", buf);
}

static void test_modes(void) {
    static const struct {
        unsigned mode;
        const char *text;
    } rows[] = {
        { 0100644, "-rw-r--r--" }, { 040755, "drwxr-xr-x" },  { 0120777, "Lrwxrwxrwx" },
        { 0104755, "urwxr-xr-x" }, { 041777, "dtrwxrwxrwx" }, { 020666, "Dcrw-rw-rw-" },
        { 060660, "Drw-rw----" },  { 010600, "prw-------" },  { 0140755, "Srwxr-xr-x" },
        { 042755, "dgrwxr-xr-x" }, { 0100000, "----------" },
    };
    char out[16];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        go_mode(rows[i].mode, out);
        OK(strcmp(out, rows[i].text) == 0, "%o is %s", rows[i].mode, out);
    }
}

/* --- settings --------------------------------------------------------------------------------- */

static void test_settings(void) {
    struct e2b_memory *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    struct e2b_settings *s = e2b_settings_draft(m);
    OK(e2b_settings_put_env(s, "A", "1") && e2b_settings_put_env(s, "AB", "2") &&
           e2b_settings_put_env(s, "A", "three"),
       "variables are put");
    OK(strcmp(e2b_settings_env(s, "A"), "three") == 0 &&
           strcmp(e2b_settings_env(s, "AB"), "2") == 0,
       "the last value counts, and a longer name is another one");
    OK(!e2b_settings_env(e2b_settings_in(m), "A"), "a draft is not in force");
    e2b_settings_apply(m);
    OK(strcmp(e2b_settings_env(e2b_settings_in(m), "A"), "three") == 0, "until it is applied");
    s = e2b_settings_draft(m);
    OK(strcmp(e2b_settings_env(s, "AB"), "2") == 0, "the next draft begins with what is in force");
    OK(!e2b_settings_put_env(s, "", "x") && !e2b_settings_put_env(s, "A=B", "x"),
       "no variable's name");
    char *long_value = malloc(E2B_ENV_BYTES);
    if (!long_value)
        abort();
    memset(long_value, 'x', E2B_ENV_BYTES - 1);
    s->env_len = 0;
    long_value[E2B_ENV_BYTES - 3] = '\0';
    OK(e2b_settings_put_env(s, "A", long_value) && s->env_len == E2B_ENV_BYTES, "full to the byte");
    OK(!e2b_settings_put_env(s, "B", ""), "and no further");
    s->env_len = 0;
    long_value[E2B_ENV_BYTES - 3] = 'x';
    long_value[E2B_ENV_BYTES - 2] = '\0';
    OK(!e2b_settings_put_env(s, "A", long_value) && s->env_len == 0, "one byte more does not fit");
    free(long_value);
    free(m);
}

int main(void) {
    test_envelopes();
    test_names();
    test_integers();
    test_bytes();
    test_kinds();
    test_times();
    test_output();
    test_modes();
    test_settings();
    return tap_end();
}
