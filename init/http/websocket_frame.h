/* websocket_frame.h — frames of the WebSocket protocol (RFC 6455 section 5), as a server reads and
 * writes them. PURE; strict; incremental.
 *
 * Strict means: frames of a client that are not masked, reserved bits and opcodes, lengths that are
 * not of the shortest form, control frames that are longer than 125 bytes or in pieces, pieces in
 * another order, text that is no UTF-8, and close codes that nobody may send are refused.
 */
#ifndef HTTP_WEBSOCKET_FRAME_H
#define HTTP_WEBSOCKET_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/utf8.h"

enum websocket_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

/* Close codes (RFC 6455 section 7.4.1). */
enum websocket_code {
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED = 1003,
    WS_NO_CODE = 1005, /* never sent: a Close frame without one */
    WS_BAD_DATA = 1007,
    WS_POLICY = 1008,
    WS_TOO_BIG = 1009,
    WS_FAILURE = 1011,
    WS_TRY_LATER = 1013,
};

enum { WS_MAX_CONTROL = 125, WS_MAX_HEAD = 10, WS_MAX_CLIENT_HEAD = 14 };

/* Reads frames as they come in pieces. Set the limits; the rest is zero to begin with. */
struct websocket_reader {
    uint64_t max_text, max_binary; /* bytes of a message; more: WS_TOO_BIG */
    /* private */
    unsigned char head[WS_MAX_CLIENT_HEAD];
    uint8_t have;    /* of head */
    bool in_payload; /* head is whole */
    bool in_message; /* a message of data has begun and not ended */
    uint8_t message; /* its opcode */
    uint64_t length; /* of the frame's payload */
    uint64_t at;     /* how far it is read */
    uint64_t total;  /* of the message's bytes before this frame */
    struct utf8 utf8;
    uint8_t ncontrol;
    char control[WS_MAX_CONTROL];
};

struct websocket_piece {
    /* TEXT or BINARY: a piece of a message of that kind; CLOSE, PING, PONG: a whole frame */
    enum websocket_opcode type;
    bool there;        /* there is a piece at all */
    bool first, last;  /* of its message; such a piece may be empty */
    const char *bytes; /* unmasked: in `out`, or in the reader until the next call */
    size_t n;
    enum websocket_code code; /* CLOSE: what it says, or WS_NO_CODE; `bytes` are the reason */
};

/* Take the next piece out of in[n]; at most `cap` bytes (not 0) of data come out, into out[]. How
 * many bytes were used, which may be 0 only for n == 0; or minus the code to close with. */
int64_t websocket_next(struct websocket_reader *r, const char *in, size_t n, char *out, size_t cap,
                       struct websocket_piece *p);

/* `n` bytes at the end of the piece of binary data that came last were not taken: they come again,
 * when they, masked, are given again. */
void websocket_untake(struct websocket_reader *r, size_t n);

/* The head of a frame of `n` bytes that a server sends; its length. */
size_t websocket_head(unsigned char out[WS_MAX_HEAD], enum websocket_opcode type, bool fin,
                      uint64_t n);

/* May an endpoint send this close code? */
bool websocket_code_is_valid(unsigned code);

#endif
