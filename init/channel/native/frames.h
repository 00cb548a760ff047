/* frames.h — the framed stream of docs/CHANNEL.md, both ends. PURE. */
#ifndef CHANNEL_NATIVE_FRAMES_H
#define CHANNEL_NATIVE_FRAMES_H

#include <stddef.h>
#include <stdint.h>

enum frame_type {
    FRAME_STDIN,
    FRAME_STDOUT,
    FRAME_STDERR,
    FRAME_RESIZE,
    FRAME_SIGNAL,
    FRAME_STARTED,
    FRAME_MISSED,
    FRAME_ENDED,
    FRAME_ERROR,
    FRAME_DETACH,
    FRAME_NTYPES
};

enum {
    FRAME_HEAD = 8,
    FRAME_MAX_SERVER = 64 << 10, /* bytes of payload */
    FRAME_MAX_CLIENT = 1 << 20,
};

#define FRAME_MEDIA_TYPE "application/vnd.pinnace.stream"
#define FRAME_PROTOCOL   "pinnace-stream"

/* The head of a frame of `n` bytes. */
void frame_head(unsigned char out[FRAME_HEAD], enum frame_type type, size_t n);

/* Reads frames as they come in pieces. The zero value begins. */
struct frame_reader {
    unsigned char head[FRAME_HEAD];
    uint8_t have;   /* of head; FRAME_HEAD: within a payload */
    uint32_t total; /* of the payload */
    uint32_t left;
};

struct frame_piece {
    enum frame_type type;
    const char *bytes;
    size_t n;           /* 0 only for an empty payload */
    uint32_t at, total; /* where this piece is in its payload */
};

/* Take the next piece out of in[n]. How many bytes were looked at, with a piece in *out when there
 * is one (out->bytes not NULL); or -EPROTO: an unknown type, a head that is not one, more than
 * `max`. */
int64_t frame_next(struct frame_reader *r, const char *in, size_t n, uint32_t max,
                   struct frame_piece *out);

#endif
