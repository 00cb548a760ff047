/* lines.h — lines that come through a pipe, such as a worker's events, given one by one to whoever
 * has room for them; what there is no room for stays in the pipe.
 */
#ifndef CHANNEL_LINES_H
#define CHANNEL_LINES_H

#include "loop/loop.h"

enum { LINES_MAX = 64 << 10 }; /* bytes of a line; a longer one is an error */

struct lines {
    /* The owner's. Take a line, without its end; false: no room now, call lines_more() later. */
    bool (*line)(struct lines *l, const char *line, size_t n);
    /* Nothing more comes: 0 the end, -EMSGSIZE a line that is too long, -errno. Once. */
    void (*ended)(struct lines *l, int code);
    bool reading; /* it has begun, and has not ended */
    /* private */
    struct loop *loop;
    struct source pipe; /* .fd is the caller's, non-blocking */
    char *bytes;        /* owned: those that are not yet taken */
    size_t n;
};

/* Begin; line() may be called before this returns. 0 or -ENOMEM. */
int lines_begin(struct lines *l, struct loop *loop, int fd);
void lines_more(struct lines *l);
/* No callback comes any more. Idempotent; the zero value will do. */
void lines_stop(struct lines *l);

#endif
