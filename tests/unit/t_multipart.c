#include "channel/e2b/multipart.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tests/unit/tap.h"

static struct multipart m;

static struct slice text(const char *s) { return (struct slice){ s, strlen(s) }; }

static int begin(const char *boundary) {
    char type[128];
    (void)snprintf(type, sizeof type, "multipart/form-data; boundary=%s", boundary);
    return multipart_begin(&m, text(type));
}

static const char *or_none(const char *s) { return s ? s : "-"; }

/* What is said of a body that comes in pieces of these sizes in turn, as text:
 * "[name|filename|type]content;" for each part, "." at the end, "!why". Of each piece of content at
 * most `most` bytes are taken at once. A piece is in a block of its own, so that ASan sees every
 * byte too far. */
struct reading {
    const char *bytes;
    size_t n, step[2], most;
};

static bool feed(struct slice in, size_t most, struct text *out) {
    struct slice data;
    for (;;) {
        switch (multipart_next(&m, &in, &data)) {
        case MULTIPART_MORE:
            return true;
        case MULTIPART_BEGIN:
            text_add(out, "[%s|%s|%s]", or_none(m.part.name), or_none(m.part.filename),
                     or_none(m.part.type));
            break;
        case MULTIPART_DATA: {
            size_t k = data.n < most ? data.n : most;
            text_put(out, data.s, k);
            multipart_put_back(&m, &in, data.n, k);
            break;
        }
        case MULTIPART_FINISH:
            text_add(out, ";");
            break;
        case MULTIPART_END:
            text_add(out, ".");
            break;
        case MULTIPART_BAD:
            text_add(out, "!%s", m.why);
            return false;
        }
    }
}

static const char *read_all(const struct reading *r) {
    static char buf[32768];
    struct text out = TEXT(buf);
    buf[0] = '\0';
    for (size_t at = 0, turn = 0; at < r->n; turn++) {
        size_t k = r->step[turn & 1] < r->n - at ? r->step[turn & 1] : r->n - at;
        char *block = malloc(k);
        memcpy(block, r->bytes + at, k);
        bool more = feed((struct slice){ block, k }, r->most, &out);
        free(block);
        if (!more)
            break;
        at += k;
    }
    return buf;
}

static const char *read_whole(const char *bytes, size_t n) {
    return read_all(&(struct reading){ bytes, n, { n, n }, SIZE_MAX });
}

static bool says(const char *boundary, const char *body, const char *want) {
    return begin(boundary) == 0 && strcmp(read_whole(body, strlen(body)), want) == 0;
}

/* --- bodies as clients send them -------------------------------------------------------------- */

/* clang-format off */
/* As fetch() of Node.js sends it. */
static const char undici[] =
    "------formdata-undici-012345678901\r\n"
    "Content-Disposition: form-data; name=\"file\"; filename=\"/tmp/a b%22\xc3\xbc.txt\"\r\n"
    "Content-Type: application/octet-stream\r\n\r\n"
    "one\r\n------formdata-undici-012345678902\r\n\r\n\r\r\n--\r\n"
    "\r\n------formdata-undici-012345678901\r\n"
    "Content-Disposition: form-data; name=\"file\"; filename=\"b\"\r\n"
    "Content-Type: text/plain\r\n\r\n"
    "\r\n------formdata-undici-012345678901\r\n"
    "Content-Disposition: form-data; name=\"x\"\r\n\r\n"
    "value"
    "\r\n------formdata-undici-012345678901--\r\n";
static const char undici_says[] =
    "[file|/tmp/a b%22\xc3\xbc.txt|application/octet-stream]"
    "one\r\n------formdata-undici-012345678902\r\n\r\n\r\r\n--\r\n;"
    "[file|b|text/plain];[x|-|-]value;.";
/* As httpx and requests of Python do. */
static const char python[] =
    "--6ba2bd2b1a\r\n"
    "Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\\c\\d\"\r\n\r\n"
    "--6ba2bd2b1a is not at the beginning of a line\n--6ba2bd2b1a--\n\r\n--6ba2bd2b1a--\r\n";
static const char python_says[] =
    "[file|a \"b\\c\\d|-]--6ba2bd2b1a is not at the beginning of a line\n--6ba2bd2b1a--\n;.";
/* With what the standard also has: text before and after, blanks, names in RFC 8187's form. */
static const char odd[] =
    "Preamble --b\r\n--\r\n-b\r\n\r\r\n--b \t \r\n"
    "content-disposition:form-data ;name=file;filename=old ; filename*=UTF-8''a%20%C3%BC\r\n"
    "CONTENT-TYPE:\ttext/x; y=\"z\" \t\r\n"
    "Content-Transfer-Encoding: Binary\r\n"
    "X-Other: ;;==\"\r\n\r\n"
    "\r\n\r\n--b\r\n\r\n"
    "no head\r\n--b--  epilogue\r\n--b\r\nno part\r\n--b--";
static const char odd_says[] = "[file|a \xc3\xbc|text/x; y=\"z\"]\r\n;[-|-|-]no head;.";
/* clang-format on */

static void test_clients(void) {
    OK(says("----formdata-undici-012345678901", undici, undici_says), "undici");
    OK(says("6ba2bd2b1a", python, python_says), "httpx");
    OK(says("\"b\"; charset=utf-8", odd, odd_says), "what is rare but right");
    OK(says("b", "--b--", "."), "no parts");
    OK(says("b", "\r\n--b--", "."), "no parts behind an empty line");
    OK(says("b", "--b\r\n\r\n\r\n--b--", "[-|-|-];."), "an empty part without a head");
    OK(says("b", "", "") && says("b", "--b", "") && says("b", "--b\r\n\r\nx\r\n--", "[-|-|-]x"),
       "a body that is cut has no end");
}

/* --- pieces ----------------------------------------------------------------------------------- */

static size_t differ(const char *boundary, const struct reading *r, const char *want) {
    return begin(boundary) < 0 || strcmp(read_all(r), want) != 0;
}

static void test_splits(const char *boundary, const char *body, const char *want) {
    size_t n = strlen(body), wrong = 0;
    for (size_t at = 1; at < n; at++)
        for (size_t most = 1; most < 8; most += 3)
            wrong += differ(boundary, &(struct reading){ body, n, { at, n - at }, most }, want);
    OK(wrong == 0, "split at every byte (%zu)", n);
    for (size_t step = 1; step < 40; step++)
        for (size_t other = 1; other < 6; other++)
            wrong += differ(boundary, &(struct reading){ body, n, { step, other }, step }, want);
    OK(wrong == 0, "in pieces of all small sizes");
}

/* --- what is refused -------------------------------------------------------------------------- */

static bool refused(const char *body, const char *words) {
    (void)begin("b");
    const char *said = read_whole(body, strlen(body));
    const char *at = strchr(said, '!');
    struct slice more = text("--b--"), data;
    return at && strstr(at, words) && multipart_next(&m, &more, &data) == MULTIPART_BAD;
}

static void test_refused(void) {
    static const struct {
        const char *head, *words;
    } rows[] = {
        { "--bc\r\n\r\n", "behind a boundary" },
        { "--b-\r\n\r\n", "behind a boundary" },
        { "--b\r \r\n", "behind a boundary" },
        { "--b\n\n", "behind a boundary" },
        { "--b\r\nA: b\n\r\n", "CR LF" },
        { "--b\r\n\n", "CR LF" },
        { "--b\r\nno colon\r\n\r\n", "name: value" },
        { "--b\r\n: v\r\n\r\n", "name: value" },
        { "--b\r\nA : v\r\n\r\n", "name: value" },
        { "--b\r\nA: b\r\n folded\r\n\r\n", "name: value" },
        { "--b\r\nA: b\rc\r\n\r\n", "NUL or CR" },
        { "--b\r\nContent-Transfer-Encoding: base64\r\n\r\n", "Transfer-Encoding" },
        { "--b\r\nContent-Disposition: form-data; name=\"f\r\n\r\n", "Disposition" },
        { "--b\r\nContent-Disposition: form-data; name=\"f\"x\r\n\r\n", "Disposition" },
        { "--b\r\nContent-Disposition: form-data; name\r\n\r\n", "Disposition" },
        { "--b\r\nContent-Disposition: form-data; =x\r\n\r\n", "Disposition" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        OK(refused(rows[i].head, rows[i].words), "refused: row %zu, %s", i, rows[i].words);
    static const char nul[] = "--b\r\nContent-Disposition: form-data; filename=\"a\0b\"\r\n\r\n";
    static const char nul_name[] = "--b\r\nContent\0Type: x\r\n\r\n";
    OK(begin("b") == 0 && strstr(read_whole(nul, sizeof nul - 1), "!a part's head has NUL"),
       "a name with NUL");
    OK(begin("b") == 0 && strstr(read_whole(nul_name, sizeof nul_name - 1), "!a line of a part's"),
       "a field with NUL");
    OK(says("b", "--b\r\nContent-Disposition: attachment; name=f\r\n\r\n\r\n--b--", "[-|-|-];."),
       "a disposition that is not form-data names nothing");
    OK(says("b", "--b\r\nContent-Disposition: form-data; filename=o; filename*=latin1''x\r\n\r\n",
            "[-|o|-]"),
       "a name in another charset is not taken for one");
}

static void test_boundaries(void) {
    static const char *const bad[] = { "multipart/form-data",
                                       "multipart/form-data; boundary",
                                       "multipart/form-data; boundary=",
                                       "multipart/form-data; boundary=\"\"",
                                       "multipart/form-data; boundary=\"a \"",
                                       "multipart/form-data; boundary=\"a",
                                       "multipart/form-data; other=1; boundary*=a" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(multipart_begin(&m, text(bad[i])) == -EINVAL && m.why, "refused: %s", bad[i]);
    char most[MAX_BOUNDARY + 2] = "", body[256];
    memset(most, 'x', MAX_BOUNDARY);
    (void)snprintf(body, sizeof body, "--%s\r\n\r\na\r\n--%s--", most, most);
    OK(says(most, body, "[-|-|-]a;."), "the longest boundary");
    most[MAX_BOUNDARY] = 'x';
    OK(begin(most) == -EINVAL, "a byte more");
    OK(multipart_begin(
           &m, text("multipart/form-data; charset=\"x;y\"; BOUNDARY=\"a'()+_,-./:=?\"")) == 0,
       "all that it may consist of, behind another parameter");
    OK(media_type_is(text("Multipart/Form-Data ; boundary=x"), "multipart/form-data") &&
           media_type_is(text("a/b"), "a/b"),
       "a media type with parameters and without");
    OK(!media_type_is(text("a/bc"), "a/b") && !media_type_is((struct slice){ NULL, 0 }, "a/b"),
       "another one, and none");
}

static void test_limits(void) {
    static char body[MAX_PART_HEAD + 64];
    struct text t = TEXT(body);
    text_add(&t, "--b\r\nX: ");
    size_t head = strlen("X: "), most = MAX_PART_HEAD - strlen("\r\n\r\n");
    while (head++ < most - 1)
        text_put(&t, "x", 1);
    size_t longest = t.len;
    text_add(&t, "\r\n\r\n\r\n--b--");
    OK(says("b", body, "[-|-|-];."), "a head that is nearly too long");
    body[longest] = '\0';
    t = (struct text){ .buf = body, .cap = sizeof body, .len = longest };
    text_add(&t, "xx\r\n\r\n\r\n--b--");
    OK(refused(body, "too long"), "one that is");
    (void)begin("b");
    static const char part[] = "\r\n--b\r\n\r\n";
    char none[256];
    struct text out = TEXT(none);
    bool good = true;
    for (size_t i = 0; i < MAX_PARTS; i++) {
        out.len = 0;
        good = good && feed(text(part), SIZE_MAX, &out);
    }
    OK(good && m.parts == MAX_PARTS, "as many parts as there may be");
    OK(!feed(text(part), SIZE_MAX, &out) && strstr(m.why, "too many"), "and one more");
}

int main(void) {
    test_clients();
    test_splits("----formdata-undici-012345678901", undici, undici_says);
    test_splits("6ba2bd2b1a", python, python_says);
    test_splits("\"b\"; charset=utf-8", odd, odd_says);
    test_refused();
    test_boundaries();
    test_limits();
    return tap_end();
}
