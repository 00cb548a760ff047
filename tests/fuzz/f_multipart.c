/* Any bytes as a body of multipart/form-data with the boundary "b"; the first four say in what
 * pieces it comes, and how much of each content is taken at once. Promises: the pieces change
 * nothing; of the body not a byte is lost or used twice; no content has a line that is a delimiter.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/e2b/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok)
        abort();
}

struct outcome {
    uint64_t hash;
    size_t parts, content; /* bytes of contents */
    bool bad, ended;
    char *part; /* the content of the part so far */
    size_t part_len;
};

static void mix(struct outcome *o, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        o->hash = (o->hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
    o->hash += 7;
}

static void mix_text(struct outcome *o, const char *s) { mix(o, s ? s : "-", s ? strlen(s) : 1); }

static void keep(struct outcome *o, struct slice piece) {
    memcpy(o->part + o->part_len, piece.s, piece.n);
    o->part_len += piece.n;
    o->content += piece.n;
}

static void finish_part(struct outcome *o) {
    must(!memmem(o->part, o->part_len, "\r\n--b", 5));
    mix(o, o->part, o->part_len);
    o->part_len = 0;
}

static void see(struct multipart *m, struct outcome *o, enum multipart_event e) {
    o->bad = e == MULTIPART_BAD;
    o->ended |= e == MULTIPART_END;
    must(!o->bad || m->why);
    if (e == MULTIPART_BEGIN) {
        mix_text(o, m->part.name);
        mix_text(o, m->part.filename);
        mix_text(o, m->part.type);
    }
    if (e == MULTIPART_FINISH)
        finish_part(o);
}

/* A piece, in a block of its own. */
static void feed(struct multipart *m, struct outcome *o, struct slice in, size_t most) {
    struct slice piece;
    enum multipart_event e = MULTIPART_BEGIN;
    while (e != MULTIPART_MORE && !o->bad) {
        const char *before = in.s;
        e = multipart_next(m, &in, &piece);
        must(in.s >= before);
        if (e == MULTIPART_DATA) {
            must(piece.n > 0);
            size_t k = piece.n < most ? piece.n : most;
            keep(o, (struct slice){ piece.s, k });
            multipart_put_back(m, &in, piece.n, k);
        } else {
            see(m, o, e);
        }
    }
    must(o->bad || in.n == 0);
}

static struct outcome run(const uint8_t *bytes, size_t n, const uint8_t *how) {
    static struct multipart m;
    struct outcome o = { .part = malloc(n + 8) };
    static const char type[] = "multipart/form-data; boundary=b";
    must(o.part && multipart_begin(&m, (struct slice){ type, sizeof type - 1 }) == 0);
    for (size_t at = 0, turn = 0; at < n && !o.bad; turn++) {
        size_t k = how ? (size_t)how[turn % 3] + 1 : n;
        k = k < n - at ? k : n - at;
        char *block = malloc(k);
        must(block != NULL);
        memcpy(block, bytes + at, k);
        feed(&m, &o, (struct slice){ block, k }, how ? (size_t)how[3] + 1 : SIZE_MAX);
        free(block);
        at += k;
    }
    o.parts = m.parts;
    mix(&o, o.part, o.part_len);
    free(o.part);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 4)
        return 0;
    struct outcome whole = run(data + 4, size - 4, NULL), split = run(data + 4, size - 4, data);
    must(whole.bad == split.bad && whole.ended == split.ended && whole.parts == split.parts);
    must(whole.hash == split.hash && whole.content == split.content);
    must(whole.content <= size - 4);
    return 0;
}
