/* Frames of a client, in splits that the input asks for, some of it not taken at first: the same
 * messages as in one piece, in order, within their limits, and each text UTF-8. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "http/websocket_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_TEXT = 300, MAX_BINARY = 500, OUT = 64 };

#define must(ok) ((ok) ? (void)0 : abort())

struct sum {
    uint64_t hash;
    int64_t end; /* bytes used, or minus the code */
    bool within; /* a message has begun */
    enum websocket_opcode type;
    char text[MAX_TEXT];
    size_t n;
};

static void mix(struct sum *s, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        s->hash = (s->hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
}

static void take_control(struct sum *s, const struct websocket_piece *p) {
    must(p->first && p->last && p->n <= WS_MAX_CONTROL);
    mix(s, &p->type, sizeof p->type);
    if (p->type == WS_CLOSE) {
        must(p->code == WS_NO_CODE ? p->n == 0 : websocket_code_is_valid(p->code));
        must(utf8_is_valid(p->bytes, p->n));
        mix(s, &p->code, sizeof p->code);
    }
    mix(s, p->bytes, p->n);
}

static void take_data(struct sum *s, const struct websocket_piece *p, size_t n, bool last) {
    must(p->type == WS_TEXT || p->type == WS_BINARY);
    must(p->first != s->within || (p->first && s->n == 0));
    if (p->first && !s->within)
        mix(s, &p->type, sizeof p->type);
    must(!s->within || s->type == p->type);
    s->within = true;
    s->type = p->type;
    s->n += n;
    must(s->n <= (p->type == WS_TEXT ? MAX_TEXT : MAX_BINARY));
    if (p->type == WS_TEXT)
        memcpy(s->text + s->n - n, p->bytes, n);
    mix(s, p->bytes, n);
    if (!last)
        return;
    must(p->type != WS_TEXT || utf8_is_valid(s->text, s->n));
    mix(s, "end", 3);
    s->within = false;
    s->n = 0;
}

/* `step`: bytes given at a time; `lazy`: of binary data, every other piece is only taken in part.
 */
static struct sum read_all(const char *in, size_t n, size_t step, bool lazy) {
    struct sum s = { .hash = 1 };
    struct websocket_reader r = { .max_text = MAX_TEXT, .max_binary = MAX_BINARY };
    unsigned turn = 0;
    for (size_t at = 0; at < n;) {
        struct websocket_piece p;
        char out[OUT];
        size_t k = n - at < step ? n - at : step;
        int64_t used = websocket_next(&r, in + at, k, out, step < OUT ? step : OUT, &p);
        if (used < 0) {
            must(used == -WS_PROTOCOL_ERROR || used == -WS_BAD_DATA || used == -WS_TOO_BIG);
            s.end = used;
            return s;
        }
        must(used > 0 && (size_t)used <= k);
        size_t left = 0;
        if (p.there && p.type >= WS_CLOSE) {
            take_control(&s, &p);
        } else if (p.there) {
            left = lazy && p.type == WS_BINARY && p.n > 0 && turn++ % 2 == 0 ? 1 + p.n / 2 : 0;
            left = left > p.n ? p.n : left;
            if (p.n == 0 || left < p.n)
                take_data(&s, &p, p.n - left, p.last && left == 0);
            websocket_untake(&r, left);
        }
        at += (size_t)used - left;
        s.end = (int64_t)at;
    }
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    const char *in = (const char *)data + 1;
    struct sum whole = read_all(in, size - 1, size, false);
    struct sum split = read_all(in, size - 1, 1U + data[0] % 17U, false);
    struct sum lazy = read_all(in, size - 1, 1U + data[0] % 17U, true);
    must(whole.end == split.end && whole.end == lazy.end);
    if (whole.end >= 0)
        must(whole.hash == split.hash && whole.hash == lazy.hash);
    return 0;
}
