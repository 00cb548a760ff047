#include "channel/jobs/ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bug.h"
#include "base/limits.h"

enum {
    RING_FIRST = 4096, /* bytes of the first memory of a ring */
    RUNS_FIRST = 8,
};
_Static_assert((MAX_RING_RUNS & (MAX_RING_RUNS - 1)) == 0, "runs are found by masking");

/* --- memory -------------------------------------------------------------------------------- */

/* A fork is made for every job: it should neither copy page tables of output nor hold it. */
static char *map(size_t n) {
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)madvise(p, n, MADV_DONTFORK);
    return p;
}

static void unmap(struct ring *r) {
    if (r->buf)
        (void)munmap(r->buf, r->cap);
    r->buf = NULL;
    r->cap = 0;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Move what is kept, which fits, into memory of `cap` bytes. */
static bool resize(struct ring *r, size_t cap) {
    char *buf = map(cap);
    if (!buf)
        return false;
    for (uint64_t at = r->from; at < r->to;) {
        size_t old = at & (r->cap - 1), new = at &(cap - 1);
        size_t n = least(least(r->cap - old, cap - new), (size_t)(r->to - at));
        memcpy(buf + new, r->buf + old, n);
        at += n;
    }
    unmap(r);
    r->buf = buf;
    r->cap = cap;
    return true;
}

static size_t fitting(size_t n, size_t first) {
    size_t cap = first;
    while (cap < n)
        cap *= 2;
    return cap;
}

void ring_init(struct ring *r, size_t max, uint64_t start) {
    *r = (struct ring){ .max = fitting(max, RING_FIRST), .from = start, .to = start };
}

void ring_free(struct ring *r) {
    unmap(r);
    free(r->runs);
    r->runs = NULL;
    r->runs_cap = r->runs_at = r->nruns = 0;
    r->from = r->to;
}

/* --- runs ---------------------------------------------------------------------------------- */

static struct ring_run *run(const struct ring *r, size_t i) {
    return &r->runs[(r->runs_at + i) & (r->runs_cap - 1)];
}

static bool runs_resize(struct ring *r, size_t cap) {
    struct ring_run *runs = calloc(cap, sizeof *runs);
    if (!runs)
        return false;
    for (size_t i = 0; i < r->nruns; i++)
        runs[i] = *run(r, i);
    free(r->runs);
    r->runs = runs;
    r->runs_cap = cap;
    r->runs_at = 0;
    return true;
}

/* Room for one run more? Else the oldest has to go, which `hold` may forbid. */
static bool runs_ready(struct ring *r, uint64_t hold) {
    if (r->nruns < r->runs_cap)
        return true;
    size_t cap = r->runs_cap ? r->runs_cap * 2 : RUNS_FIRST;
    if (cap <= MAX_RING_RUNS && runs_resize(r, cap))
        return true;
    return r->nruns > 1 && run(r, 1)->start <= hold;
}

static void drop_run(struct ring *r) {
    r->runs_at = (r->runs_at + 1) & (r->runs_cap - 1);
    r->nruns--;
}

static void drop_before(struct ring *r, uint64_t from) {
    if (r->from < from)
        r->from = from;
    while (r->nruns > 1 && run(r, 1)->start <= r->from)
        drop_run(r);
}

/* --- bytes --------------------------------------------------------------------------------- */

size_t ring_room(struct ring *r, uint64_t hold, char **at) {
    if (!runs_ready(r, hold) || (!r->buf && !resize(r, RING_FIRST)))
        return 0;
    bool may_grow = r->cap < r->max;
    if (ring_len(r) == r->cap && may_grow)
        may_grow = resize(r, r->cap * 2); /* without memory for that, older bytes make room */
    if (may_grow || hold < r->from)
        hold = r->from;
    uint64_t held = hold > r->to ? r->to : hold;
    size_t pos = r->to & (r->cap - 1);
    *at = r->buf + pos;
    return least(r->cap - (size_t)(r->to - held), r->cap - pos);
}

void ring_filled(struct ring *r, enum ring_stream stream, size_t n) {
    if (n == 0 || BUG_ON(n > r->cap || r->runs_cap == 0))
        return;
    if (r->nruns == 0 || run(r, r->nruns - 1)->stream != stream) {
        if (r->nruns == r->runs_cap)
            drop_before(r, run(r, 1)->start);
        *run(r, r->nruns++) = (struct ring_run){ .start = r->to, .stream = stream };
    }
    r->to += n;
    drop_before(r, r->to > r->cap ? r->to - r->cap : 0);
}

/* The run that `at` is in: the last one that does not start behind it. */
static size_t run_of(const struct ring *r, uint64_t at) {
    size_t low = 0, high = r->nruns;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (run(r, middle)->start <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t ring_peek(const struct ring *r, uint64_t at, enum ring_stream *stream, const char **bytes) {
    if (at >= r->to || BUG_ON(at < r->from))
        return 0;
    size_t i = run_of(r, at);
    uint64_t end = i + 1 < r->nruns ? run(r, i + 1)->start : r->to;
    size_t pos = at & (r->cap - 1);
    *stream = run(r, i)->stream;
    *bytes = r->buf + pos;
    return least((size_t)(end - at), r->cap - pos);
}

void ring_trim(struct ring *r, size_t keep) {
    if (ring_len(r) > keep)
        drop_before(r, r->to - keep);
    if (ring_len(r) == 0) {
        ring_free(r);
        return;
    }
    size_t cap = fitting(ring_len(r), RING_FIRST);
    if (cap < r->cap)
        (void)resize(r, cap);
    size_t runs = fitting(r->nruns, RUNS_FIRST);
    if (runs < r->runs_cap)
        (void)runs_resize(r, runs);
}
