/* gzip.h — the gzip format (RFC 1952), streaming, between two ends, in constant memory. It takes
 * its time, so it runs in a fork: channel/filter.h.
 */
#ifndef CHANNEL_GZIP_H
#define CHANNEL_GZIP_H

#include <stdbool.h>
#include <sys/types.h>

struct gzip_ends {
    ssize_t (*get)(void *arg, void *bytes, size_t cap);  /* as read(2): 0 at the end */
    bool (*put)(void *arg, const void *bytes, size_t n); /* all of it */
    void *arg;
};

enum gzip_outcome {
    GZIP_DONE,
    GZIP_BROKEN,    /* decode: what came is not in the format */
    GZIP_CUT,       /* decode: it ended before its end; also when nothing came */
    GZIP_UNREAD,    /* get() failed */
    GZIP_UNWRITTEN, /* put() failed */
    GZIP_NO_MEMORY,
};

/* Several members, one after the other, are their contents, one after the other (RFC 1952 2.2).
 * What was put before it turns out to be broken was put. */
enum gzip_outcome gzip_decode(const struct gzip_ends *ends);
enum gzip_outcome gzip_encode(const struct gzip_ends *ends);

/* The same between blocking descriptors; the outcome, for an exit status. SIGPIPE is blocked. */
int gzip_decode_fds(int in, int out);
int gzip_encode_fds(int in, int out);

#endif
