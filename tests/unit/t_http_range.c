#include "http/range.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/tap.h"

static struct slice slice(const char *s) { return (struct slice){ s, s ? strlen(s) : 0 }; }

/* --- ranges ----------------------------------------------------------------------------------- */

/* "FROM+LEN", "whole" or "416". */
static const char *range(const char *field, uint64_t size) {
    static char out[64];
    struct http_range r = { 77, 77 };
    switch (http_range(slice(field), size, &r)) {
    case HTTP_PART:
        (void)snprintf(out, sizeof out, "%llu+%llu", (unsigned long long)r.from,
                       (unsigned long long)r.len);
        return out;
    case HTTP_OUT_OF_RANGE:
        return "416";
    default:
        return "whole";
    }
}

static void ranges(void) {
    static const struct {
        const char *field;
        uint64_t size;
        const char *want;
    } cases[] = {
        { NULL, 10, "whole" },
        { "bytes=0-0", 10, "0+1" },
        { "bytes=2-5", 10, "2+4" },
        { "bytes=2-", 10, "2+8" },
        { "bytes=0-", 10, "0+10" },
        { "bytes=9-9", 10, "9+1" },
        { "bytes=5-99999999999999999999", 10, "whole" }, /* no number of ours */
        { "bytes=5-18446744073709551615", 10, "5+5" },
        { "bytes=5-18446744073709551614", UINT64_MAX, "5+18446744073709551610" },
        { "bytes=10-", 10, "416" },
        { "bytes=10-20", 10, "416" },
        { "bytes=18446744073709551615-", 10, "416" },
        { "bytes=-3", 10, "7+3" },
        { "bytes=-10", 10, "0+10" },
        { "bytes=-11", 10, "0+10" },
        { "bytes=-0", 10, "416" },
        { "bytes=0-0", 0, "whole" },
        { "bytes=-5", 0, "whole" },
        { "bytes=5-2", 10, "whole" },
        { "bytes=-", 10, "whole" },
        { "bytes=", 10, "whole" },
        { "bytes", 10, "whole" },
        { "bytes=1-2,4-5", 10, "whole" },
        { "bytes=a-b", 10, "whole" },
        { "bytes=1-2x", 10, "whole" },
        { "bytes=1 -2", 10, "whole" },
        { "bytes= 1-2 ", 10, "1+2" },
        { "BYTES=1-2", 10, "1+2" },
        { "lines=1-2", 10, "whole" },
        { "bytes=+1-2", 10, "whole" },
        { "bytes=--2", 10, "whole" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = range(cases[i].field, cases[i].size);
        OK(strcmp(got, cases[i].want) == 0, "%s of %llu: %s",
           cases[i].field ? cases[i].field : "none", (unsigned long long)cases[i].size, got);
    }
}

static void content_ranges(void) {
    struct http_range r = { 0, 0 };
    uint64_t total = 0;
    OK(http_content_range(slice("bytes 5-9/10"), &r, &total) == 1 && r.from == 5 && r.len == 5 &&
           total == 10,
       "a part");
    OK(http_content_range(slice("bytes */10"), &r, &total) == 0 && total == 10, "a question");
    static const char *const bad[] = { "bytes 5-9/*",   "bytes 5-10/10", "bytes 9-5/10",
                                       "bytes 5/10",    "bytes=5-9/10",  "5-9/10",
                                       "bytes 5-9/10x", "bytes -5/10",   "bytes 5-9",
                                       "bytes */*",     "bytes */",      "bytes */0",
                                       "items 5-9/10",  "bytes",         "bytes 5-9/ 10",
                                       "bytes 5- 9/10" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(http_content_range(slice(bad[i]), &r, &total) == -EINVAL, "not: %s", bad[i]);
    OK(http_content_range(slice(NULL), &r, &total) == -EINVAL, "nor none");
}

/* --- versions --------------------------------------------------------------------------------- */

static void etags(void) {
    static const struct {
        const char *list;
        bool strong, weak;
    } cases[] = {
        { "\"a\"", true, true },
        { "\"b\"", false, false },
        { "*", true, true },
        { "W/\"a\"", false, true },
        { "\"b\", \"a\"", true, true },
        { "\"b\",\"c\"", false, false },
        { "", false, false },
        { "a", false, false },
        { "\"a", false, false },
        { "\"b\",, \"a\"", true, true },
        { "\"x,y\" , W/\"a\"", false, true },
        { "\"A\"", false, false },
        { " \"a\" ", true, true },
        { "w/\"a\"", false, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OK(http_etag_in(slice(cases[i].list), "\"a\"", false) == cases[i].strong, "%s, strong",
           cases[i].list);
        OK(http_etag_in(slice(cases[i].list), "\"a\"", true) == cases[i].weak, "%s, weak",
           cases[i].list);
    }
}

static struct http_head head;
static char bytes[2048];

static const struct http_head *with(const char *fields) {
    int n = snprintf(bytes, sizeof bytes, "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n", fields);
    if (http_parse_request(&head, bytes, (size_t)n) != 0)
        (void)OK(false, "not parsed: %s", fields);
    return &head;
}

#define DATE  "Sun, 06 Nov 1994 08:49:37 GMT"
#define LATER "Sun, 06 Nov 1994 08:49:38 GMT"
enum { AT = 784111777 };

static void conditions(void) {
    static const struct {
        const char *fields;
        int want;
    } cases[] = {
        { "", 0 },
        { "If-None-Match: \"a\"\r\n", 304 },
        { "If-None-Match: W/\"a\"\r\n", 304 },
        { "If-None-Match: *\r\n", 304 },
        { "If-None-Match: \"b\"\r\n", 0 },
        { "If-Match: \"a\"\r\n", 0 },
        { "If-Match: \"b\"\r\n", 412 },
        { "If-Match: W/\"a\"\r\n", 412 },
        { "If-Match: *\r\n", 0 },
        { "If-Modified-Since: " DATE "\r\n", 304 },
        { "If-Modified-Since: " LATER "\r\n", 304 },
        { "If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 0 },
        { "If-Modified-Since: yesterday\r\n", 0 },
        { "If-Unmodified-Since: " DATE "\r\n", 0 },
        { "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412 },
        { "If-Unmodified-Since: yesterday\r\n", 0 },
        { "If-Match: \"a\"\r\nIf-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 0 },
        { "If-None-Match: \"b\"\r\nIf-Modified-Since: " LATER "\r\n", 0 },
        { "If-Match: \"b\"\r\nIf-None-Match: \"a\"\r\n", 412 },
        { "If-Match: \"a\"\r\nIf-None-Match: \"a\"\r\n", 304 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int got = http_conditions(with(cases[i].fields), "\"a\"", AT);
        OK(got == cases[i].want, "%d: %.*s", got, (int)strcspn(cases[i].fields, "\r"),
           cases[i].fields);
    }
    OK(http_if_range(with(""), "\"a\"", AT), "no If-Range");
    OK(http_if_range(with("If-Range: \"a\"\r\n"), "\"a\"", AT), "this version");
    OK(!http_if_range(with("If-Range: W/\"a\"\r\n"), "\"a\"", AT), "a weak one is not enough");
    OK(!http_if_range(with("If-Range: \"b\"\r\n"), "\"a\"", AT), "another one");
    OK(http_if_range(with("If-Range: " DATE "\r\n"), "\"a\"", AT), "its date");
    OK(!http_if_range(with("If-Range: " LATER "\r\n"), "\"a\"", AT), "a later date is another one");
    OK(!http_if_range(with("If-Range: \r\n"), "\"a\"", AT), "nothing");
}

/* --- dates ------------------------------------------------------------------------------------ */

static void dates(void) {
    char out[HTTP_DATE_TEXT];
    OK(strcmp(http_date(out, AT), DATE) == 0, "%s", out);
    OK(strcmp(http_date(out, 0), "Thu, 01 Jan 1970 00:00:00 GMT") == 0, "%s", out);
    OK(strcmp(http_date(out, -1), "Wed, 31 Dec 1969 23:59:59 GMT") == 0, "%s", out);
    OK(strcmp(http_date(out, 253402300799), "Fri, 31 Dec 9999 23:59:59 GMT") == 0, "%s", out);
    OK(strcmp(http_date(out, 253402300800), "") == 0, "a fifth digit");
    OK(strcmp(http_date(out, INT64_MAX), "") == 0, "no time at all");
    OK(http_date_parse(slice(DATE)) == AT, "of today");
    OK(http_date_parse(slice("Sunday, 06-Nov-94 08:49:37 GMT")) == AT, "of old");
    OK(http_date_parse(slice("Sun Nov  6 08:49:37 1994")) == AT, "of C");
    static const char *const bad[] = { "",
                                       "0",
                                       "Sun, 06 Nov 1994 08:49:37",
                                       "06 Nov 1994 08:49:37 GMT",
                                       "Sun, 06 Nov 1994 08:49:37 GMT+1",
                                       "Sun, 36 Nov 1994 08:49:37 GMT",
                                       "Sun, 06 Nov 1994 08:49:37 GMT GMT GMT GMT" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        OK(http_date_parse(slice(bad[i])) == -1, "not: %s", bad[i]);
}

int main(void) {
    ranges();
    content_ranges();
    etags();
    conditions();
    dates();
    return tap_end();
}
