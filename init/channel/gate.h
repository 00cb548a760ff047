/* gate.h — who may ask: peer credentials, bearer tokens, origins of browsers. Of any dialect. */
#ifndef CHANNEL_GATE_H
#define CHANNEL_GATE_H

#include "channel/channel.h"

enum { MAX_GATE_USERS = 32, GATE_DENY_MS = 500, MAX_GATE_DENIALS = 64 };

struct gate {
    struct http_site site; /* the first member: an exchange's site is its gate */
    struct channel *channel;
    const struct channel_conf *conf;
    bool shut;   /* its token could not be read: nobody may */
    char *token; /* NULL: none is needed, or there is none; for the channel's life */
    uid_t users[MAX_GATE_USERS];
    size_t nusers;
    unsigned denials; /* being delayed */
};

/* Look users up and read the token. What is wrong is logged, and the gate is shut. */
void gate_init(struct gate *g, struct channel *ch, const struct channel_conf *conf);

/* --- parts of a decision, for dialects that show their token elsewhere ------------------------ */

/* The token of this exchange's channel, or NULL. */
const char *gate_token(const struct http_exchange *x);
/* Compared in constant time. */
bool gate_same(const char *secret, const char *given, size_t n);
/* Is no token needed, or the right one shown as Authorization: Bearer TOKEN? */
bool gate_shows_token(const struct http_exchange *x);
/* Is its origin among those allowed? `any`: where none are named, all are. */
bool gate_origin(const struct http_exchange *x, bool any);
/* Why nobody may ask, or not this peer of a unix socket, in words; NULL: go on. */
const char *gate_closed(const struct http_exchange *x);
/* Refuse with 401; late, if a token was tried. `message` is a constant. */
void gate_deny(struct http_exchange *x, bool tried, const char *message);

/* --- the native dialect's --------------------------------------------------------------------- */

/* http_site.admit */
bool gate_admit(struct http_exchange *x);
/* http_site.preflight */
void gate_preflight(struct http_exchange *x);

#endif
