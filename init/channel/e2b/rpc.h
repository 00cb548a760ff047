/* rpc.h — Connect RPC: what all methods have in common.
 *
 *     unary          JSON in, JSON out; errors have the HTTP status of their code
 *     server stream  one envelope in, many out; the status is always 200, the last envelope says
 * how it went, and without it the client knows that something has been cut client stream  many in,
 * one out, and that last one
 */
#ifndef CHANNEL_E2B_RPC_H
#define CHANNEL_E2B_RPC_H

#include "channel/e2b/e2b.h"
#include "channel/e2b/envelope.h"
#include "channel/e2b/proto.h"

#define E2B_UNARY  "application/json"
#define E2B_STREAM "application/connect+json"

/* Is it of this media type? False: it has been answered, with 415. */
bool e2b_speaks(struct http_exchange *x, const char *type);
/* To be called first by a unary method. False: the request is not one, and has been answered. */
bool e2b_unary(struct http_exchange *x, yyjson_val *body);
/* The media type of its answer: the request's, which may name its charset. */
const char *e2b_unary_type(const struct http_exchange *x);
/* The answer of a unary method. */
void e2b_reply(struct http_exchange *x, const struct text *t);
void e2b_reply_empty(struct http_exchange *x); /* {} */
/* False, and it has been answered: a member of the message was wrong. */
bool e2b_proto_ok(struct http_exchange *x, const struct proto *p);

struct e2b_stream {
    struct http_exchange *x;
    /* The message has come; and "there is room again". */
    void (*asked)(struct e2b_stream *s, yyjson_val *message);
    void (*room)(struct e2b_stream *s);
    /* Of a client stream, which has many messages: may the next be taken, else e2b_stream_resume()
     * will be called; and the last one has been. NULL for a server stream. */
    bool (*may_take)(const struct e2b_stream *s);
    void (*complete)(struct e2b_stream *s);
    /* The last call: give back what it is part of. */
    void (*over)(struct e2b_stream *s, bool cut);
    void (*put_keepalive)(struct text *t); /* the message that says nothing; NULL: there is none */
    /* private */
    struct envelope in;
    struct timer deadline, ping;
    span ping_every;
    span limit; /* Connect-Timeout-Ms */
    instant sent;
    bool begun, called, ended;
    bool all_in; /* the request's body is complete */
};

/* Begin to take the message in: `s` is zeroed but for its callbacks. False: the request is none for
 * a stream, and has been answered; over() is not called then. */
bool e2b_stream_begin(struct http_exchange *x, struct e2b_stream *s);
/* may_take() has changed its mind. */
void e2b_stream_resume(struct e2b_stream *s);
/* Bytes of payload that can be sent now; 0: room() comes. */
size_t e2b_stream_room(struct e2b_stream *s);
/* Send a message. */
void e2b_stream_send(struct e2b_stream *s, const char *bytes, size_t n);
void e2b_stream_text(struct e2b_stream *s, const struct text *t);
/* It has gone well, or has not. Nothing more can be sent. */
void e2b_stream_end(struct e2b_stream *s);
__attribute__((format(printf, 3, 4))) void e2b_stream_fail(struct e2b_stream *s, enum e2b_code code,
                                                           const char *fmt, ...);

#endif
