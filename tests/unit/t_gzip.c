#include "channel/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/tap.h"

/* clang-format off */
/* Made by another implementation (Python's zlib): with all that a head may have, stored, empty. */
static const char full[] =
    "\x1f\x8b\x08\x1e\x80\xb3\x26\x69\x02\xff\x04\x00\x78\x74\x72\x61\x6e\x61\x6d\x65\x2e\x74\x78\x74"
    "\x00\x63\x6f\x6d\x6d\x65\x6e\x74\x00\xcb\x81\xcb\x48\xcd\xc9\xc9\xd7\x51\xc8\x40\xa2\xb8\x00\xe7"
    "\x42\x6e\x52\x14\x00\x00\x00";
static const char stored[] =
    "\x1f\x8b\x08\x00\x80\xb3\x26\x69\x02\xff\x01\x06\x00\xf9\xff\x73\x74\x6f\x72\x65\x64\x0b\xf9\x43"
    "\x56\x06\x00\x00\x00";
static const char empty[] =
    "\x1f\x8b\x08\x00\x80\xb3\x26\x69\x02\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
/* clang-format on */
enum { FULL = sizeof full - 1, STORED = sizeof stored - 1, EMPTY = sizeof empty - 1 };

/* Two ends in memory. */
struct memory {
    const char *in;
    size_t n, at, step; /* at most `step` bytes at once; 0: all there are */
    size_t fails_at;    /* get() fails when that many have been read; 0: never */
    char *out;
    size_t out_len, out_cap;
    size_t room; /* put() fails beyond; 0: never */
};

static ssize_t get(void *arg, void *bytes, size_t cap) {
    struct memory *m = arg;
    size_t k = m->n - m->at < cap ? m->n - m->at : cap;
    if (m->fails_at > 0 && m->at >= m->fails_at)
        return -1;
    k = m->step > 0 && k > m->step ? m->step : k;
    memcpy(bytes, m->in + m->at, k);
    m->at += k;
    return (ssize_t)k;
}

static bool put(void *arg, const void *bytes, size_t n) {
    struct memory *m = arg;
    if (m->room > 0 && m->out_len + n > m->room)
        return false;
    if (m->out_len + n > m->out_cap) {
        m->out_cap = 2 * (m->out_len + n);
        m->out = realloc(m->out, m->out_cap);
    }
    memcpy(m->out + m->out_len, bytes, n);
    m->out_len += n;
    return true;
}

static enum gzip_outcome run(enum gzip_outcome (*code)(const struct gzip_ends *),
                             struct memory *m) {
    free(m->out);
    m->out = NULL;
    m->at = m->out_len = m->out_cap = 0;
    return code(&(struct gzip_ends){ get, put, m });
}

static bool is(const struct memory *m, const char *bytes, size_t n) {
    return m->out_len == n && (n == 0 || memcmp(m->out, bytes, n) == 0);
}

/* --- other implementations' ------------------------------------------------------------------- */

static void test_members(void) {
    static const char words[] = "hello, hello, hello\nstored";
    char all[FULL + EMPTY + STORED];
    memcpy(all, full, FULL);
    memcpy(all + FULL, empty, EMPTY);
    memcpy(all + FULL + EMPTY, stored, STORED);
    struct memory m = { .in = all, .n = sizeof all };
    OK(run(gzip_decode, &m) == GZIP_DONE && is(&m, words, sizeof words - 1), "three members");
    m.step = 1;
    OK(run(gzip_decode, &m) == GZIP_DONE && is(&m, words, sizeof words - 1), "byte by byte");
    m = (struct memory){ .in = empty, .n = EMPTY, .out = m.out };
    OK(run(gzip_decode, &m) == GZIP_DONE && is(&m, "", 0), "an empty member");
    free(m.out);
}

static void test_cut(void) {
    char all[FULL + STORED];
    memcpy(all, full, FULL);
    memcpy(all + FULL, stored, STORED);
    struct memory m = { .in = all };
    size_t wrong = 0;
    for (m.n = 0; m.n <= sizeof all; m.n++) {
        bool whole = m.n == FULL || m.n == sizeof all;
        wrong += run(gzip_decode, &m) != (whole ? GZIP_DONE : GZIP_CUT);
    }
    OK(wrong == 0, "cut at every byte (%zu)", sizeof all);
    free(m.out);
}

static void test_broken(void) {
    char bad[STORED + 8];
    size_t wrong = 0, harmless = 0;
    struct memory m = { .in = bad, .n = STORED };
    for (size_t i = 0; i < 8 * STORED; i++) {
        memcpy(bad, stored, STORED);
        bad[i / 8] = (char)(bad[i / 8] ^ 1 << i % 8);
        enum gzip_outcome rc = run(gzip_decode, &m);
        harmless += rc == GZIP_DONE;
        wrong += rc == GZIP_DONE ? !is(&m, "stored", 6) : rc != GZIP_BROKEN && rc != GZIP_CUT;
    }
    OK(wrong == 0, "with every bit turned it is refused, or means the same");
    /* Time, flags and system of the head, that it is text, and what fills a stored block's byte. */
    OK(harmless == 8 * 6 + 1 + 5, "the same in %zu cases", harmless);
    memcpy(bad, stored, STORED);
    for (size_t n = 1; n < 8; n++) {
        m.n = STORED + n;
        memset(bad + STORED, 0, n);
        wrong += run(gzip_decode, &m) != (n < 2 ? GZIP_CUT : GZIP_BROKEN);
        memcpy(bad + STORED, "rubbish", n);
        wrong += run(gzip_decode, &m) != (n < 2 ? GZIP_CUT : GZIP_BROKEN);
    }
    OK(wrong == 0, "what follows has to be a member");
    m = (struct memory){ .in = "\x78\x9c\x03\x00\x00\x00\x00\x01", .n = 8, .out = m.out };
    OK(run(gzip_decode, &m) == GZIP_BROKEN, "another format of zlib's");
    free(m.out);
}

/* --- there and back --------------------------------------------------------------------------- */

/* Bytes that compress a little, a lot, or not at all. */
static char *content(size_t n, unsigned kind) {
    char *bytes = malloc(n + 1);
    uint32_t x = 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        bytes[i] = (char)(kind == 0 ? 0 : kind == 1 ? 'a' + (x >> 29) : x >> 24);
    }
    return bytes;
}

static void test_there_and_back(void) {
    static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 3000001 };
    for (size_t i = 0; i < 3 * sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i / 3];
        char *bytes = content(n, (unsigned)(i % 3));
        struct memory there = { .in = bytes, .n = n, .step = n > 1000 ? 1000 : 1 }, back = { 0 };
        bool good = run(gzip_encode, &there) == GZIP_DONE;
        back.in = there.out;
        back.n = there.out_len;
        good = good && run(gzip_decode, &back) == GZIP_DONE && is(&back, bytes, n);
        OK(good && there.out_len <= n + n / 1000 + 64, "%zu bytes of kind %zu in %zu", n, i % 3,
           there.out_len);
        free(bytes);
        free(there.out);
        free(back.out);
    }
}

/* What does not become shorter is stored, and what follows it is not. */
static void test_mixture(void) {
    enum { STRETCH = 5000000, STRETCHES = 5 };
    char *bytes = malloc(STRETCHES * STRETCH);
    for (unsigned i = 0; i < STRETCHES; i++) {
        char *stretch = content(STRETCH, i % 2 ? 2 : 1);
        memcpy(bytes + i * STRETCH, stretch, STRETCH);
        free(stretch);
    }
    struct memory there = { .in = bytes, .n = STRETCHES * STRETCH, .step = 50021 }, back = { 0 };
    bool good = run(gzip_encode, &there) == GZIP_DONE;
    back.in = there.out;
    back.n = there.out_len;
    OK(good && run(gzip_decode, &back) == GZIP_DONE && is(&back, bytes, STRETCHES * STRETCH),
       "what compresses and what does not, in turn");
    size_t noise = 2 * STRETCH, text = 3 * STRETCH;
    OK(there.out_len > noise && there.out_len < noise + text * 2 / 3, "is %zu of %d bytes",
       there.out_len, STRETCHES * STRETCH);
    free(bytes);
    free(there.out);
    free(back.out);
}

static void test_ends_fail(void) {
    char *bytes = content(200000, 2);
    struct memory m = { .in = bytes, .n = 200000, .fails_at = 100000 };
    OK(run(gzip_encode, &m) == GZIP_UNREAD, "what cannot be read cannot be encoded");
    m.fails_at = 0;
    m.room = 100000;
    OK(run(gzip_encode, &m) == GZIP_UNWRITTEN, "nor can it when that cannot be written");
    m.room = 0;
    struct memory back = { .n = 0 };
    (void)run(gzip_encode, &m);
    back = (struct memory){ .in = m.out, .n = m.out_len, .fails_at = 100000 };
    OK(run(gzip_decode, &back) == GZIP_UNREAD, "the same for decoding");
    back.fails_at = 0;
    back.room = 100000;
    OK(run(gzip_decode, &back) == GZIP_UNWRITTEN, "there, too");
    free(back.out);
    free(m.out);
    free(bytes);
}

static void test_fds(void) {
    int in = memfd_create("in", MFD_CLOEXEC), packed = memfd_create("packed", MFD_CLOEXEC);
    int out = memfd_create("out", MFD_CLOEXEC), none = open("/dev/full", O_WRONLY | O_CLOEXEC);
    char *bytes = content(1000000, 1), *again = malloc(1000000);
    bool good = write(in, bytes, 1000000) == 1000000 && lseek(in, 0, SEEK_SET) == 0 &&
                gzip_encode_fds(in, packed) == GZIP_DONE && lseek(packed, 0, SEEK_SET) == 0 &&
                gzip_decode_fds(packed, out) == GZIP_DONE;
    OK(good && pread(out, again, 1000000, 0) == 1000000 && memcmp(again, bytes, 1000000) == 0,
       "between descriptors");
    OK(lseek(in, 0, SEEK_SET) == 0 && gzip_encode_fds(in, none) == GZIP_UNWRITTEN,
       "to one that is full");
    OK(gzip_encode_fds(-1, packed) == GZIP_UNREAD, "from none");
    free(bytes);
    free(again);
    (void)close(in);
    (void)close(packed);
    (void)close(out);
    (void)close(none);
}

int main(void) {
    test_members();
    test_cut();
    test_broken();
    test_there_and_back();
    test_mixture();
    test_ends_fail();
    test_fds();
    return tap_end();
}
