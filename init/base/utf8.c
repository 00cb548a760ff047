#include "base/utf8.h"

#include <string.h>

/* The first byte of a letter. RFC 3629 section 4: what may follow it. */
static bool begin(struct utf8 *u, unsigned char c) {
    if (c < 0x80)
        return true;
    if (c < 0xc2 || c > 0xf4)
        return false;
    u->need = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    u->up = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool next(struct utf8 *u, unsigned char c) {
    if (c < u->low || c > u->up)
        return false;
    u->need--;
    u->low = 0x80;
    u->up = 0xbf;
    return true;
}

/* How many of the bytes are ASCII: eight at a time, for that is what texts mostly are. */
static size_t ascii(const char *bytes, size_t n) {
    size_t at = 0;
    for (uint64_t eight; n - at >= sizeof eight; at += sizeof eight) {
        memcpy(&eight, bytes + at, sizeof eight);
        if (eight & UINT64_C(0x8080808080808080))
            break;
    }
    return at;
}

bool utf8_take(struct utf8 *u, const char *bytes, size_t n) {
    for (size_t at = 0; at < n;) {
        size_t plain = u->need ? 0 : ascii(bytes + at, n - at);
        at += plain;
        if (at == n)
            break;
        unsigned char c = (unsigned char)bytes[at++];
        if (!(u->need ? next(u, c) : begin(u, c)))
            return false;
    }
    return true;
}
