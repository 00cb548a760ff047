#include "base/base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const void *bytes, size_t n, char *out) {
    const unsigned char *p = bytes;
    for (; n > 0; p += 3) {
        size_t k = n < 3 ? n : 3;
        uint32_t v = (uint32_t)p[0] << 16 | (k > 1 ? (uint32_t)p[1] << 8 : 0) | (k > 2 ? p[2] : 0);
        *out++ = digits[v >> 18];
        *out++ = digits[v >> 12 & 63];
        *out++ = k > 1 ? digits[v >> 6 & 63] : '=';
        *out++ = k > 2 ? digits[v & 63] : '=';
        n -= k;
    }
}
