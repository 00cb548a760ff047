/* envelope.h — messages of a Connect stream (connectrpc.com/docs/protocol): flags, length, payload.
 * PURE but for malloc.
 */
#ifndef CHANNEL_E2B_ENVELOPE_H
#define CHANNEL_E2B_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENVELOPE_HEAD = 5, ENVELOPE_GZIP = 1, ENVELOPE_END = 2 };

/* The head of an envelope of `n` bytes. */
void envelope_head(unsigned char out[ENVELOPE_HEAD], unsigned flags, size_t n);

/* Reads envelopes as they come in pieces. The zero value begins. */
struct envelope {
    unsigned char head[ENVELOPE_HEAD];
    unsigned have;   /* of head */
    unsigned flags;  /* once the head is complete: */
    size_t len, got; /* bytes of payload, announced and here */
    size_t cap;
    char *payload; /* owned; ENVELOPE_ROOM zero bytes follow it once it is whole */
    bool whole;
};
enum { ENVELOPE_ROOM = 8 }; /* what a JSON parser that works in place wants behind a text */

/* Take in[n] in, up to the end of the envelope. How many bytes were used; -EMSGSIZE: more than
 * `max` are announced, -ENOMEM. Memory grows with what has come, not with what is announced. */
int64_t envelope_take(struct envelope *e, const char *in, size_t n, size_t max);

/* Forget it, and begin the next. */
void envelope_next(struct envelope *e);

#endif
