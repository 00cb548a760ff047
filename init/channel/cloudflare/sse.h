/* sse.h — an answer that is a stream of server-sent events, each `data: {JSON}` (HTML standard,
 * 9.2), with a comment after half a minute of silence, so that nobody on the way cuts it.
 *
 *     struct cf_sse is a member of what owns it; over() gives that back.
 */
#ifndef CHANNEL_CLOUDFLARE_SSE_H
#define CHANNEL_CLOUDFLARE_SSE_H

#include "base/str.h"
#include "http/server.h"

enum {
    CF_SSE_CHUNK = 10 << 10, /* bytes of data for one event; escaped, up to six times */
    CF_SSE_EVENT = 6 * CF_SSE_CHUNK + 512 /* bytes of an event, but for what a command makes long */
};

struct cf_sse {
    struct http_exchange *x;
    void (*room)(struct cf_sse *s);           /* cf_sse_room() was too small: there is again */
    void (*over)(struct cf_sse *s, bool cut); /* the last call; `cut`: the client has gone */
    /* private */
    struct timer quiet;
    instant sent;
    bool ended;
};

/* Begin the answer: room and over are set. Takes x->ctx and x->handler. */
void cf_sse_begin(struct http_exchange *x, struct cf_sse *s);
/* Bytes of an event that can be sent now; 0: room() comes. */
size_t cf_sse_room(struct cf_sse *s);
/* Send an event: a JSON object, on one line, of at most cf_sse_room() bytes. */
void cf_sse_send(struct cf_sse *s, const struct text *json);
/* It is complete. Nothing more can be sent; over() comes. */
void cf_sse_end(struct cf_sse *s);

#endif
