/* base64.h — RFC 4648 base 64 with padding. PURE. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>
#include <sys/types.h>

/* Bytes that `n` bytes become, without a NUL. */
static inline size_t base64_len(size_t n) { return (n + 2) / 3 * 4; }

/* Encode into out[base64_len(n)]; not NUL-terminated. */
void base64_encode(const void *bytes, size_t n, char *out);

/* Decode into out[n / 4 * 3 + 3], which may be `text` itself. Both alphabets (RFC 4648 4 and 5) are
 * understood, with padding or without. How many bytes, or -1: not base 64. */
ssize_t base64_decode(const char *text, size_t n, void *out);

#endif
