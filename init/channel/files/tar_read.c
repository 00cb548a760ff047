#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/str.h"
#include "channel/files/ustar.h"

enum {
    HEADER, /* a header is collected */
    NAME,   /* the content of an L or K is */
    PAX,    /* the content of an x or g is taken, record by record */
    CONTENT,
    SKIP, /* padding, and what is not for the caller */
    ENDED,
    BAD,
};

/* Bits of `said`: those of the fields, and: */
enum {
    SPARSE = 1 << 12, /* keys of GNU tar that change what the content is */
    VOLUME = 1 << 13,
    BEGUN = 1 << 14, /* `entry` is being filled: something that belongs to it has come */
};

static enum tar_event refuse(struct tar_reader *r, const char *why, struct err *e) {
    bool in = r->said & BEGUN || r->state == CONTENT || r->state == SKIP;
    const char *where = in ? ", in '" : ", after '";
    bool named = r->entry.path[0] != '\0';
    (void)err_set(e, EINVAL, "the archive is bad at byte %llu%s%.120s%s: %s%s",
                  (unsigned long long)(r->at - r->have), named ? where : "", r->entry.path,
                  named ? "'" : "", r->what, why);
    r->state = BAD;
    return TAR_BAD;
}

/* Functions that return a text say what is wrong; NULL: nothing is. */
static const char *bad_field(struct tar_reader *r, const struct ustar_field *f) {
    r->what = f->key;
    return " is too long, out of range, no number, or has a NUL";
}

/* Take no notice of n bytes, then expect a header. */
static void skip(struct tar_reader *r, uint64_t n) {
    r->state = n > 0 ? SKIP : HEADER;
    r->left = n > 0 ? n : TAR_BLOCK;
    r->have = 0;
}

void tar_reader_init(struct tar_reader *r) {
    memset(r, 0, sizeof *r);
    r->what = "";
    skip(r, 0);
}

static void begin(struct tar_reader *r) {
    if (r->said & BEGUN)
        return;
    r->entry = r->global;
    r->said = r->global_said | BEGUN;
}

/* --- values ----------------------------------------------------------------------------------- */

/* A number of a header: octal, blank for 0; or, where its first bit is set, the other bits are a
 * big-endian number with a sign (GNU tar, star). */
static bool parse_octal(const char *p, size_t n, int64_t *out) {
    int64_t v = 0;
    size_t i = 1;
    if (*p & 0x80) {
        for (v = (int8_t)((unsigned)*p << 1) / 2; i < n; i++) {
            if (__builtin_mul_overflow(v, 256, &v))
                return false;
            v += (unsigned char)p[i];
        }
    } else {
        for (i = 0; i < n && p[i] == ' '; i++)
            ;
        for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
            v = v * 8 + (p[i] - '0');
    }
    *out = v;
    return i == n || p[i] == ' ' || p[i] == '\0';
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Nanoseconds of the digits after a point; *s moves past them. */
static long parse_fraction(const char **s, bool round_up) {
    long ns = 0, unit = 100000000;
    bool rest = false;
    for (; is_digit(**s); (*s)++, unit /= 10) {
        ns += unit * (**s - '0');
        rest |= unit == 0 && **s != '0';
    }
    return ns + (rest && round_up);
}

/* A number of a pax header: decimal, maybe with a sign and a fraction. What is finer than
 * nanoseconds is rounded towards the past. */
static bool parse_decimal(const char *s, struct timespec *out) {
    bool negative = *s == '-';
    int64_t v = 0; /* below zero all the way: there is one number more */
    long ns = 0;
    s += negative;
    if (!is_digit(*s))
        return false;
    for (; is_digit(*s); s++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, *s - '0', &v))
            return false;
    if (*s == '.') {
        s++;
        ns = parse_fraction(&s, negative);
    }
    if (negative ? __builtin_sub_overflow(v, ns > 0, &v) : __builtin_sub_overflow(0, v, &v))
        return false;
    *out = (struct timespec){ .tv_sec = v, .tv_nsec = negative && ns > 0 ? 1000000000 - ns : ns };
    return *s == '\0';
}

static bool store_number(struct tar_entry *t, const struct ustar_field *f, struct timespec v) {
    void *to = (char *)t + f->to;
    if (f->size == sizeof v) {
        *(struct timespec *)to = v;
        return true;
    }
    if (f->size == sizeof(uint64_t))
        *(uint64_t *)to = (uint64_t)v.tv_sec;
    else
        *(uint32_t *)to = (uint32_t)v.tv_sec;
    return v.tv_nsec == 0 && v.tv_sec >= 0 && (f->size > 4 || v.tv_sec <= UINT32_MAX);
}

/* A user's or a group's name that does not fit is as good as none: there is the number. */
static bool store_text(struct tar_entry *t, const struct ustar_field *f, const char *s, size_t n) {
    char *to = (char *)t + f->to;
    bool fits = n < f->size;
    if (!fits)
        n = 0;
    memcpy(to, s, n);
    to[n] = '\0';
    return fits || f->size < PATH_MAX;
}

/* --- pax headers and long names --------------------------------------------------------------- */

/* The value of f, `n` bytes and a NUL. An empty number takes back what was said (POSIX). */
static const char *take_value(struct tar_reader *r, const struct ustar_field *f, const char *value,
                              size_t n) {
    bool global = r->kind == 'g', good = true;
    struct tar_entry *t = global ? &r->global : &r->entry;
    unsigned *said = global ? &r->global_said : &r->said, bit = 1u << (f - ustar_fields);
    struct timespec v;
    *said |= bit;
    if (ustar_is_text(f))
        good = store_text(t, f, value, n);
    else if (n == 0)
        *said &= ~bit;
    else
        good = parse_decimal(value, &v) && store_number(t, f, v);
    return good && strlen(value) == n ? NULL : bad_field(r, f);
}

/* One record, "key=value" without its newline, is in buf; or as much of it as fits. */
static const char *take_record(struct tar_reader *r) {
    bool whole = r->have < sizeof r->buf;
    if (whole)
        r->buf[r->have] = '\0';
    char *equals = memchr(r->buf, '=', whole ? r->have : sizeof r->buf);
    unsigned *said = r->kind == 'g' ? &r->global_said : &r->said;
    if (!equals)
        return whole ? "a pax record without a key" : NULL;
    *equals = '\0';
    if (strlen(r->buf) < (size_t)(equals - r->buf))
        return "a pax record without a key"; /* or with a NUL in it */
    if (has_prefix(r->buf, "GNU.sparse."))
        *said |= SPARSE;
    if (has_prefix(r->buf, "GNU.volume."))
        *said |= VOLUME;
    for (const struct ustar_field *f = ustar_fields; f < ustar_fields + USTAR_MODE; f++)
        if (strcmp(r->buf, f->key) == 0)
            return whole ? take_value(r, f, equals + 1, r->have - (size_t)(equals + 1 - r->buf))
                         : bad_field(r, f);
    return NULL;
}

static const char untrue[] = "a pax record whose length is not true";

/* A byte of the decimal number and the blank that a record begins with. */
static const char *take_length(struct tar_reader *r, char c) {
    if (is_digit(c) && r->length <= MAX_PAX_HEADER) {
        r->length = r->length * 10 + (uint32_t)(c - '0');
        r->digits++;
        return NULL;
    }
    if (c != ' ' || r->length <= r->digits + 1 || r->length - r->digits - 1 > r->left)
        return untrue;
    r->record = r->length - r->digits - 1;
    r->have = r->length = r->digits = 0;
    return NULL;
}

static const char *take_pax(struct tar_reader *r, char c) {
    const char *wrong = NULL;
    if (r->record == 0) {
        wrong = take_length(r, c);
    } else if (--r->record == 0) {
        wrong = c == '\n' ? take_record(r) : untrue;
    } else {
        if (r->have < sizeof r->buf)
            r->buf[r->have] = c;
        r->have++;
    }
    if (wrong || r->left > 0)
        return wrong;
    if (r->digits > 0)
        return untrue;
    skip(r, r->padding);
    return NULL;
}

static const char *take_name(struct tar_reader *r) {
    const struct ustar_field *f = &ustar_fields[r->kind == 'K' ? USTAR_TARGET : USTAR_PATH];
    if (!store_text(&r->entry, f, r->buf, strnlen(r->buf, r->have)))
        return bad_field(r, f);
    r->said |= 1u << (f - ustar_fields);
    skip(r, r->padding);
    return NULL;
}

/* --- headers ---------------------------------------------------------------------------------- */

static const char *take_extension(struct tar_reader *r, const struct ustar *h) {
    bool name = h->type == 'L' || h->type == 'K';
    int64_t size;
    if (h->type != 'g')
        begin(r);
    if (!parse_octal(h->size, sizeof h->size, &size) || size < 0 ||
        size > (name ? PATH_MAX : MAX_PAX_HEADER))
        return "a pax header or a long name that is too long";
    r->kind = h->type;
    r->padding = (uint32_t)tar_padding((uint64_t)size);
    skip(r, (uint64_t)size);
    if (size > 0)
        r->state = name ? NAME : PAX;
    return NULL;
}

/* Fill what nothing has said yet from the header. */
static const char *fill(struct tar_reader *r, const struct ustar *h, unsigned unused) {
    for (const struct ustar_field *f = ustar_fields; f < ustar_fields + USTAR_FIELDS; f++) {
        unsigned bit = 1u << (f - ustar_fields);
        const char *from = (const char *)h + f->from;
        struct timespec v = { 0 };
        bool none = unused & bit;
        if (r->said & bit && !none)
            continue;
        if (ustar_is_text(f))
            (void)store_text(&r->entry, f, from, none ? 0 : strnlen(from, f->width));
        else if ((!none && !parse_octal(from, f->width, &v.tv_sec)) ||
                 !store_number(&r->entry, f, v))
            return bad_field(r, f);
    }
    return NULL;
}

/* A path in two halves. GNU tar has other things in the place of the first. */
static void fill_path(struct tar_reader *r, const struct ustar *h) {
    if (memcmp(h->magic, "ustar", 6) != 0 || h->prefix[0] == '\0' || r->said & 1 << USTAR_PATH)
        return;
    (void)snprintf(r->entry.path, sizeof r->entry.path, "%.155s/%.100s", h->prefix, h->name);
    r->said |= 1 << USTAR_PATH;
}

/* Files are 0, and 7 where they are to lie in one piece; before POSIX they were NUL, and a slash
 * made a directory of them. D is a directory whose content lists its files (GNU tar -g). */
static char plain_type(char type, const char *path) {
    size_t n = strlen(path);
    if (type == 'D')
        return '5';
    if (type != '\0' && type != '0' && type != '7')
        return type;
    return n > 0 && path[n - 1] == '/' ? '5' : '0';
}

static const char *refused(const struct tar_reader *r, char type) {
    if (type == 'S' || r->said & SPARSE)
        return "a sparse file of GNU tar; make the archive without --sparse";
    if (type == 'M' || r->said & VOLUME)
        return "a file continued from another volume; give the archive in one piece";
    if (r->entry.path[0] == '\0')
        return "an entry without a name";
    return r->entry.type < '0' || r->entry.type > '6' ? "an entry of an unknown kind" : NULL;
}

static const char *take_entry(struct tar_reader *r, const struct ustar *h) {
    struct tar_entry *t = &r->entry;
    unsigned unused = ustar_unused(h->type);
    begin(r);
    if (memcmp(h->magic, "ustar", 5) != 0)
        unused |= USTAR_NOT_V7;
    fill_path(r, h);
    const char *wrong = fill(r, h, unused);
    if (wrong)
        return wrong;
    t->mode &= 07777;
    t->type = plain_type(h->type, t->path);
    r->padding = (uint32_t)tar_padding(t->size);
    if (h->type != 'V') { /* a label of the volume */
        wrong = refused(r, h->type);
        if (wrong)
            return wrong;
        r->event = TAR_ENTRY;
    }
    r->said = 0;
    skip(r, t->size + r->padding);
    if (t->type != '0')
        t->size = 0;
    if (t->size > 0) {
        r->state = CONTENT;
        r->left = t->size;
    }
    return NULL;
}

/* A block of zeros, or the input's end. */
static const char *take_zeros(struct tar_reader *r, bool end) {
    if (r->said & BEGUN)
        return "a pax header or a long name that belongs to no entry";
    skip(r, 0);
    if (r->zero || end) {
        r->state = ENDED;
        r->event = TAR_END;
    }
    r->zero = true;
    return NULL;
}

static const char *take_header(struct tar_reader *r) {
    const struct ustar *h = (const void *)r->buf;
    int sum = ustar_sum(h, 0);
    int64_t said;
    if (sum == 8 * ' ' && memcmp(h->sum, "\0\0\0\0\0\0\0", 8) == 0)
        return take_zeros(r, false);
    if (r->zero)
        return "a lone block of zeros";
    if (!parse_octal(h->sum, sizeof h->sum, &said) || (said != sum && said != ustar_sum(h, 256)))
        return "no tar header; if the archive is compressed, uncompress it first";
    return h->type != '\0' && strchr("xXgLK", h->type) ? take_extension(r, h) : take_entry(r, h);
}

/* --- the stream ------------------------------------------------------------------------------- */

/* Take k bytes, not more than are left of the piece that is being taken. */
static const char *step(struct tar_reader *r, const char *in, size_t k) {
    r->left -= k;
    r->at += k;
    switch (r->state) {
    case PAX:
        return take_pax(r, *in);
    case CONTENT:
        r->event = TAR_DATA;
        if (r->left == 0)
            skip(r, r->padding);
        return NULL;
    case SKIP:
        if (r->left == 0)
            skip(r, 0);
        return NULL;
    default: /* HEADER and NAME, which fit into buf */
        memcpy(r->buf + r->have, in, k);
        r->have += k;
        if (r->left > 0)
            return NULL;
        return r->state == HEADER ? take_header(r) : take_name(r);
    }
}

// NOLINTNEXTLINE(readability-function-size): its parameters are those of a stream
enum tar_event tar_read(struct tar_reader *r, const char *in, size_t n, bool end, size_t *used,
                        const char **data, size_t *len, struct err *e) {
    const char *wrong = r->state == BAD ? "it was refused before" : NULL;
    size_t at = 0, k = 0;
    r->event = TAR_MORE;
    if (r->state == ENDED) {
        r->event = TAR_END;
        at = n;
    }
    while (!wrong && r->event == TAR_MORE && at < n) {
        k = n - at < r->left ? n - at : (size_t)r->left;
        if (r->state == PAX)
            k = 1;
        wrong = step(r, in + at, k);
        at += k;
    }
    if (!wrong && end && r->event == TAR_MORE)
        wrong = r->state == HEADER && r->have == 0 ? take_zeros(r, true)
                                                   : "it ends too early: it is cut";
    *used = at;
    *data = r->event == TAR_DATA ? in + at - k : NULL;
    *len = r->event == TAR_DATA ? k : 0;
    return wrong ? refuse(r, wrong, e) : r->event;
}

/* --- names ------------------------------------------------------------------------------------ */

int tar_clean_path(const char *path, char out[PATH_MAX]) {
    struct text clean = { .buf = out, .cap = PATH_MAX };
    out[0] = '\0';
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 2 && p[0] == '.' && p[1] == '.')
            return -EINVAL;
        if (n > 1 || (n == 1 && *p != '.')) {
            text_put(&clean, "/", clean.len > 0);
            text_put(&clean, p, n);
        }
        p += n + (p[n] == '/');
    }
    return clean.cut ? -ENAMETOOLONG : 0;
}
