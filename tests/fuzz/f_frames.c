/* A stream of frames, in splits that the input asks for: the same frames as in one piece, and every
 * piece inside the input. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "channel/native/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_PAYLOAD = 300 };

struct sum {
    uint64_t hash;
    int64_t end; /* bytes looked at, or the error */
};

static void mix(struct sum *s, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        s->hash = (s->hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
}

static struct sum read_all(const char *in, size_t n, size_t step) {
    struct sum s = { .hash = 1 };
    struct frame_reader r = { .have = 0 };
    for (size_t at = 0; at < n;) {
        struct frame_piece p;
        size_t k = n - at < step ? n - at : step;
        int64_t used = frame_next(&r, in + at, k, MAX_PAYLOAD, &p);
        if (used < 0) {
            s.end = used;
            return s;
        }
        if (used == 0 || (size_t)used > k)
            abort();
        if (p.bytes && (p.bytes < in + at || p.bytes + p.n > in + at + k || p.at + p.n > p.total))
            abort();
        if (p.bytes && p.at == 0)
            mix(&s, &p.type, sizeof p.type);
        if (p.bytes)
            mix(&s, p.bytes, p.n);
        at += (size_t)used;
        s.end = (int64_t)at;
    }
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    const char *in = (const char *)data + 1;
    struct sum whole = read_all(in, size - 1, size);
    struct sum split = read_all(in, size - 1, 1U + data[0] % 17U);
    if (whole.hash != split.hash || whole.end != split.end)
        abort();
    return 0;
}
