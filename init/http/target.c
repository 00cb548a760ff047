/* PURE: what is in the target of a request. */
#include "http/head.h"
#include "http/private.h"

int http_decode(struct slice in, char *out, size_t cap) {
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++, n++) {
        int c = (unsigned char)in.s[i];
        if (c == '%') {
            int high = in.n - i > 2 ? http_hex(in.s[i + 1]) : -1;
            int low = high >= 0 ? http_hex(in.s[i + 2]) : -1;
            if (low < 0)
                return -1;
            c = high << 4 | low;
            i += 2;
        }
        if (c == '\0' || n + 1 >= cap)
            return -1;
        out[n] = (char)c;
    }
    if (cap == 0)
        return -1;
    out[n] = '\0';
    return (int)n;
}

bool http_next_param(struct slice *rest, struct slice *key, struct slice *value) {
    while (rest->n > 0) {
        (void)http_take_until(rest, '&', value);
        (void)http_take_until(value, '=', key);
        if (key->n > 0 || value->n > 0)
            return true; /* and not "&&" */
    }
    return false;
}
