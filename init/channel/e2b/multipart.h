/* multipart.h — bodies of multipart/form-data (RFC 7578, RFC 2046 section 5.1), as they come in
 * pieces. PURE; strict; incremental: contents are never kept, whatever the pieces.
 *
 * Strict means: lines end in CR LF, heads are not folded, no content has a transfer encoding, and
 * behind a delimiter there is nothing but blanks.
 */
#ifndef CHANNEL_E2B_MULTIPART_H
#define CHANNEL_E2B_MULTIPART_H

#include "http/head.h"

enum multipart_event {
    MULTIPART_MORE,   /* the input has been used up */
    MULTIPART_BEGIN,  /* a part begins: m->part */
    MULTIPART_DATA,   /* a piece of its content, not empty */
    MULTIPART_FINISH, /* it is complete */
    MULTIPART_END,    /* there are no more parts; what follows means nothing */
    MULTIPART_BAD,    /* m->why; from here on always */
};

/* What the head of a part says; NUL-terminated, good until the part is complete; NULL: nothing. A
 * name is as it was sent: what clients make of quotes in it is not undone. */
struct multipart_part {
    const char *name, *filename, *type;
};

struct multipart {
    struct multipart_part part;
    size_t parts; /* that have begun */
    const char *why;
    /* private */
    uint8_t state;
    bool mismatched; /* what `matched` counts is content after all */
    size_t matched;  /* bytes of a delimiter that the input so far ends in */
    size_t given;    /* of those that are content after all */
    size_t delimiter_len, head_len;
    char delimiter[4 + MAX_BOUNDARY + 1];
    char head[MAX_PART_HEAD + 1];
};

/* For a body with this Content-Type. 0; -EINVAL with m->why: it does not say with which boundary.
 */
int multipart_begin(struct multipart *m, struct slice content_type);

/* What comes next: what was looked at is taken off `in`. */
enum multipart_event multipart_next(struct multipart *m, struct slice *in, struct slice *data);

/* Of the piece that has just been given only the first `taken` of `n` bytes were taken: the others
 * are put back, into `in` or for the next call. */
void multipart_put_back(struct multipart *m, struct slice *in, size_t n, size_t taken);

/* Is this the media type, whatever its parameters? */
bool media_type_is(struct slice content_type, const char *type);

#endif
