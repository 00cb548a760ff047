/* Any bytes as an archive. Promises: the verdict, every entry and every byte of content are the
 * same however the input is cut; each call makes progress; what is read can be written, and is
 * then read as the same; a clean path is clean, and stays so.
 *
 * The first byte says how the input is cut and whether headers get their checksum, which no fuzzer
 * would find: of no block, of those with a magic, of all but zeros. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel/files/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok)
        abort();
}

struct digest {
    uint64_t sum;              /* of entries and contents, in their order */
    uint64_t entries, content; /* how many, how many bytes */
    enum tar_event last;
    struct err e;
};

static void mix(struct digest *d, const void *bytes, size_t n) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        d->sum = (d->sum ^ p[i]) * 0x100000001b3u;
}

static void mix_text(struct digest *d, const char *s, size_t cap) {
    must(memchr(s, '\0', cap) != NULL);
    mix(d, s, strlen(s) + 1);
}

static void mix_entry(struct digest *d, const struct tar_entry *t) {
    d->entries++;
    mix_text(d, t->path, sizeof t->path);
    mix_text(d, t->target, sizeof t->target);
    mix_text(d, t->owner, sizeof t->owner);
    mix_text(d, t->group, sizeof t->group);
    mix(d, &t->type, sizeof t->type);
    mix(d, &t->mode, sizeof t->mode);
    mix(d, &t->uid, sizeof t->uid);
    mix(d, &t->gid, sizeof t->gid);
    mix(d, &t->size, sizeof t->size);
    mix(d, &t->mtime.tv_sec, sizeof t->mtime.tv_sec);
    mix(d, &t->mtime.tv_nsec, sizeof t->mtime.tv_nsec);
    mix(d, &t->major, sizeof t->major);
    mix(d, &t->minor, sizeof t->minor);
}

/* What struct tar_entry says of its fields. */
static void check_entry(const struct tar_entry *t) {
    bool file = t->type == '0', link = t->type == '1' || t->type == '2';
    must(t->type >= '0' && t->type <= '6' && t->path[0] && t->mode <= 07777);
    must(file ? t->size <= INT64_MAX : t->size == 0);
    must(link || !t->target[0]);
    must(t->mtime.tv_nsec >= 0 && t->mtime.tv_nsec < 1000000000);
    must(t->type == '3' || t->type == '4' || (t->major == 0 && t->minor == 0));
}

static bool has_bad_part(const char *path) {
    for (const char *p = path; *p; p += *p != '\0') {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n <= 2 && strncmp(p, "..", n) == 0))
            return true;
        p += n;
    }
    return path[0] && path[strlen(path) - 1] == '/';
}

static void check_path(const char *path) {
    static char once[PATH_MAX], twice[PATH_MAX];
    int rc = tar_clean_path(path, once);
    must(rc == 0 || rc == -EINVAL || (rc == -ENAMETOOLONG && strlen(path) >= PATH_MAX));
    if (rc == 0)
        must(!has_bad_part(once) && tar_clean_path(once, twice) == 0 && strcmp(once, twice) == 0);
}

/* Written and read again it is the same. */
static void check_round_trip(const struct tar_entry *t) {
    static struct tar_reader again;
    static char head[TAR_HEAD_MAX];
    struct digest one = { 0 }, two = { 0 };
    size_t used, len;
    const char *data;
    int n = tar_head(t, head);
    must(n >= TAR_BLOCK && n <= TAR_HEAD_MAX && n % TAR_BLOCK == 0);
    tar_reader_init(&again);
    must(tar_read(&again, head, (size_t)n, true, &used, &data, &len, &one.e) == TAR_ENTRY);
    must(used == (size_t)n && !data && len == 0);
    mix_entry(&one, t);
    mix_entry(&two, &again.entry);
    must(one.sum == two.sum);
}

/* Take one piece, which lies in memory of its own. */
static void take(struct digest *d, struct tar_reader *r, const char *in, size_t n, bool end) {
    char *copy = malloc(n + !n);
    size_t at = 0;
    must(copy != NULL);
    memcpy(copy, in, n);
    do {
        size_t used, len;
        const char *data;
        d->last = tar_read(r, copy + at, n - at, end, &used, &data, &len, &d->e);
        must(used <= n - at && (used > 0 || at == n || d->last == TAR_BAD));
        must(d->last == TAR_DATA ? len > 0 && data + len == copy + at + used : !data && len == 0);
        must(d->last != TAR_MORE || (!end && at + used == n));
        at += used;
        d->content += len;
        mix(d, data, len);
        if (d->last == TAR_ENTRY)
            mix_entry(d, &r->entry);
        if (d->last == TAR_ENTRY && end) { /* once for each entry of the whole */
            check_entry(&r->entry);
            check_path(r->entry.path);
            check_round_trip(&r->entry);
        }
    } while (d->last == TAR_ENTRY || d->last == TAR_DATA);
    free(copy);
}

static void read_in(struct digest *d, const char *in, size_t n, size_t piece) {
    static struct tar_reader r;
    memset(&r, 0xa5, sizeof r);
    tar_reader_init(&r);
    while (n > piece && d->last != TAR_END && d->last != TAR_BAD) {
        take(d, &r, in, piece, false);
        in += piece;
        n -= piece;
    }
    if (d->last != TAR_END && d->last != TAR_BAD)
        take(d, &r, in, n, true);
    must(d->last == TAR_END || d->last == TAR_BAD);
    must(d->last == TAR_END || (d->e.code == EINVAL && d->e.text[0]));
}

/* Give blocks the checksum of a header. */
static void seal(char *bytes, size_t n, unsigned how) {
    static const char zeros[TAR_BLOCK];
    for (char *b = bytes; how > 0 && n >= TAR_BLOCK; b += TAR_BLOCK, n -= TAR_BLOCK) {
        unsigned sum = 0;
        if (how == 1 ? memcmp(b + 257, "ustar", 5) != 0 : memcmp(b, zeros, TAR_BLOCK) == 0)
            continue;
        memset(b + 148, ' ', 8);
        for (int i = 0; i < TAR_BLOCK; i++)
            sum += (unsigned char)b[i];
        for (int i = 6; i-- > 0; sum >>= 3)
            b[148 + i] = (char)('0' + (sum & 7));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t pieces[] = { 1, 2, 7, 100, 511, 512, 513, 1000 };
    if (size < 1)
        return 0;
    struct digest whole = { 0 }, split = { 0 };
    char *in = malloc(size);
    must(in != NULL);
    memcpy(in, data + 1, size - 1);
    in[size - 1] = '\0';
    check_path(in);
    seal(in, size - 1, data[0] % 3);
    read_in(&whole, in, size - 1, size);
    read_in(&split, in, size - 1, pieces[data[0] / 3 % 8]);
    must(whole.sum == split.sum && whole.last == split.last && whole.entries == split.entries);
    must(whole.content == split.content && strcmp(whole.e.text, split.e.text) == 0);
    free(in);
    return 0;
}
