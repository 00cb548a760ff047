#include "channel/gzip.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "base/own.h"

enum {
    PIECE = 64 << 10,
    GZIP_ONLY = 16, /* inflateInit2() and deflateInit2(): no other format */
    STORED = 0,     /* levels: without compression */
    FASTEST_LEVEL = 1,
    MEMORY_LEVEL = 8,  /* zlib's default */
    TRIED = 128 << 10, /* bytes that are compressed to see whether it pays */
    TRUSTED = 2 << 20, /* and for so many it is then assumed */
};

struct gzip {
    const struct gzip_ends *ends;
    z_stream z;
    int level;
    uint64_t judge_at, tried_in, tried_out; /* z.total_in: then; where the trial began */
    unsigned char in[PIECE], out[PIECE];
};

static struct gzip *gzip_new(const struct gzip_ends *ends) {
    struct gzip *g = calloc(1, sizeof *g);
    if (g)
        g->ends = ends;
    return g;
}

/* More input: how much; 0 at the end; -1. */
static ssize_t fill(struct gzip *g) {
    ssize_t n = g->ends->get(g->ends->arg, g->in, sizeof g->in);
    g->z.next_in = g->in;
    g->z.avail_in = n > 0 ? (unsigned)n : 0;
    return n;
}

static void make_room(struct gzip *g) {
    g->z.next_out = g->out;
    g->z.avail_out = sizeof g->out;
}

static bool put_out(struct gzip *g) {
    size_t n = sizeof g->out - g->z.avail_out;
    return n == 0 || g->ends->put(g->ends->arg, g->out, n);
}

/* --- decoding --------------------------------------------------------------------------------- */

static enum gzip_outcome outcome_of(int rc) {
    return rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR ? GZIP_DONE
           : rc == Z_MEM_ERROR                                   ? GZIP_NO_MEMORY
                                                                 : GZIP_BROKEN;
}

/* What fits into one buffer of output. *more: that is full, so there may be more without input. */
static enum gzip_outcome inflate_piece(struct gzip *g, unsigned *members, bool *more) {
    make_room(g);
    int rc = inflate(&g->z, Z_NO_FLUSH);
    *more = g->z.avail_out == 0;
    if (!put_out(g))
        return GZIP_UNWRITTEN;
    if (rc == Z_STREAM_END) {
        *members = 1;
        *more = false;
        rc = inflateReset(&g->z);
    }
    return outcome_of(rc);
}

static enum gzip_outcome inflate_all(struct gzip *g) {
    unsigned members = 0;
    bool more = false;
    enum gzip_outcome rc = GZIP_DONE;
    while (rc == GZIP_DONE) {
        ssize_t n = more || g->z.avail_in > 0 ? 1 : fill(g);
        if (n < 0)
            return GZIP_UNREAD;
        if (n == 0) /* between two members? */
            return members > 0 && g->z.total_in == 0 ? GZIP_DONE : GZIP_CUT;
        rc = inflate_piece(g, &members, &more);
    }
    return rc;
}

enum gzip_outcome gzip_decode(const struct gzip_ends *ends) {
    AUTO_FREE struct gzip *g = gzip_new(ends);
    if (!g || inflateInit2(&g->z, MAX_WBITS + GZIP_ONLY) != Z_OK)
        return GZIP_NO_MEMORY;
    enum gzip_outcome rc = inflate_all(g);
    (void)inflateEnd(&g->z);
    return rc;
}

/* --- encoding --------------------------------------------------------------------------------- */

/* All of the input, and with a `flush` what was kept of it. */
static bool deflate_piece(struct gzip *g, int flush) {
    do {
        make_room(g);
        (void)deflate(&g->z, flush);
        if (!put_out(g))
            return false;
    } while (g->z.avail_out == 0);
    return true;
}

/* Much of what is sent does not become shorter, and that costs the most time: it is stored. */
static bool judge(struct gzip *g) {
    bool trial = g->level != STORED;
    if (g->z.total_in < g->judge_at)
        return true;
    if (!deflate_piece(g, Z_BLOCK))
        return false;
    uint64_t in = g->z.total_in - g->tried_in, out = g->z.total_out - g->tried_out;
    g->level = trial && out > in - in / 16 ? STORED : FASTEST_LEVEL;
    make_room(g);
    (void)deflateParams(&g->z, g->level, Z_DEFAULT_STRATEGY);
    g->tried_in = g->z.total_in;
    g->tried_out = g->z.total_out;
    g->judge_at = g->tried_in + (trial ? TRUSTED : TRIED);
    return put_out(g);
}

static enum gzip_outcome deflate_all(struct gzip *g) {
    for (;;) {
        ssize_t n = fill(g);
        if (n < 0)
            return GZIP_UNREAD;
        if (!deflate_piece(g, n == 0 ? Z_FINISH : Z_NO_FLUSH) || (n > 0 && !judge(g)))
            return GZIP_UNWRITTEN;
        if (n == 0)
            return GZIP_DONE;
    }
}

enum gzip_outcome gzip_encode(const struct gzip_ends *ends) {
    AUTO_FREE struct gzip *g = gzip_new(ends);
    if (!g || deflateInit2(&g->z, FASTEST_LEVEL, Z_DEFLATED, MAX_WBITS + GZIP_ONLY, MEMORY_LEVEL,
                           Z_DEFAULT_STRATEGY) != Z_OK)
        return GZIP_NO_MEMORY;
    g->level = FASTEST_LEVEL;
    g->judge_at = TRIED;
    enum gzip_outcome rc = deflate_all(g);
    (void)deflateEnd(&g->z);
    return rc;
}

/* --- between descriptors ---------------------------------------------------------------------- */

struct fds {
    int in, out;
};

static ssize_t get_fd(void *arg, void *bytes, size_t cap) {
    const struct fds *f = arg;
    ssize_t n;
    do
        n = read(f->in, bytes, cap);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool put_fd(void *arg, const void *bytes, size_t n) {
    const struct fds *f = arg;
    const char *p = bytes;
    while (n > 0) {
        ssize_t k = write(f->out, p, n);
        if (k < 0 && errno != EINTR)
            return false;
        p += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return true;
}

int gzip_decode_fds(int in, int out) {
    struct fds f = { in, out };
    return (int)gzip_decode(&(struct gzip_ends){ get_fd, put_fd, &f });
}

int gzip_encode_fds(int in, int out) {
    struct fds f = { in, out };
    return (int)gzip_encode(&(struct gzip_ends){ get_fd, put_fd, &f });
}
