/* ring.h — the output of a job: bytes with offsets, of two streams, in the order of reading. PURE
 * but for its memory, which is taken as needed, is not copied into forks, and is given back.
 */
#ifndef CHANNEL_JOBS_RING_H
#define CHANNEL_JOBS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ring_stream { RING_STDOUT, RING_STDERR };

struct ring_run { /* bytes from `start` up to the next run belong to one stream */
    uint64_t start;
    enum ring_stream stream;
};

struct ring {
    char *buf;             /* mmap'd, MADV_DONTFORK; NULL while empty */
    size_t cap, max;       /* a power of two each; it grows by doubling up to max */
    uint64_t from, to;     /* kept: [from, to) */
    struct ring_run *runs; /* ring of nruns of them, oldest first; bounded by MAX_RING_RUNS */
    size_t runs_cap, runs_at, nruns;
};

void ring_init(struct ring *r, size_t max,
               uint64_t start); /* max is rounded up to a power of two */
void ring_free(struct ring *r);

/* Contiguous room to read new bytes into: its size, *at where. Bytes before `hold` may be
 * overwritten, those at and after it not (UINT64_MAX: all may). 0: full, or no memory: wait. */
size_t ring_room(struct ring *r, uint64_t hold, char **at);
/* `n` bytes of that room have been filled. The oldest are gone where they had to make room. */
void ring_filled(struct ring *r, enum ring_stream stream, size_t n);

/* Contiguous bytes of one stream from `at` on (from <= at): how many, 0 at the end. */
size_t ring_peek(const struct ring *r, uint64_t at, enum ring_stream *stream, const char **bytes);

/* Keep the newest `keep` bytes at most, in no more memory than they need. */
void ring_trim(struct ring *r, size_t keep);

static inline size_t ring_len(const struct ring *r) { return (size_t)(r->to - r->from); }

#endif
