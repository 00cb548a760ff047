#include "base/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char *put_four(uint32_t v, char *out) {
    out[0] = digits[v >> 18];
    out[1] = digits[v >> 12 & 63];
    out[2] = digits[v >> 6 & 63];
    out[3] = digits[v & 63];
    return out + 4;
}

void base64_encode(const void *bytes, size_t n, char *out) {
    const unsigned char *p = bytes;
    for (; n >= 3; n -= 3, p += 3)
        out = put_four((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2], out);
    if (n == 0)
        return;
    out = put_four((uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0), out);
    out[-1] = '=';
    if (n == 1)
        out[-2] = '=';
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
