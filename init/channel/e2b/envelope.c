#include "channel/e2b/envelope.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void envelope_head(unsigned char out[ENVELOPE_HEAD], unsigned flags, size_t n) {
    out[0] = (unsigned char)flags;
    for (int i = 0; i < 4; i++)
        out[1 + i] = (unsigned char)(n >> (24 - 8 * i));
}

static size_t take_head(struct envelope *e, const char *in, size_t n) {
    size_t k = ENVELOPE_HEAD - e->have < n ? ENVELOPE_HEAD - e->have : n;
    memcpy(e->head + e->have, in, k);
    e->have += (unsigned)k;
    e->flags = e->head[0];
    e->len =
        (size_t)e->head[1] << 24 | (size_t)e->head[2] << 16 | (size_t)e->head[3] << 8 | e->head[4];
    return k;
}

static bool grow(struct envelope *e, size_t n) {
    size_t need = e->got + n + ENVELOPE_ROOM, all = e->len + ENVELOPE_ROOM;
    if (need <= e->cap)
        return true;
    size_t cap = 2 * e->cap > need ? 2 * e->cap : need;
    cap = cap < all ? cap : all;
    char *more = realloc(e->payload, cap);
    if (!more)
        return false;
    e->payload = more;
    e->cap = cap;
    return true;
}

int64_t envelope_take(struct envelope *e, const char *in, size_t n, size_t max) {
    size_t used = e->have < ENVELOPE_HEAD ? take_head(e, in, n) : 0;
    if (e->have < ENVELOPE_HEAD)
        return (int64_t)used;
    if (e->len > max)
        return -EMSGSIZE;
    size_t k = e->len - e->got < n - used ? e->len - e->got : n - used;
    if (!grow(e, k))
        return -ENOMEM;
    if (k > 0)
        memcpy(e->payload + e->got, in + used, k);
    e->got += k;
    e->whole = e->got == e->len;
    if (e->whole)
        memset(e->payload + e->len, 0, ENVELOPE_ROOM);
    return (int64_t)(used + k);
}

void envelope_next(struct envelope *e) {
    free(e->payload);
    *e = (struct envelope){ 0 };
}
