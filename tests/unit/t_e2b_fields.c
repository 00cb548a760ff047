#include "channel/e2b/fields.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel/files/worker.h"
#include "tests/unit/tap.h"

static char bytes[MAX_HTTP_HEAD];
static struct http_head head;

/* A request with these fields. */
static const struct http_head *with(const char *fields) {
    int n = snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
    if (http_parse_request(&head, bytes, (size_t)n) != 0)
        OK(false, "these are no fields: %s", fields);
    return &head;
}

static void test_accepted(void) {
    static const struct {
        const char *fields;
        bool identity, gzip;
    } rows[] = {
        { "", true, false },
        { "Accept-Encoding:\r\n", true, false },
        { "Accept-Encoding: gzip, deflate\r\n", true, true },
        { "Accept-Encoding: br, x-GZIP\r\n", true, true },
        { "Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n", true, true },
        { "Accept-Encoding: identity\r\n", true, false },
        { "Accept-Encoding: gzip;q=0\r\n", true, false },
        { "Accept-Encoding: gzip;q=0.000\r\n", true, false },
        { "Accept-Encoding: gzip;q=0.001\r\n", true, true },
        { "Accept-Encoding: gzip ; Q=1.000\r\n", true, true },
        { "Accept-Encoding: gzip;q=0.5, identity\r\n", true, false },
        { "Accept-Encoding: gzip, identity;q=0.5\r\n", true, true },
        { "Accept-Encoding: gzip;q=x\r\n", true, false },
        { "Accept-Encoding: gzip;q=2\r\n", true, false },
        { "Accept-Encoding: gzip;q=1.1\r\n", true, false },
        { "Accept-Encoding: gzip;level=1\r\n", true, false },
        { "Accept-Encoding: *\r\n", true, false },
        { "Accept-Encoding: *;q=0\r\n", false, false },
        { "Accept-Encoding: gzip, *;q=0\r\n", false, true },
        { "Accept-Encoding: identity, *;q=0\r\n", true, false },
        { "Accept-Encoding: identity;q=0\r\n", false, false },
        { "Accept-Encoding: identity;q=0, *\r\n", false, true },
        { "Accept-Encoding: identity;q=0, gzip;q=0, *\r\n", false, false },
        { "Accept-Encoding: identity;q=0, br\r\n", false, false },
        { "Accept-Encoding: , ,gzip,\r\n", true, true },
        { "Accept-Encoding: gzipped\r\n", true, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct codings c = codings_accepted(with(rows[i].fields));
        OK(c.identity == rows[i].identity && c.gzip == rows[i].gzip, "%.*s: identity %d, gzip %d",
           (int)strcspn(rows[i].fields, "\r"), rows[i].fields, c.identity, c.gzip);
    }
}

static void test_body(void) {
    OK(body_coding(with("")) == BODY_PLAIN &&
           body_coding(with("Content-Encoding: identity\r\n")) == BODY_PLAIN &&
           body_coding(with("Content-Encoding:\r\n")) == BODY_PLAIN,
       "a body that is as it is");
    OK(body_coding(with("content-encoding: GZip\r\n")) == BODY_GZIP &&
           body_coding(with("Content-Encoding: x-gzip\r\n")) == BODY_GZIP,
       "one in gzip");
    OK(body_coding(with("Content-Encoding: br\r\n")) == BODY_UNKNOWN &&
           body_coding(with("Content-Encoding: gzip, gzip\r\n")) == BODY_UNKNOWN &&
           body_coding(with("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n")) ==
               BODY_UNKNOWN,
       "what is not understood");
}

static void test_choice(void) {
    enum { BIG = 1 << 20, NEAR = FAR_US - 1 };
    static const char text[] = "text/plain; charset=utf-8", *gzip = "gzip", *both = "gzip, deflate";
    static const char only[] = "gzip, identity;q=0", *none = "identity;q=0", *plain = "identity";
    const struct {
        const char *accepts;
        struct sending s;
        enum sent_as as;
        const char *what;
    } rows[] = {
        { both, { text, BIG, false, FAR_US }, SENT_GZIP, "text for one who is far" },
        { both, { text, BIG, false, NEAR }, SENT_PLAIN, "for one who is near" },
        { both, { text, BIG, false, 0 }, SENT_PLAIN, "for one of whom that is not known" },
        { gzip, { text, BIG, false, NEAR }, SENT_GZIP, "unless only gzip is named" },
        { "gzip, deflate, identity;q=0.5", { text, BIG, false, 0 }, SENT_GZIP, "or preferred" },
        { plain, { text, BIG, false, FAR_US }, SENT_PLAIN, "for one who does not take it" },
        { both, { text, GZIP_PAYS, false, FAR_US }, SENT_GZIP, "what is long enough" },
        { both, { text, GZIP_PAYS - 1, false, FAR_US }, SENT_PLAIN, "what is not" },
        { both, { MEDIA_ANY, BIG, false, FAR_US }, SENT_GZIP, "any bytes" },
        { both, { "image/png", BIG, false, FAR_US }, SENT_PLAIN, "what is packed" },
        { both, { "image/svg+xml", BIG, false, FAR_US }, SENT_GZIP, "a drawing" },
        { both, { "application/zip", BIG, false, FAR_US }, SENT_PLAIN, "an archive" },
        { gzip, { text, 1, false, 0 }, SENT_GZIP, "a byte, where only gzip is named" },
        { gzip, { "image/png", BIG, false, 0 }, SENT_GZIP, "what is packed, there" },
        { gzip, { text, BIG, true, FAR_US }, SENT_PLAIN, "a part" },
        { only, { "image/png", 1, false, 0 }, SENT_GZIP, "whatever, where it must be" },
        { only, { text, BIG, true, 0 }, SENT_NOT, "but not a part" },
        { none, { text, BIG, false, 0 }, SENT_NOT, "where nothing may be" },
        { none, { text, 0, false, 0 }, SENT_PLAIN, "an empty one in any case" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char field[128];
        (void)snprintf(field, sizeof field, "Accept-Encoding: %s\r\n", rows[i].accepts);
        OK(coding_choose(codings_accepted(with(field)), &rows[i].s) == rows[i].as, "%s",
           rows[i].what);
    }
}

static bool shows(const char *name, const char *want) {
    char buf[2048];
    struct text t = TEXT(buf);
    put_disposition(&t, name);
    return !t.cut && strcmp(buf, want) == 0;
}

static void test_disposition(void) {
    OK(shows("a.txt", "inline; filename=a.txt"), "a name");
    OK(shows("a b.txt", "inline; filename=\"a b.txt\""), "one with a blank");
    OK(shows("a \"b\\c;.txt", "inline; filename=\"a \\\"b\\\\c;.txt\""), "one with quotes");
    OK(shows("\xc3\xbc b%.t", "inline; filename*=UTF-8''%C3%BC%20b%25.t"), "one in UTF-8");
    OK(shows("\r\n\xff", "inline; filename*=UTF-8''%0D%0A%FF"), "one that could break a head");
}

/* --- metadata --------------------------------------------------------------------------------- */

static struct metadata metadata;

static bool takes(const char *fields, const char *want) {
    char all[8192] = "";
    struct text t = TEXT(all);
    if (metadata_take(&metadata, with(fields), NULL) < 0)
        return false;
    for (const char **p = metadata.entries; *p; p++)
        text_add(&t, "%s|", *p);
    return strcmp(all, want) == 0;
}

static bool refuses(const char *fields, const char *words) {
    struct err e = { 0 };
    return metadata_take(&metadata, with(fields), &e) == -EINVAL && strstr(e.text, words);
}

static const char *repeated(const char *before, char c, size_t n, const char *after) {
    static char buf[16384];
    struct text t = TEXT(buf);
    text_add(&t, "%s", before);
    while (n-- > 0)
        text_put(&t, &c, 1);
    text_add(&t, "%s", after);
    return buf;
}

static void test_metadata(void) {
    OK(takes("", "") && takes("X-Metadata: x\r\n", ""), "none");
    OK(takes("X-Metadata-Author: Me, myself\r\nx-metadata-a.B: \r\n", "author=Me, myself|a.b=|"),
       "keys are in small letters, values as they came");
    OK(takes("X-Metadata-K: 1\r\nX-Metadata-k: 2\r\nX-Metadata-kk: 3\r\n", "k=1|kk=3|"),
       "of two the first counts");
    OK(refuses("X-Metadata-: x\r\n", "bytes of key"), "a key is needed");
    OK(refuses("X-Metadata-K: \xc3\xbc\r\n", "printable") &&
           refuses("X-Metadata-K: a\tb\r\n", "printable"),
       "values are printable ASCII");
    OK(metadata_take(&metadata, with(repeated("X-Metadata-", 'k', 246, ": v\r\n")), NULL) == 0,
       "the longest key");
    OK(refuses(repeated("X-Metadata-", 'k', 247, ": v\r\n"), "246"), "one that is longer");
    size_t most = MAX_METADATA - METADATA_PREFIX - 1;
    OK(metadata_take(&metadata, with(repeated("X-Metadata-K: ", 'v', most, "\r\n")), NULL) == 0 &&
           strlen(metadata.entries[0]) == most + 2,
       "as much as there may be");
    OK(refuses(repeated("X-Metadata-K: ", 'v', most + 1, "\r\n"), "4096"), "a byte more");
    OK(refuses(repeated("X-Metadata-A: \r\nX-Metadata-K: ", 'v', most - 9, "\r\n"), "4096"),
       "the sum of two");
}

static bool versions(const char *if_match, const char *want) {
    char buf[64] = "";
    struct text t = TEXT(buf);
    return put_versions(&t, (struct slice){ if_match, strlen(if_match) }) && strcmp(buf, want) == 0;
}

static void test_versions(void) {
    OK(versions("\"a\", W/\"b\" ,\"W/c\"", "\"a\", \"b\" ,\"W/c\"") && versions("*", "*") &&
           versions("", ""),
       "versions, of another coding or not");
    OK(!versions("\"0123456789012345678901234567890123456789012345678901234567890123456789\"", ""),
       "too many");
}

/* --- media types (channel/files) -------------------------------------------------------------- */

static const char *sniffed(const char *s, size_t n) {
    return media_type_of((const unsigned char *)s, n);
}

static void test_media_types(void) {
    static char long_text[MEDIA_SNIFFED + 1];
    memset(long_text, 'a', sizeof long_text);
    long_text[MEDIA_SNIFFED] = '\0';
    OK(strcmp(sniffed("", 0), "text/plain; charset=utf-8") == 0 &&
           strcmp(sniffed("#!/bin/sh\n\x1b[1m\t\xc3\xbc\r\n\f", 20), "text/plain; charset=utf-8") ==
               0 &&
           strcmp(sniffed(long_text, sizeof long_text), "text/plain; charset=utf-8") == 0,
       "text, also with colours, and with a NUL beyond what is looked at");
    OK(strcmp(sniffed("a\0b", 3), MEDIA_ANY) == 0 && strcmp(sniffed("\x7f"
                                                                    "ELF\2\1\1",
                                                                    7),
                                                            MEDIA_ANY) == 0,
       "other bytes");
    OK(strcmp(sniffed("\x89PNG\r\n\x1a\n", 8), "image/png") == 0 &&
           strcmp(sniffed("\x89PNG", 4), "text/plain; charset=utf-8") == 0 &&
           strcmp(sniffed("\x1f\x8b\x08\0", 4), "application/gzip") == 0,
       "known beginnings, when they are whole");
    OK(!media_type("/a/Makefile") && !media_type("/a.d/b") &&
           strcmp(media_type("/x/a.PNG"), "image/png") == 0,
       "names");
}

int main(void) {
    test_accepted();
    test_body();
    test_choice();
    test_disposition();
    test_metadata();
    test_versions();
    test_media_types();
    return tap_end();
}
