#include "base/base64.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

enum { IN = 6, OUT = 8 }; /* bytes of a step, which is done in one register */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* 1 in each byte of x that is at least n; all are below 64. */
static uint64_t at_least(uint64_t x, unsigned n) { return (x + EACH(0x80 - n)) >> 7 & EACH(1); }

/* 48 bits become eight digits, the first one uppermost. */
static uint64_t digits(uint64_t x) {
    x = (x << 8 & UINT64_C(0x00ffffff00000000)) | (x & 0xffffff);
    x = (x << 4 & UINT64_C(0x0fff00000fff0000)) | (x & UINT64_C(0x00000fff00000fff));
    x = (x << 2 & UINT64_C(0x3f003f003f003f00)) | (x & UINT64_C(0x003f003f003f003f));
    /* A-Z, a-z, 0-9, + and / lie this far from each other in ASCII. */
    return x + EACH('A') + at_least(x, 26) * ('a' - 'Z' - 1) - at_least(x, 52) * ('z' - '0' + 1) -
           at_least(x, 62) * ('9' - '+' + 1) + at_least(x, 63) * ('/' - '+' - 1);
}

static uint64_t load(const unsigned char *p) {
    return (uint64_t)p[0] << 40 | (uint64_t)p[1] << 32 | (uint64_t)p[2] << 24 |
           (uint64_t)p[3] << 16 | (uint64_t)p[4] << 8 | p[5];
}

void base64_encode(const void *bytes, size_t n, char *out) {
    const unsigned char *p = bytes;
    for (; n >= IN; n -= IN, p += IN, out += OUT) {
        uint64_t eight = htobe64(digits(load(p)));
        memcpy(out, &eight, sizeof eight);
    }
    if (n == 0)
        return;
    unsigned char rest[IN] = { 0 };
    char last[OUT];
    size_t full = (n * 8 + 5) / 6, len = base64_len(n);
    memcpy(rest, p, n);
    uint64_t eight = htobe64(digits(load(rest)));
    memcpy(last, &eight, sizeof eight);
    memset(last + full, '=', sizeof last - full);
    memcpy(out, last, len);
}

/* 64: none. */
static uint32_t value_of(char c) {
    return c >= 'A' && c <= 'Z'   ? (uint32_t)(c - 'A')
           : c >= 'a' && c <= 'z' ? (uint32_t)(c - 'a' + 26)
           : c >= '0' && c <= '9' ? (uint32_t)(c - '0' + 52)
           : c == '+' || c == '-' ? 62
           : c == '/' || c == '_' ? 63
                                  : 64;
}

ssize_t base64_decode(const char *text, size_t n, void *out) {
    unsigned char *p = out;
    uint32_t bits = 0;
    int padding = 0;
    while (n > 0 && padding < 2 && n % 4 == (size_t)(padding ? 3 : 0) && text[n - 1] == '=')
        n--, padding++;
    if (n % 4 == 1)
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = value_of(text[i]);
        if (v > 63)
            return -1;
        bits = bits << 6 | v;
        if (i % 4 != 3)
            continue;
        *p++ = (unsigned char)(bits >> 16);
        *p++ = (unsigned char)(bits >> 8);
        *p++ = (unsigned char)bits;
    }
    if (n % 4 >= 2)
        *p++ = (unsigned char)(n % 4 == 3 ? bits >> 10 : bits >> 4);
    if (n % 4 == 3)
        *p++ = (unsigned char)(bits >> 2);
    return p - (unsigned char *)out;
}
