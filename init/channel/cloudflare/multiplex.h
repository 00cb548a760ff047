/* multiplex.h — requests over one WebSocket, /ws, among the files that serve it.
 *
 * Each is an http_inner: it goes through the same server, gate and routes as one over HTTP, and its
 * answer is turned into messages as it comes. Nothing of an answer waits here: a client that does
 * not read stops the answers, and they their makers.
 */
#ifndef CHANNEL_CLOUDFLARE_MULTIPLEX_H
#define CHANNEL_CLOUDFLARE_MULTIPLEX_H

#include "channel/cloudflare/cloudflare.h"
#include "http/inner.h"
#include "http/websocket.h"

enum {
    MUX_STEP = 4096,                    /* bytes of an answer taken at a time */
    MUX_STAGE = 8 * MUX_STEP,           /* of a message, before they go out as one frame */
    MUX_FRAME = 8 * MAX_MULTIPLEXED_ID, /* of a message without a body */
};

enum mux_kind {
    MUX_UNKNOWN, /* its head has not come */
    MUX_JSON,
    MUX_STREAM, /* server-sent events */
    MUX_OTHER,  /* its body is dropped: the protocol has no way to send it */
};

/* Where in a line of a stream of events its next byte is. */
enum mux_field { MUX_NAME, MUX_SPACE, MUX_DATA, MUX_EVENT, MUX_IGNORED };

struct mux;

struct mux_call {
    struct link link; /* in mux.calls */
    struct mux *mux;
    struct http_inner inner;
    char id[MAX_MULTIPLEXED_ID + 1];
    enum mux_kind kind;
    int status;
    bool cancelled;
    bool begun; /* its body, or the data of an event */
    enum mux_field field;
    bool is_data; /* the line's name: data, else event */
    bool comment; /* the line is one */
    char name[8], event[32];
    uint8_t nname, nevent;
    struct slice rest; /* of a stream's bytes: those of the next events */
};

struct mux {
    struct websocket ws;
    struct http_exchange *x;
    struct link calls; /* who had their turn last is last */
    unsigned ncalls;
    struct mux_call *speaker; /* whose message has begun and not ended */
    bool waiting;             /* somebody else has one, too */
    struct timer soon;
    struct text stage, error; /* an error that waits for its turn; no request is read before */
    char bytes[MUX_STAGE], error_bytes[MUX_FRAME + 1024];
};

/* Bytes for a message that `c` has begun, or begins by this. */
void mux_say(struct mux_call *c, const char *bytes, size_t n);
/* {"type":TYPE,"id":ID, is how it begins. */
void mux_say_head(struct mux_call *c, const char *type);
void mux_say_end(struct mux_call *c); /* it is whole */

/* Bytes of an answer of server-sent events (multiplex_events.c): each event becomes a message. How
 * many were used: not more than those of one event. */
size_t mux_events(struct mux_call *c, const char *bytes, size_t n);

/* A request, as its HTTP message, into *out, from malloc(3). NULL; or why it cannot be. */
const char *mux_request(const struct http_exchange *x, yyjson_val *ask, char **out, size_t *n);

void cf_multiplex(struct http_exchange *x, yyjson_val *body);

#endif
