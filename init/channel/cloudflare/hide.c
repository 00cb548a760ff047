#include "channel/cloudflare/hide.h"

#include <string.h>

/* How many of the last bytes of s[n], fewer than all of the text, it begins with. */
static size_t begun(const struct hide *h, const char *s, size_t n) {
    size_t most = strlen(h->text) - 1;
    for (size_t k = n < most ? n : most; k > 0; k--)
        if (memcmp(s + n - k, h->text, k) == 0)
            return k;
    return 0;
}

/* What is taken out of s[n] is told, but for what may go on: that many bytes, its last. */
static size_t pass(struct hide *h, const char *s, size_t n) {
    size_t len = strlen(h->text);
    for (const char *found; (found = memmem(s, n, h->text, len));) {
        size_t before = (size_t)(found - s);
        if (before > 0)
            h->put(h->arg, s, before);
        s += before + len;
        n -= before + len;
    }
    size_t k = begun(h, s, n);
    if (n > k)
        h->put(h->arg, s, n - k);
    return k;
}

/* What is held goes on with the first bytes: as many as show what becomes of it. */
static size_t join(struct hide *h, const char *bytes, size_t n) {
    char both[3 * HIDE_TEXT];
    size_t more = n < HIDE_TEXT ? n : HIDE_TEXT, had = h->n;
    memcpy(both, h->held, had);
    memcpy(both + had, bytes, more);
    size_t k = pass(h, both, had + more);
    memcpy(h->held, both + had + more - k, k);
    h->n = k;
    return more;
}

void hide_take(struct hide *h, const char *bytes, size_t n) {
    if (!*h->text) {
        h->put(h->arg, bytes, n);
        return;
    }
    size_t used = 0;
    while (h->n > 0 && used < n)
        used += join(h, bytes + used, n - used);
    if (used == n)
        return;
    size_t k = pass(h, bytes + used, n - used);
    memcpy(h->held, bytes + n - k, k);
    h->n = k;
}

void hide_end(struct hide *h) {
    if (h->n > 0)
        h->put(h->arg, h->held, h->n);
    h->n = 0;
}
