#include "channel/e2b/proto.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base64.h"

/* --- members ---------------------------------------------------------------------------------- */

/* Is `key` the snake_case of `camel`? */
static bool is_snake_of(const char *key, const char *camel) {
    for (; *camel; camel++, key++) {
        bool upper = *camel >= 'A' && *camel <= 'Z';
        if (upper && *key++ != '_')
            return false;
        if (*key != (upper ? *camel - 'A' + 'a' : *camel))
            return false;
    }
    return *key == '\0';
}

yyjson_val *proto_get(yyjson_val *message, const char *name) {
    size_t i, n;
    yyjson_val *key, *value, *found = NULL;
    yyjson_obj_foreach(message, i, n, key, value) {
        if (yyjson_equals_str(key, name) || is_snake_of(yyjson_get_str(key), name))
            found = value; /* the last one counts, as with every JSON reader */
    }
    return yyjson_is_null(found) ? NULL : found;
}

static void wrong(struct proto *p, const char *name, const char *wanted) {
    if (!p->err.code)
        (void)err_set(&p->err, EINVAL, "%s: %s is needed", name, wanted);
}

yyjson_val *proto_message(struct proto *p, yyjson_val *message, const char *name) {
    yyjson_val *v = proto_get(message, name);
    if (!v || yyjson_is_obj(v))
        return v;
    wrong(p, name, "an object");
    return NULL;
}

yyjson_val *proto_list(struct proto *p, yyjson_val *message, const char *name) {
    yyjson_val *v = proto_get(message, name);
    if (!v || yyjson_is_arr(v))
        return v;
    wrong(p, name, "an array");
    return NULL;
}

const char *proto_text(struct proto *p, yyjson_val *message, const char *name) {
    yyjson_val *v = proto_get(message, name);
    const char *s = yyjson_get_str(v);
    if (!v || (s && strlen(s) == yyjson_get_len(v)))
        return s;
    wrong(p, name, "a text without NUL");
    return NULL;
}

bool proto_bool(struct proto *p, yyjson_val *message, const char *name) {
    yyjson_val *v = proto_get(message, name);
    if (v && !yyjson_is_bool(v))
        wrong(p, name, "true or false");
    return yyjson_get_bool(v);
}

/* As a number, also one written as 1.0 or 1e2; or as that in a text. */
static bool to_int(yyjson_val *v, int64_t *out) {
    const char *s = yyjson_get_str(v);
    char *end = NULL;
    double d;
    errno = 0;
    if (s) {
        *out = strtoll(s, &end, 10);
        return *s != '\0' && *s != ' ' && *s != '+' && *end == '\0' && errno == 0;
    }
    if (yyjson_is_int(v)) {
        *out = yyjson_get_sint(v);
        return !yyjson_is_uint(v) || yyjson_get_uint(v) <= INT64_MAX;
    }
    d = yyjson_get_real(v);
    if (!yyjson_is_real(v) || !(d > -9e15 && d < 9e15))
        return false;
    *out = (int64_t)d;
    return (double)*out == d;
}

bool proto_int(struct proto *p, yyjson_val *message, const char *name, int64_t min, int64_t max,
               int64_t *out) {
    yyjson_val *v = proto_get(message, name);
    int64_t n = 0;
    if (!v)
        return false;
    if (to_int(v, &n) && n >= min && n <= max) {
        *out = n;
        return true;
    }
    if (!p->err.code)
        (void)err_set(&p->err, EINVAL, "%s: an integer from %lld to %lld is needed", name,
                      (long long)min, (long long)max);
    return false;
}

/* The document is ours, and what is decoded is shorter. */
const char *proto_bytes(struct proto *p, yyjson_val *message, const char *name, size_t *n) {
    yyjson_val *v = proto_get(message, name);
    char *s = (char *)(uintptr_t)yyjson_get_str(v);
    ssize_t len = s ? base64_decode(s, yyjson_get_len(v), s) : -1;
    *n = len > 0 ? (size_t)len : 0;
    if (!v || len >= 0)
        return s;
    wrong(p, name, "base 64");
    return NULL;
}

/* --- the other way ---------------------------------------------------------------------------- */

void proto_comma(struct text *t) {
    char last = t->len ? t->buf[t->len - 1] : '{';
    if (last != '{' && last != '[')
        text_put(t, ",", 1);
}

void proto_put_text(struct text *t, const char *name, const char *value) {
    if (!value || !*value)
        return;
    proto_comma(t);
    text_add(t, "\"%s\":", name);
    text_json(t, value, strlen(value));
}

void proto_put_time(struct text *t, const char *name, int64_t s, int32_t ns) {
    struct tm tm;
    time_t when = (time_t)s;
    if (!gmtime_r(&when, &tm))
        return;
    proto_comma(t);
    text_add(t, "\"%s\":\"%04d-%02d-%02dT%02d:%02d:%02d", name, tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (ns % 1000)
        text_add(t, ".%09d", ns);
    else if (ns % 1000000)
        text_add(t, ".%06d", ns / 1000);
    else if (ns)
        text_add(t, ".%03d", ns / 1000000);
    text_add(t, "Z\"");
}

/* --- times ------------------------------------------------------------------------------------ */

/* Exactly `digits` digits, then (unless NUL) `after`. */
static bool take_number(const char **p, int digits, char after, int *out) {
    *out = 0;
    for (int i = 0; i < digits; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    return after == '\0' || *(*p)++ == after;
}

static int32_t take_fraction(const char **p) {
    int32_t ns = 0, unit = 100000000;
    for (; **p >= '0' && **p <= '9'; (*p)++, unit /= 10)
        ns += (**p - '0') * unit;
    return ns;
}

bool rfc3339_parse(const char *text, int64_t *s, int32_t *ns) {
    struct tm tm = { 0 };
    int hours = 0, minutes = 0;
    const char *p = text;
    *ns = 0;
    if (!take_number(&p, 4, '-', &tm.tm_year) || !take_number(&p, 2, '-', &tm.tm_mon) ||
        !take_number(&p, 2, '\0', &tm.tm_mday) || (*p != 'T' && *p != 't'))
        return false;
    p++;
    if (!take_number(&p, 2, ':', &tm.tm_hour) || !take_number(&p, 2, ':', &tm.tm_min) ||
        !take_number(&p, 2, '\0', &tm.tm_sec))
        return false;
    if (*p == '.' && (p++, *p < '0' || *p > '9'))
        return false;
    *ns = take_fraction(&p);
    char zone = *p++;
    if (zone == '+' || zone == '-') {
        if (!take_number(&p, 2, ':', &hours) || !take_number(&p, 2, '\0', &minutes))
            return false;
    } else if (zone != 'Z' && zone != 'z') {
        return false;
    }
    bool sane = tm.tm_mon >= 1 && tm.tm_mon <= 12 && tm.tm_mday >= 1 && tm.tm_mday <= 31 &&
                tm.tm_hour <= 23 && tm.tm_min <= 59 && tm.tm_sec <= 60 && hours <= 23 &&
                minutes <= 59 && *p == '\0';
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *s = (int64_t)timegm(&tm) + (zone == '-' ? 60 : -60) * (hours * 60 + minutes);
    return sane;
}

/* --- modes ------------------------------------------------------------------------------------ */

void go_mode(unsigned mode, char out[16]) {
    static const char rwx[] = "rwxrwxrwx";
    char *p = out;
    if (S_ISDIR(mode))
        *p++ = 'd';
    if (S_ISLNK(mode))
        *p++ = 'L';
    if (S_ISBLK(mode) || S_ISCHR(mode))
        *p++ = 'D';
    if (S_ISFIFO(mode))
        *p++ = 'p';
    if (S_ISSOCK(mode))
        *p++ = 'S';
    if (mode & S_ISUID)
        *p++ = 'u';
    if (mode & S_ISGID)
        *p++ = 'g';
    if (S_ISCHR(mode))
        *p++ = 'c';
    if (mode & S_ISVTX)
        *p++ = 't';
    if (p == out)
        *p++ = '-';
    for (int i = 0; i < 9; i++)
        *p++ = mode & (0400U >> i) ? rwx[i] : '-';
    *p = '\0';
}
