#include "channel/jobs/ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "tests/unit/tap.h"

/* Byte `at` of all output: known from its offset alone. */
static char byte_at(uint64_t at) { return (char)(at * 131 + (at >> 8) * 31 + 7); }

/* Which stream each offset was written to, for a model to compare with. */
enum { MODEL = 1 << 22 };
static unsigned char stream_at[MODEL];

static size_t put(struct ring *r, enum ring_stream s, size_t want, uint64_t hold) {
    size_t done = 0;
    while (done < want) {
        char *at;
        size_t room = ring_room(r, hold, &at);
        if (room == 0)
            break;
        size_t n = room < want - done ? room : want - done;
        for (size_t i = 0; i < n; i++) {
            at[i] = byte_at(r->to + i);
            stream_at[(r->to + i) % MODEL] = (unsigned char)s;
        }
        ring_filled(r, s, n);
        done += n;
    }
    return done;
}

/* All that is kept, in order, each chunk as long as it can be: is it what was put? */
static bool intact(const struct ring *r) {
    uint64_t at = r->from;
    while (at < r->to) {
        enum ring_stream s = RING_STDOUT;
        const char *p = NULL;
        size_t n = ring_peek(r, at, &s, &p);
        if (n == 0 || at + n > r->to)
            return false;
        for (size_t i = 0; i < n; i++)
            if (p[i] != byte_at(at + i) || stream_at[(at + i) % MODEL] != (unsigned char)s)
                return false;
        at += n;
    }
    enum ring_stream s;
    const char *p;
    return ring_peek(r, r->to, &s, &p) == 0;
}

static void grows_and_wraps(void) {
    struct ring r;
    ring_init(&r, 16384, 0);
    OK(r.max == 16384 && r.cap == 0 && !r.buf, "no memory while it is empty");
    OK(put(&r, RING_STDOUT, 10, UINT64_MAX) == 10 && r.cap == 4096, "the first 4 KiB");
    OK(put(&r, RING_STDOUT, 4086, UINT64_MAX) == 4086 && r.cap == 4096, "filled to the brim");
    OK(put(&r, RING_STDERR, 1, UINT64_MAX) == 1 && r.cap == 8192 && r.from == 0, "then doubled");
    OK(put(&r, RING_STDOUT, 12287, UINT64_MAX) == 12287 && r.cap == 16384 && r.from == 0 &&
           r.to == 16384 && intact(&r),
       "full, with nothing lost");
    OK(put(&r, RING_STDOUT, 1, UINT64_MAX) == 1 && r.cap == 16384 && r.from == 1 && intact(&r),
       "one byte more costs the oldest one");
    OK(put(&r, RING_STDERR, 100000, UINT64_MAX) == 100000 && r.from == r.to - 16384 && intact(&r),
       "and so on");
    OK(r.nruns == 1, "runs that are gone are forgotten");
    ring_free(&r);
    OK(!r.buf && ring_len(&r) == 0 && r.to == 116385, "freed; offsets go on");
    ring_init(&r, 5000, 77);
    OK(r.max == 8192 && r.from == 77 && r.to == 77, "rounded up; starts anywhere");
    ring_init(&r, 0, 0);
    OK(r.max == 4096, "never below 4096");
}

static void holds(void) {
    struct ring r;
    char *at;
    ring_init(&r, 4096, 0);
    (void)put(&r, RING_STDOUT, 4096, UINT64_MAX);
    OK(ring_room(&r, 0, &at) == 0, "full, and all of it is held");
    OK(ring_room(&r, 1, &at) == 1 && at == r.buf, "one byte has been read: room for one");
    OK(put(&r, RING_STDERR, 100, 10) == 10 && r.from == 10 && intact(&r), "ten, room for ten");
    OK(ring_room(&r, 10, &at) == 0, "then no more");
    OK(ring_room(&r, r.to, &at) == 4086 && at == r.buf + 10, "all read: up to the end of memory");
    OK(ring_room(&r, r.to + 5, &at) == 4086, "a reader in the future holds nothing");
    ring_free(&r);
    ring_init(&r, 8192, 0);
    (void)put(&r, RING_STDOUT, 4096, UINT64_MAX);
    OK(put(&r, RING_STDOUT, 9999, 0) == 4096 && r.cap == 8192 && r.from == 0 && intact(&r),
       "it grows before it is full");
    ring_free(&r);
}

static void bounds_runs(void) {
    struct ring r;
    char *at;
    ring_init(&r, 1 << 20, 0);
    for (int i = 0; i < MAX_RING_RUNS; i++)
        (void)put(&r, i & 1 ? RING_STDERR : RING_STDOUT, 3, 0);
    OK(r.nruns == MAX_RING_RUNS && r.from == 0 && intact(&r), "%d changes are kept", MAX_RING_RUNS);
    OK(ring_room(&r, 0, &at) == 0 && ring_room(&r, 2, &at) == 0, "no more while they are held");
    OK(ring_room(&r, 3, &at) > 0, "until the oldest has been read");
    (void)put(&r, RING_STDOUT, 3, UINT64_MAX);
    OK(r.nruns == MAX_RING_RUNS && r.from == 3 && intact(&r), "one more costs the oldest");
    (void)put(&r, RING_STDOUT, 3, UINT64_MAX);
    OK(r.nruns == MAX_RING_RUNS && r.from == 3, "no change costs none");
    ring_trim(&r, 30);
    OK(ring_len(&r) == 30 && r.nruns < 12 && r.runs_cap <= 16 && r.cap == 4096 && intact(&r),
       "trimmed: the table shrinks too");
    ring_free(&r);
}

static void trims(void) {
    struct ring r;
    ring_init(&r, 1 << 20, 5);
    (void)put(&r, RING_STDOUT, 300000, UINT64_MAX);
    (void)put(&r, RING_STDERR, 300000, UINT64_MAX);
    OK(r.cap == 1 << 20, "600000 bytes take a MiB");
    ring_trim(&r, 1 << 20);
    OK(ring_len(&r) == 600000 && r.cap == 1 << 20 && intact(&r), "nothing to trim");
    ring_trim(&r, 500000);
    OK(ring_len(&r) == 500000 && r.cap == 1 << 19 && r.nruns == 2 && intact(&r), "half a MiB");
    ring_trim(&r, 4096);
    OK(ring_len(&r) == 4096 && r.cap == 4096 && r.nruns == 1 && intact(&r), "a page");
    ring_trim(&r, 0);
    OK(!r.buf && !r.runs && r.from == 600005 && r.to == 600005, "none");
    OK(put(&r, RING_STDERR, 5000, UINT64_MAX) == 5000 && intact(&r), "and it goes on");
    ring_free(&r);
}

static void is_not_forked(void) {
    struct ring r;
    ring_init(&r, 4096, 0);
    (void)put(&r, RING_STDOUT, 1, UINT64_MAX);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned char in;
        _exit(mincore(r.buf, 4096, &in) == 0); /* ENOMEM: nothing is mapped there */
    }
    int status = -1;
    (void)waitpid(pid, &status, 0);
    OK(status == 0, "a fork has none of it");
    ring_free(&r);
}

/* Random work against the model, with holds, trims, and offsets that start anywhere. */
static void random_work(unsigned seed) {
    struct ring r;
    srandom(seed);
    ring_init(&r, (size_t)1 << (12 + random() % 5), (uint64_t)random() % 100000);
    uint64_t held = r.to;
    bool good = true;
    for (int i = 0; i < 3000 && good; i++) {
        bool lossless = random() % 3 == 0;
        size_t want = (size_t)random() % (random() % 8 ? 50 : 9000);
        uint64_t before = r.to;
        if (held < r.from)
            held = r.from;
        size_t n =
            put(&r, random() % 2 ? RING_STDOUT : RING_STDERR, want, lossless ? held : UINT64_MAX);
        good = r.to == before + n && (lossless || n == want) && (!lossless || r.from <= held) &&
               r.cap <= r.max && ring_len(&r) <= r.cap && r.nruns <= MAX_RING_RUNS;
        if (random() % 4 == 0)
            held = r.from + (uint64_t)random() % (ring_len(&r) + 1);
        if (random() % 200 == 0)
            ring_trim(&r, (size_t)random() % 20000);
        if (good && random() % 8 == 0)
            good = intact(&r);
    }
    OK(good && intact(&r), "random work, seed %u", seed);
    ring_free(&r);
}

int main(void) {
    grows_and_wraps();
    holds();
    bounds_runs();
    trims();
    is_not_forked();
    for (unsigned seed = 1; seed <= 10; seed++)
        random_work(seed);
    return tap_end();
}
