/* websocket.h — the WebSocket protocol (RFC 6455), the server's side, on an exchange that is
 * upgraded. No extensions, no subprotocols.
 *
 *     ws->message = take_message; ws->binary = take_bytes; ws->room = more; ws->over = gone;
 *     if (!websocket_accept(ws, x))      it has been refused; over() does not come
 *         free(ws);
 *     websocket_send(ws, WS_TEXT, "hi", 2);
 *     websocket_close(ws, WS_NORMAL, "");
 *
 * Pings are answered, and sent to a client that says nothing; the close handshake is made. Nothing
 * waits in memory but one message that comes in, and what http_room() allows to go out.
 */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "http/server.h"
#include "http/websocket_frame.h"

enum websocket_state {
    WEBSOCKET_OPEN,
    WEBSOCKET_CLOSING, /* our Close frame is out; theirs is waited for */
    WEBSOCKET_ENDED,   /* nothing goes either way any more */
};

struct websocket {
    /* The owner's, set before websocket_accept(). Called from the loop. */

    size_t max_message; /* bytes of one that is collected; more: closed, WS_TOO_BIG */
    /* A message as a whole. `bytes` may be changed, and are followed by WEBSOCKET_PADDING bytes of
     * 0, until it returns. */
    void (*message)(struct websocket *ws, enum websocket_opcode type, char *bytes, size_t n);
    /* Binary messages as they come, of any length: how many bytes were taken; fewer than n pauses
     * the client until websocket_resume(). NULL: they are collected, too. */
    size_t (*binary)(struct websocket *ws, const char *bytes, size_t n);
    void (*room)(struct websocket *ws); /* after websocket_room() was too small; may be NULL */
    void (*over)(struct websocket *ws); /* the last call: give back what there is */

    struct http_exchange *x;
    enum websocket_state state;
    /* private */
    struct websocket_reader reader;
    struct timer timer;
    instant heard;
    bool paused;     /* by the owner */
    bool held;       /* the same, by websocket_pause() */
    bool in_message; /* a message out has begun in pieces */
    bool owes_pong;
    uint8_t npong;
    char pong[WS_MAX_CONTROL];
    char *collected; /* owned */
    size_t n, cap;
};

enum { WEBSOCKET_PADDING = 8 };

/* Take the handshake (RFC 6455 section 4.2) and answer it. False: it is none, or of a version that
 * we do not speak, and has been refused in the words of the site; `ws` is the caller's. */
bool websocket_accept(struct websocket *ws, struct http_exchange *x);

/* Bytes that may be sent now in one frame. 0: wait for room(). */
size_t websocket_room(struct websocket *ws);
/* A message in one frame of at most websocket_room() bytes. What is sent when the connection is
 * closing goes nowhere. */
void websocket_send(struct websocket *ws, enum websocket_opcode type, const void *bytes, size_t n);
/* A message in several frames, one after the other; `last` ends it. No other message may come
 * between. */
void websocket_send_piece(struct websocket *ws, enum websocket_opcode type, const void *bytes,
                          size_t n, bool last);
/* No more messages, not even those that have come already, until websocket_resume(). */
void websocket_pause(struct websocket *ws);
/* More bytes may be given to binary(), and messages. */
void websocket_resume(struct websocket *ws);
/* Close. `reason` has at most 123 bytes of UTF-8. Nothing comes any more but over(). Idempotent. */
void websocket_close(struct websocket *ws, enum websocket_code code, const char *reason);

#endif
