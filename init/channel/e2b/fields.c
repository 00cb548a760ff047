#include "channel/e2b/fields.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static struct slice trim(struct slice s) {
    for (; s.n > 0 && (*s.s == ' ' || *s.s == '\t'); s.n--)
        s.s++;
    while (s.n > 0 && (s.s[s.n - 1] == ' ' || s.s[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* What is before the next `c`, without blanks around; it and the `c` are taken off *rest. */
static struct slice take_until(struct slice *rest, char c) {
    const char *at = rest->n > 0 ? memchr(rest->s, c, rest->n) : NULL;
    struct slice piece = { rest->s, at ? (size_t)(at - rest->s) : rest->n };
    size_t used = piece.n + (at != NULL);
    *rest = (struct slice){ rest->s + used, rest->n - used };
    return trim(piece);
}

static struct slice field_name(const struct http_head *h, size_t i) {
    return (struct slice){ h->bytes + h->fields[i].name, h->fields[i].name_len };
}

static struct slice field_value(const struct http_head *h, size_t i) {
    return (struct slice){ h->bytes + h->fields[i].value, h->fields[i].value_len };
}

/* --- codings ---------------------------------------------------------------------------------- */

enum { NOT_NAMED = -1, FULL = 1000 };

struct weights {
    int gzip, identity, any; /* in thousandths */
    bool others;             /* are named */
};

/* "q=0.25" in thousandths (RFC 9110 section 12.4.2); of one that is broken, 0. */
static int weight(struct slice param) {
    if (param.n < 3 || strncasecmp(param.s, "q=", 2) != 0)
        return param.n == 0 ? FULL : 0;
    int q = 0, digits = 0;
    for (size_t i = 2; i < param.n && digits < 4; i++) {
        if (i == 3 && param.s[i] == '.')
            continue;
        if (param.s[i] < '0' || param.s[i] > '9')
            return 0;
        q = q * 10 + (param.s[i] - '0');
        digits++;
    }
    for (; digits < 4; digits++)
        q *= 10;
    return q > FULL ? 0 : q;
}

static void weigh(struct weights *w, struct slice list) {
    while (list.n > 0) {
        struct slice item = take_until(&list, ',');
        struct slice name = take_until(&item, ';');
        int q = weight(trim(item));
        if (http_is_nocase(name, "gzip") || http_is_nocase(name, "x-gzip"))
            w->gzip = q;
        else if (http_is_nocase(name, "identity"))
            w->identity = q;
        else if (http_is(name, "*"))
            w->any = q;
        else
            w->others |= name.n > 0;
    }
}

struct codings codings_accepted(const struct http_head *h) {
    struct weights w = { NOT_NAMED, NOT_NAMED, NOT_NAMED, false };
    for (size_t i = 0; i < h->nfields; i++)
        if (http_is_nocase(field_name(h, i), "Accept-Encoding"))
            weigh(&w, field_value(h, i));
    struct codings c = { .identity = w.identity != NOT_NAMED ? w.identity > 0 : w.any != 0 };
    c.gzip = w.gzip > 0 && w.gzip > w.identity;
    if (!c.identity && w.gzip == NOT_NAMED) /* any other one there is */
        c.gzip = w.any > 0;
    c.wanted = c.gzip && (!w.others || w.identity != NOT_NAMED);
    return c;
}

static bool is_packed(const char *type) {
    static const char *const packed[] = { "image/",           "audio/",
                                          "video/",           "font/",
                                          "application/gzip", "application/zip",
                                          "application/zstd", "application/pdf" };
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++)
        if (has_prefix(type, packed[i]))
            return strcmp(type, "image/svg+xml") != 0;
    return false;
}

enum sent_as coding_choose(struct codings c, const struct sending *s) {
    bool pays = s->size >= GZIP_PAYS && !is_packed(s->type);
    bool good = c.wanted || (pays && s->round_trip >= FAR_US);
    if (s->size == 0)
        return SENT_PLAIN;
    if (c.gzip && !s->particular && (good || !c.identity))
        return SENT_GZIP;
    return c.identity ? SENT_PLAIN : SENT_NOT;
}

enum body_coding body_coding(const struct http_head *h) {
    struct slice v = http_field(h, "Content-Encoding");
    if (http_count(h, "Content-Encoding") > 1)
        return BODY_UNKNOWN;
    if (v.n == 0 || http_is_nocase(v, "identity"))
        return BODY_PLAIN;
    return http_is_nocase(v, "gzip") || http_is_nocase(v, "x-gzip") ? BODY_GZIP : BODY_UNKNOWN;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_printable(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (s[i] < ' ' || s[i] > '~')
            return false;
    return true;
}

/* RFC 9110 section 5.6.2 */
static bool is_token(const char *s) {
    return is_printable(s, strlen(s)) && !strpbrk(s, " \t()<>@,;:\\\"/[]?={}");
}

static void put_quoted(struct text *out, const char *s) {
    text_put(out, "\"", 1);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            text_put(out, "\\", 1);
        text_put(out, s, 1);
    }
    text_put(out, "\"", 1);
}

static void put_extended(struct text *out, const char *s) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    for (; *s; s++)
        if (strchr(plain, *s))
            text_put(out, s, 1);
        else
            text_add(out, "%%%02X", (unsigned char)*s);
}

void put_disposition(struct text *out, const char *name) {
    text_add(out, "inline; filename");
    if (is_token(name)) {
        text_add(out, "=%s", name);
    } else if (is_printable(name, strlen(name))) {
        text_add(out, "=");
        put_quoted(out, name);
    } else {
        text_add(out, "*=UTF-8''");
        put_extended(out, name);
    }
}

/* --- metadata --------------------------------------------------------------------------------- */

static bool is_known(const struct metadata *m, size_t n, struct slice key) {
    for (size_t i = 0; i < n; i++)
        if (strncasecmp(m->entries[i], key.s, key.n) == 0 && m->entries[i][key.n] == '=')
            return true;
    return false;
}

static const char *put_entry(struct text *out, struct slice key, struct slice value) {
    const char *entry = out->buf + out->len;
    for (size_t i = 0; i < key.n; i++) {
        bool large = key.s[i] >= 'A' && key.s[i] <= 'Z';
        char c = (char)(key.s[i] + (large ? 'a' - 'A' : 0));
        text_put(out, &c, 1);
    }
    text_put(out, "=", 1);
    text_put(out, value.s, value.n);
    text_put(out, "\0", 1);
    return entry;
}

int metadata_take(struct metadata *m, const struct http_head *h, struct err *e) {
    static const char prefix[] = "X-Metadata-";
    struct text out = TEXT(m->bytes);
    size_t n = 0, sum = 0, skip = sizeof prefix - 1;
    for (size_t i = 0; i < h->nfields; i++) {
        struct slice key = field_name(h, i), value = field_value(h, i);
        if (key.n < skip || strncasecmp(key.s, prefix, skip) != 0)
            continue;
        key = (struct slice){ key.s + skip, key.n - skip };
        if (key.n == 0 || key.n > MAX_METADATA_KEY)
            return err_set(e, EINVAL, "%s: 1 to %d bytes of key are needed behind it", prefix,
                           MAX_METADATA_KEY);
        if (!is_printable(value.s, value.n))
            return err_set(e, EINVAL, "%s%.*s: only printable ASCII can be kept", prefix,
                           (int)key.n, key.s);
        if (is_known(m, n, key))
            continue;
        sum += METADATA_PREFIX + key.n + value.n;
        if (sum > MAX_METADATA)
            return err_set(e, EINVAL, "%sKEY: all of them together are longer than %d bytes",
                           prefix, MAX_METADATA);
        m->entries[n++] = put_entry(&out, key, value);
    }
    m->entries[n] = NULL;
    return 0;
}

/* --- versions --------------------------------------------------------------------------------- */

bool put_versions(struct text *out, struct slice if_match) {
    while (if_match.n > 0) {
        bool weak = if_match.n > 2 && memcmp(if_match.s, "W/\"", 3) == 0;
        size_t n = weak ? 2 : 1;
        if (!weak)
            text_put(out, if_match.s, 1);
        if_match = (struct slice){ if_match.s + n, if_match.n - n };
    }
    return !out->cut;
}
