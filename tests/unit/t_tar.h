/* t_tar.h — archives in memory: made block by block, and read in pieces of any size. */
#ifndef TESTS_T_TAR_H
#define TESTS_T_TAR_H

#include <stdlib.h>
#include <string.h>

#include "channel/files/tar.h"
#include "tests/unit/tap.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- reading ---------------------------------------------------------------------------------- */

struct seen {
    struct tar_entry entry;
    uint64_t bytes; /* of content that came */
    uint32_t sum;   /* of them */
};

struct reading {
    struct seen *seen;
    size_t n;
    enum tar_event last;
    struct err e;
    bool broken; /* the reader broke a promise of its header */
};

/* How much of `left` bytes to give: all for most == 0, else 1 to most, at random. */
static inline size_t piece_of(size_t left, size_t most, unsigned *seed) {
    *seed = *seed * 1103515245u + 12345u;
    size_t k = most > 0 ? 1 + (*seed >> 8) % most : left;
    return k < left ? k : left;
}

static inline void see(struct reading *out, const struct tar_reader *r, const char *data,
                       size_t len) {
    if (out->last == TAR_ENTRY) {
        out->seen = realloc(out->seen, (out->n + 1) * sizeof *out->seen);
        if (!out->seen)
            abort();
        out->seen[out->n++] = (struct seen){ .entry = r->entry };
    }
    out->broken |= (out->last == TAR_DATA) != (len > 0) || (len > 0 && out->n == 0);
    if (out->broken)
        return;
    for (size_t i = 0; i < len; i++)
        out->seen[out->n - 1].sum = out->seen[out->n - 1].sum * 31 + (unsigned char)data[i];
    if (len > 0)
        out->seen[out->n - 1].bytes += len;
}

/* Feed one piece, in memory of its own size so that a sanitizer sees what is read beyond it. */
static inline void feed(struct reading *out, struct tar_reader *r, const char *in, size_t n,
                        bool end) {
    char *copy = malloc(n + !n);
    size_t at = 0;
    if (!copy)
        abort();
    memcpy(copy, in, n);
    do {
        size_t used, len;
        const char *data;
        out->last = tar_read(r, copy + at, n - at, end, &used, &data, &len, &out->e);
        out->broken |= used > n - at || (len > 0 && data + len != copy + at + used);
        out->broken |= out->last == TAR_MORE && (end || used < n - at);
        at += used;
        see(out, r, data, len);
    } while (!out->broken && out->last != TAR_END && out->last != TAR_BAD &&
             (at < n || (end && out->last != TAR_MORE)));
    free(copy);
}

static inline void read_archive(struct reading *out, const char *in, size_t n, size_t most) {
    static struct tar_reader r;
    unsigned seed = (unsigned)(n + most);
    memset(&r, 0xa5, sizeof r);
    tar_reader_init(&r);
    *out = (struct reading){ 0 };
    do {
        size_t k = piece_of(n, most, &seed);
        feed(out, &r, in, k, k == n && seed & 512);
        in += k;
        n -= k;
    } while (n > 0 && !out->broken && out->last != TAR_END && out->last != TAR_BAD);
    if (!out->broken && out->last != TAR_END && out->last != TAR_BAD)
        feed(out, &r, in, 0, true);
}

static inline void reading_free(struct reading *r) { free(r->seen); }

/* --- making ----------------------------------------------------------------------------------- */

struct archive {
    char bytes[1 << 18]; /* more ends the test */
    size_t n;
};

static inline void add(struct archive *a, const void *bytes, size_t n) {
    if (n > sizeof a->bytes - a->n)
        abort();
    if (bytes)
        memcpy(a->bytes + a->n, bytes, n);
    else
        memset(a->bytes + a->n, 0, n);
    a->n += n;
}

static inline void add_content(struct archive *a, const void *bytes, size_t n) {
    add(a, bytes, n);
    add(a, NULL, tar_padding(n));
}

static inline void add_end(struct archive *a) { add(a, NULL, (size_t)2 * TAR_BLOCK); }

/* An entry as our writer says it, with a content of `size` bytes, each that of its place. */
static inline int add_entry(struct archive *a, const struct tar_entry *t) {
    char head[TAR_HEAD_MAX];
    int n = tar_head(t, head);
    if (n < 0)
        return n;
    add(a, head, (size_t)n);
    for (uint64_t i = 0; i < t->size && t->type == '0'; i++) {
        char c = (char)(i * 7 + i / 256);
        add(a, &c, 1);
    }
    add(a, NULL, t->type == '0' ? tar_padding(t->size) : 0);
    return n;
}

static inline bool same_entry(const struct tar_entry *x, const struct tar_entry *y) {
    return strcmp(x->path, y->path) == 0 && strcmp(x->target, y->target) == 0 &&
           strcmp(x->owner, y->owner) == 0 && strcmp(x->group, y->group) == 0 &&
           x->type == y->type && x->mode == y->mode && x->uid == y->uid && x->gid == y->gid &&
           x->size == y->size && x->mtime.tv_sec == y->mtime.tv_sec &&
           x->mtime.tv_nsec == y->mtime.tv_nsec && x->major == y->major && x->minor == y->minor;
}

/* Two readings are alike to the last byte and word. */
static inline bool same_reading(const struct reading *x, const struct reading *y) {
    bool same = x->n == y->n && x->last == y->last && strcmp(x->e.text, y->e.text) == 0 &&
                !x->broken && !y->broken;
    for (size_t i = 0; same && i < x->n; i++)
        same = same_entry(&x->seen[i].entry, &y->seen[i].entry) &&
               x->seen[i].sum == y->seen[i].sum && x->seen[i].bytes == y->seen[i].bytes;
    return same;
}

/* Read it whole, byte by byte and in random pieces; all must agree. Free the result. */
static inline bool read_all_ways(struct reading *out, const struct archive *a) {
    static const size_t most[] = { 1, 3, 511, 512, 513, 5000 };
    bool good = true;
    read_archive(out, a->bytes, a->n, 0);
    for (size_t i = 0; i < COUNT(most); i++) {
        struct reading split;
        read_archive(&split, a->bytes, a->n, most[i]);
        good &= same_reading(out, &split);
        reading_free(&split);
    }
    return good;
}

/* "{100a}/b" is a hundred a, and "/b". */
static inline void expand(char *out, size_t cap, const char *s) {
    size_t n = 0;
    while (*s) {
        char *end = NULL;
        unsigned long times = *s == '{' ? strtoul(s + 1, &end, 10) : 1;
        char c = end ? *end : *s;
        s = end ? end + 2 : s + 1;
        for (; times > 0 && n < cap - 1; times--)
            out[n++] = c;
    }
    out[n] = '\0';
}

#endif
