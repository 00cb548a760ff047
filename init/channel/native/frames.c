#include "channel/native/frames.h"

#include <errno.h>
#include <string.h>

void frame_head(unsigned char out[FRAME_HEAD], enum frame_type type, size_t n) {
    memset(out, 0, FRAME_HEAD);
    out[0] = (unsigned char)type;
    for (int i = 0; i < 4; i++)
        out[4 + i] = (unsigned char)(n >> (24 - 8 * i));
}

static size_t take_head(struct frame_reader *r, const char *in, size_t n) {
    size_t want = FRAME_HEAD - r->have, k = n < want ? n : want;
    memcpy(r->head + r->have, in, k);
    r->have = (uint8_t)(r->have + k);
    if (r->have == FRAME_HEAD)
        r->total = r->left = (uint32_t)r->head[4] << 24 | (uint32_t)r->head[5] << 16 |
                             (uint32_t)r->head[6] << 8 | r->head[7];
    return k;
}

int64_t frame_next(struct frame_reader *r, const char *in, size_t n, uint32_t max,
                   struct frame_piece *out) {
    size_t used = r->have < FRAME_HEAD ? take_head(r, in, n) : 0;
    *out = (struct frame_piece){ .bytes = NULL };
    if (r->have < FRAME_HEAD)
        return (int64_t)used;
    if (r->head[0] >= FRAME_NTYPES || r->head[1] || r->head[2] || r->head[3] || r->total > max)
        return -EPROTO;
    size_t k = n - used < r->left ? n - used : r->left;
    if (k == 0 && r->left > 0)
        return (int64_t)used;
    *out = (struct frame_piece){ .type = (enum frame_type)r->head[0],
                                 .bytes = in + used,
                                 .n = k,
                                 .at = r->total - r->left,
                                 .total = r->total };
    r->left -= (uint32_t)k;
    if (r->left == 0)
        r->have = 0;
    return (int64_t)(used + k);
}
