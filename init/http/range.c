#include "http/range.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Digits at the front of *s: taken off it. False: none, or too many. */
static bool take_number(struct slice *s, uint64_t *out) {
    size_t n = 0;
    uint64_t v = 0;
    for (; n < s->n && s->s[n] >= '0' && s->s[n] <= '9'; n++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s->s[n] - '0'), &v))
            return false;
    s->s += n;
    s->n -= n;
    *out = v;
    return n > 0;
}

static bool take(struct slice *s, const char *text) {
    size_t n = strlen(text);
    if (s->n < n || memcmp(s->s, text, n) != 0)
        return false;
    s->s += n;
    s->n -= n;
    return true;
}

static void skip_blanks(struct slice *s) {
    while (s->n > 0 && (*s->s == ' ' || *s->s == '\t')) {
        s->s++;
        s->n--;
    }
}

/* Units are not case-sensitive in practice (RFC 9110 14.1), though only this one is known. */
static bool take_unit(struct slice *s, char after) {
    bool bytes = s->n > 6 && http_is_nocase((struct slice){ s->s, 5 }, "bytes") && s->s[5] == after;
    if (bytes) {
        s->s += 6;
        s->n -= 6;
    }
    return bytes;
}

enum http_part http_range(struct slice field, uint64_t size, struct http_range *out) {
    uint64_t from, to;
    if (!field.s || size == 0 || !take_unit(&field, '='))
        return HTTP_WHOLE;
    skip_blanks(&field);
    bool has_from = take_number(&field, &from);
    if (!take(&field, "-"))
        return HTTP_WHOLE;
    bool has_to = take_number(&field, &to);
    skip_blanks(&field);
    if (field.n > 0 || (!has_from && !has_to) || (has_from && has_to && to < from))
        return HTTP_WHOLE;
    uint64_t end = has_from && has_to && to < size ? to + 1 : size;
    if (!has_from) /* the last `to` bytes */
        from = to < size ? size - to : 0;
    if (from >= size)
        return HTTP_OUT_OF_RANGE;
    *out = (struct http_range){ from, end - from };
    return HTTP_PART;
}

int http_content_range(struct slice field, struct http_range *out, uint64_t *total) {
    uint64_t to;
    if (!field.s || !take_unit(&field, ' '))
        return -EINVAL;
    skip_blanks(&field);
    if (take(&field, "*/"))
        return take_number(&field, total) && field.n == 0 && *total > 0 ? 0 : -EINVAL;
    if (!take_number(&field, &out->from) || !take(&field, "-") || !take_number(&field, &to) ||
        !take(&field, "/") || !take_number(&field, total) || field.n > 0)
        return -EINVAL;
    if (to < out->from || to >= *total)
        return -EINVAL;
    out->len = to - out->from + 1;
    return 1;
}

/* --- versions --------------------------------------------------------------------------------- */

/* One entity tag at the front, without W/ in *tag. False: there is none. */
static bool take_tag(struct slice *s, struct slice *tag, bool *weak) {
    *weak = take(s, "W/");
    if (s->n < 2 || *s->s != '"')
        return false;
    const char *end = memchr(s->s + 1, '"', s->n - 1);
    if (!end)
        return false;
    *tag = (struct slice){ s->s, (size_t)(end - s->s) + 1 };
    s->n -= tag->n;
    s->s = end + 1;
    return true;
}

bool http_etag_in(struct slice list, const char *etag, bool weak) {
    struct slice tag;
    bool is_weak;
    skip_blanks(&list);
    if (http_is(list, "*"))
        return true;
    while (take_tag(&list, &tag, &is_weak)) {
        if (http_is(tag, etag) && (weak || !is_weak))
            return true;
        skip_blanks(&list);
        while (take(&list, ","))
            skip_blanks(&list);
    }
    return false;
}

/* In the order of RFC 9110 section 13.2.2. */
int http_conditions(const struct http_head *h, const char *etag, int64_t mtime) {
    struct slice match = http_field(h, "If-Match"), none = http_field(h, "If-None-Match");
    struct slice since = http_field(h, "If-Modified-Since");
    struct slice unless = http_field(h, "If-Unmodified-Since");
    int64_t when = unless.s && !match.s ? http_date_parse(unless) : -1;
    if ((match.s && !http_etag_in(match, etag, false)) || (when >= 0 && mtime > when))
        return 412;
    if (none.s)
        return http_etag_in(none, etag, true) ? 304 : 0;
    when = since.s ? http_date_parse(since) : -1;
    return when >= 0 && mtime <= when ? 304 : 0;
}

/* A date is as good as a version here only if it is the very one we gave (RFC 9110 section 13.1.5),
 * and two changes within that second cannot be told apart: that is for who asks by date to know. */
bool http_if_range(const struct http_head *h, const char *etag, int64_t mtime) {
    struct slice field = http_field(h, "If-Range");
    if (!field.s)
        return true;
    if (field.n > 0 && (*field.s == '"' || *field.s == 'W'))
        return http_etag_in(field, etag, false);
    return http_date_parse(field) == mtime;
}

/* --- dates ------------------------------------------------------------------------------------ */

const char *http_date(char out[HTTP_DATE_TEXT], int64_t unix_s) {
    struct tm tm;
    time_t t = (time_t)unix_s;
    out[0] = '\0';
    if (gmtime_r(&t, &tm) && tm.tm_year >= -900 && tm.tm_year <= 8099)
        (void)strftime(out, HTTP_DATE_TEXT, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return out;
}

int64_t http_date_parse(struct slice s) {
    static const char *const forms[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                         "%a %b %d %H:%M:%S %Y" };
    char text[40];
    if (s.n >= sizeof text || s.n < 24)
        return -1;
    (void)snprintf(text, sizeof text, "%.*s", (int)s.n, s.s);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = { 0 };
        const char *end = strptime(text, forms[i], &tm);
        if (end && !*end)
            return (int64_t)timegm(&tm);
    }
    return -1;
}
