/* hide.h — one text taken out of a stream of bytes, wherever it stands: the path of the directory
 * that a session's shell reads commands from, which its messages begin with. PURE.
 */
#ifndef CHANNEL_CLOUDFLARE_HIDE_H
#define CHANNEL_CLOUDFLARE_HIDE_H

#include <stddef.h>

enum { HIDE_TEXT = 192 }; /* bytes of it, NUL included */

struct hide {
    char text[HIDE_TEXT]; /* "": nothing is taken out */
    char held[HIDE_TEXT]; /* bytes that may be its beginning */
    size_t n;
    void (*put)(void *arg, const char *bytes, size_t n); /* what is left */
    void *arg;
};

void hide_take(struct hide *h, const char *bytes, size_t n);
void hide_end(struct hide *h); /* nothing more comes */

#endif
