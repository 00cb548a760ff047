/* gate.h — who may ask: peer credentials, bearer tokens, origins of browsers. Of any dialect. */
#ifndef CHANNEL_GATE_H
#define CHANNEL_GATE_H

#include "channel/channel.h"

enum { MAX_GATE_USERS = 32, GATE_DENY_MS = 500, MAX_GATE_DENIALS = 64 };

struct gate {
    struct http_site site; /* the first member: an exchange's site is its gate */
    struct channel *channel;
    const struct channel_conf *conf;
    bool shut;               /* its token could not be read: nobody may */
    unsigned char token[32]; /* SHA-256 of the token */
    uid_t users[MAX_GATE_USERS];
    size_t nusers;
    unsigned denials; /* being delayed */
};

/* Look users up and read the token. What is wrong is logged, and the gate is shut. */
void gate_init(struct gate *g, struct channel *ch, const struct channel_conf *conf);

/* http_site.admit */
bool gate_admit(struct http_exchange *x);
/* http_site.preflight */
void gate_preflight(struct http_exchange *x);

#endif
