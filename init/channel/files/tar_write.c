#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "channel/files/ustar.h"

/* Two names, two users, and seven numbers, each with its length and key. */
_Static_assert(2 * PATH_MAX + 2 * 64 + 11 * 64 <= TAR_HEAD_MAX - 2 * TAR_BLOCK, "records fit");
_Static_assert(PATH_MAX >= 64 && sizeof(struct timespec) < 64, "ustar_is_text()");

const struct ustar_field ustar_fields[USTAR_FIELDS] = {
#define FIELD(key, h, t)                                                      \
    {                                                                         \
        key, offsetof(struct ustar, h), sizeof(((struct ustar *)0)->h),       \
            offsetof(struct tar_entry, t), sizeof(((struct tar_entry *)0)->t) \
    }
    [USTAR_PATH] = FIELD("path", name, path),
    [USTAR_TARGET] = FIELD("linkpath", link, target),
    [USTAR_OWNER] = FIELD("uname", owner, owner),
    [USTAR_GROUP] = FIELD("gname", group, group),
    [USTAR_SIZE] = FIELD("size", size, size),
    [USTAR_UID] = FIELD("uid", uid, uid),
    [USTAR_GID] = FIELD("gid", gid, gid),
    [USTAR_MTIME] = FIELD("mtime", mtime, mtime),
    [USTAR_MAJOR] = FIELD("SCHILY.devmajor", major, major),
    [USTAR_MINOR] = FIELD("SCHILY.devminor", minor, minor),
    [USTAR_MODE] = FIELD("mode", mode, mode),
#undef FIELD
};

unsigned ustar_unused(char type) {
    bool link = type == '1' || type == '2', device = type == '3' || type == '4';
    return (link ? 0 : 1u << USTAR_TARGET) | (device ? 0 : 1u << USTAR_MAJOR | 1u << USTAR_MINOR) |
           (type >= '1' && type <= '6' ? 1u << USTAR_SIZE : 0);
}

int ustar_sum(const struct ustar *h, int high) {
    const unsigned char *p = (const void *)h;
    int sum = 0;
    for (size_t i = 0; i < sizeof *h; i++) {
        int c = i - offsetof(struct ustar, sum) < sizeof h->sum ? ' ' : p[i];
        sum += c - (c >> 7) * high;
    }
    return sum;
}

/* "LENGTH key=value\n", where LENGTH counts itself, too. */
static void record(struct text *x, const char *key, const char *value) {
    size_t len = strlen(key) + strlen(value) + 4;
    for (size_t power = 10; len >= power; power *= 10)
        len++;
    text_add(x, "%zu %s=%s\n", len, key, value);
}

/* Octal digits and, there already, a NUL. Of what does not fit, the largest number that does. */
static bool put_octal(char *field, size_t width, uint64_t v) {
    uint64_t most = (UINT64_C(1) << 3 * --width) - 1;
    bool fits = v <= most;
    for (v = fits ? v : most; width > 0; v >>= 3)
        field[--width] = (char)('0' + (v & 7));
    return fits;
}

static bool is_ascii(const char *s) {
    while ((signed char)*s > 0)
        s++;
    return *s == '\0';
}

/* Where to split a path that is too long for its field: at a slash that neither half keeps. 0: at
 * none. The first half may have 155 bytes, the other 100. */
static size_t split_at(const char *path, size_t n) {
    size_t at = n < 102 ? 1 : n - 101;
    while (at < n - 1 && at <= 155 && path[at] != '/')
        at++;
    return n > 100 && at < n - 1 && at <= 155 ? at : 0;
}

static void put_text(struct ustar *h, const struct ustar_field *f, const char *s, struct text *x) {
    size_t n = strlen(s), split = 0, width = f->width;
    if (f == &ustar_fields[USTAR_PATH])
        split = split_at(s, n);
    else if (f != &ustar_fields[USTAR_TARGET])
        width--; /* these two need no NUL */
    size_t from = split + (split > 0);
    memcpy(h->prefix, s, split);
    memcpy((char *)h + f->from, s + from, n - from < width ? n - from : width);
    if (n - from > width || !is_ascii(s))
        record(x, f->key, s);
}

/* The number as decimal text, too, where octal cannot say it. A fraction counts up, so below zero
 * {-2, 500000000} is -1.5. */
static void put_number(struct ustar *h, const struct ustar_field *f, struct timespec v,
                       struct text *x) {
    char text[40];
    bool negative = v.tv_sec < 0;
    uint64_t whole = negative ? -(uint64_t)v.tv_sec : (uint64_t)v.tv_sec;
    long part = v.tv_nsec;
    if (put_octal((char *)h + f->from, f->width, negative ? 0 : whole) && !negative && part == 0)
        return;
    if (negative && part > 0) {
        whole--;
        part = 1000000000 - part;
    }
    int n = snprintf(text, sizeof text, "-%llu.%09ld", (unsigned long long)whole, part);
    while (text[n - 1] == '0')
        n--;
    text[n - (text[n - 1] == '.')] = '\0';
    record(x, f->key, text + !negative);
}

static struct timespec load(const struct tar_entry *t, const struct ustar_field *f) {
    const void *from = (const char *)t + f->to;
    if (f->size == sizeof(struct timespec))
        return *(const struct timespec *)from;
    uint64_t v = f->size == sizeof v ? *(const uint64_t *)from : *(const uint32_t *)from;
    if (f == &ustar_fields[USTAR_MODE])
        v &= 07777;
    return (struct timespec){ .tv_sec = (time_t)v };
}

static void seal(struct ustar *h, char type, char *out) {
    h->type = type;
    memcpy(h->magic, "ustar\00000", sizeof h->magic);
    put_octal(h->sum, sizeof h->sum - 1, (uint64_t)ustar_sum(h, 0));
    h->sum[sizeof h->sum - 1] = ' ';
    memcpy(out, h, sizeof *h);
}

/* Put a pax header before the n bytes of records that are in `out` already. */
static size_t put_extension(char *out, size_t n) {
    struct ustar h = { .name = "PaxHeaders/next" };
    for (int i = USTAR_SIZE; i < USTAR_FIELDS; i++)
        put_octal((char *)&h + ustar_fields[i].from, ustar_fields[i].width,
                  i == USTAR_SIZE   ? n
                  : i == USTAR_MODE ? 0644
                                    : 0);
    seal(&h, 'x', out);
    memset(out + TAR_BLOCK + n, 0, tar_padding(n));
    return TAR_BLOCK + n + tar_padding(n);
}

static int check(const struct tar_entry *t) {
    for (const struct ustar_field *f = ustar_fields; ustar_is_text(f); f++)
        if (!memchr((const char *)t + f->to, '\0', f->size))
            return -ENAMETOOLONG;
    bool good = t->path[0] && t->type >= '0' && t->type <= '6' && t->size <= INT64_MAX &&
                t->mtime.tv_nsec >= 0 && t->mtime.tv_nsec < 1000000000;
    return good ? 0 : -EINVAL;
}

int tar_head(const struct tar_entry *t, char out[TAR_HEAD_MAX]) {
    struct ustar h = { 0 };
    struct text x = { .buf = out + TAR_BLOCK, .cap = TAR_HEAD_MAX - 2 * TAR_BLOCK };
    unsigned unused = ustar_unused(t->type);
    int rc = check(t);
    if (rc < 0)
        return rc;
    for (const struct ustar_field *f = ustar_fields; f < ustar_fields + USTAR_FIELDS; f++) {
        bool none = unused >> (f - ustar_fields) & 1;
        if (ustar_is_text(f))
            put_text(&h, f, none ? "" : (const char *)t + f->to, &x);
        else
            put_number(&h, f, none ? (struct timespec){ 0 } : load(t, f), &x);
    }
    size_t n = x.len > 0 ? put_extension(out, x.len) : 0;
    seal(&h, t->type, out + n);
    return (int)(n + TAR_BLOCK);
}
