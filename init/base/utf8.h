/* utf8.h — UTF-8 (RFC 3629) that comes in pieces. PURE. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Within which letter the bytes so far end. The zero value begins. */
struct utf8 {
    uint8_t need;    /* bytes of it that are to come */
    uint8_t low, up; /* of which the next is one from low to up */
};

/* Take more bytes. False: that is no UTF-8, whatever may follow. */
bool utf8_take(struct utf8 *u, const char *bytes, size_t n);
/* Do the bytes so far end with a letter? */
static inline bool utf8_is_whole(const struct utf8 *u) { return u->need == 0; }
#endif
