/* Any bytes as gzip, in pieces that the first one asks for. Promises: the pieces change nothing;
 * what was taken becomes the same bytes again when it is encoded and decoded; nothing is read
 * twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 1 << 22 }; /* bytes of output; put() refuses more */

static void must(bool ok) {
    if (!ok)
        abort();
}

struct memory {
    const uint8_t *in;
    size_t n, at, step;
    uint8_t *out;
    size_t out_len, out_cap;
};

static ssize_t get(void *arg, void *bytes, size_t cap) {
    struct memory *m = arg;
    size_t k = m->n - m->at < m->step ? m->n - m->at : m->step;
    k = k < cap ? k : cap;
    memcpy(bytes, m->in + m->at, k);
    m->at += k;
    return (ssize_t)k;
}

static bool put(void *arg, const void *bytes, size_t n) {
    struct memory *m = arg;
    must(n > 0);
    if (m->out_len + n > MOST)
        return false;
    if (m->out_len + n > m->out_cap) {
        m->out_cap = 2 * (m->out_len + n);
        m->out = realloc(m->out, m->out_cap);
        must(m->out != NULL);
    }
    memcpy(m->out + m->out_len, bytes, n);
    m->out_len += n;
    return true;
}

static struct memory memory(const uint8_t *in, size_t n, size_t step) {
    return (struct memory){ .in = in ? in : (const uint8_t *)"", .n = n, .step = step };
}

static enum gzip_outcome decode(struct memory *m) {
    return gzip_decode(&(struct gzip_ends){ get, put, m });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    struct memory whole = memory(data + 1, size - 1, size);
    struct memory split = memory(data + 1, size - 1, 1U + data[0]);
    enum gzip_outcome a = decode(&whole), b = decode(&split);
    must(a == b);
    must(a != GZIP_UNREAD && a != GZIP_NO_MEMORY);
    if (a == GZIP_DONE) {
        must(whole.out_len == split.out_len);
        must(whole.out_len == 0 || memcmp(whole.out, split.out, whole.out_len) == 0);
        struct memory packed = memory(whole.out, whole.out_len, SIZE_MAX);
        must(gzip_encode(&(struct gzip_ends){ get, put, &packed }) == GZIP_DONE);
        struct memory again = memory(packed.out, packed.out_len, SIZE_MAX);
        must(decode(&again) == GZIP_DONE && again.out_len == whole.out_len);
        must(again.out_len == 0 || memcmp(again.out, whole.out, again.out_len) == 0);
        free(packed.out);
        free(again.out);
    }
    free(whole.out);
    free(split.out);
    return 0;
}
