/* conn.h — what the files of the server share: a connection, and who may do what to it when.
 *
 * conn_run() alone calls handlers and frees, and is never within itself: it is called from the loop
 * (a descriptor is ready, a deadline is over, the connection is on the server's dirty list). So
 * http_*() can be called from anywhere: they write, note what has become of it, and conn_kick(). An
 * exchange is there until its over(), whatever was done to it before.
 *
 *     CONN_HEAD -> CONN_EXCHANGE -> CONN_HEAD ...           requests, one after the other
 *                                \-> CONN_LINGER -> closed  the answer is out, and was the last one
 */
#ifndef HTTP_CONN_H
#define HTTP_CONN_H

#include <sys/uio.h>

#include "http/server.h"

enum conn_state {
    CONN_HEAD,
    CONN_EXCHANGE,
    CONN_LINGER, /* our side is shut down: what comes is read away, so that no reset overtakes the
                  * answer (RFC 9112 9.6) */
};

struct http_conn {
    struct source source;
    struct timer timer; /* armed for conn_due() or earlier; then looks again */
    struct link link;   /* in server->conns */
    struct link dirty;  /* in server->dirty */
    struct http_server *server;
    const struct http_site *site;
    struct http_exchange *x; /* NULL but in CONN_EXCHANGE */
    char *in;                /* NULL while empty */
    char *out;               /* NULL while empty */
    uint32_t in_at, in_len, in_cap;
    uint32_t in_next; /* bytes that the next input buffer will have */
    size_t out_at, out_len, out_cap;
    struct http_scan scan;
    instant in_since;  /* idle, in a head, without a byte of the body, lingering: since then */
    instant out_since; /* the client has taken nothing since then */
    uint32_t linger_left;
    enum conn_state state;
    bool extra;     /* above server->max */
    bool running;   /* within conn_run() */
    bool in_head;   /* the first byte of a head has come */
    bool blocked;   /* the socket took no more: wait for EPOLLOUT */
    bool eof;       /* the peer has ended its side, and all it sent was read */
    bool half_shut; /* the peer has ended its side */
    bool tcp;       /* known once half_shut */
    bool gone;      /* the peer hears nothing any more */
    bool dead;      /* to be freed by conn_run() */
    bool lost;      /* the answer did not come out as a whole */
};

/* --- conn.c */

/* NULL: no memory, or the loop does not want it; then `fd` stays the caller's. */
struct http_conn *conn_new(struct http_server *s, const struct http_site *site, int fd);
void conn_run(struct http_conn *c);
void conn_kick(struct http_conn *c);
/* Nothing more comes out of it. The next conn_run() frees it. */
void conn_lose(struct http_conn *c);
/* What is sent has been sent, and was the last: close, once the peer has had time to read it. */
void conn_linger(struct http_conn *c);
/* It is the last one in the order of idleness. */
void conn_touch(struct http_conn *c);
/* Is it between requests, so that nobody would miss it? */
bool conn_is_idle(const struct http_conn *c);
/* Read what there is. Bytes; 0: nothing now; -1: no more will come (c->eof), or it is dead. */
int conn_read(struct http_conn *c);

/* --- exchange.c */

/* The next head is complete: admit, route, open. */
void exchange_begin(struct http_conn *c, size_t head_len);
/* An exchange without a request, or with one that is no good, only to be refused. */
void exchange_refuse(struct http_conn *c, int status);
/* Refuse what has begun; where an answer has begun, too, the connection is lost. */
void exchange_fail(struct http_exchange *x, int status);
/* Refuse a body before any of it was taken; the connection may go on. */
void exchange_refuse_body(struct http_exchange *x, int status);
void exchange_free(struct http_exchange *x, bool cut);
bool exchange_step(struct http_exchange *x); /* false: there is nothing more to do now */
bool exchange_reads(const struct http_exchange *x);
bool exchange_is_out(const struct http_exchange *x);
/* The peer of a TCP connection may be gone: send something that means nothing, to find out. */
void exchange_probe(struct http_exchange *x);
instant exchange_due(const struct http_exchange *x);
void exchange_expire(struct http_exchange *x);
/* Somebody wants the body from now on. */
void exchange_want_body(struct http_exchange *x);

/* --- collect.c: JSON bodies */

size_t collect(struct http_exchange *x, const char *bytes, size_t n);
void collect_end(struct http_exchange *x); /* calls open() */

/* --- router.c */

/* Find the route of x and what follows from it: open(), a body to be collected, a refusal. */
void route(struct http_exchange *x);

/* --- answer.c */

/* Send, or keep, what the pieces hold. At most 4 of them. `may_wait`: until the end of the turn,
 * for more of them to go at once. */
void out_put(struct http_conn *c, const struct iovec *pieces, int n, bool may_wait);
bool out_flush(struct http_conn *c, bool more_follows); /* false: nothing was written */
bool out_room_now(const struct http_conn *c);           /* enough of it to call room() */

/* --- pipe.c */

bool pipe_send(struct http_exchange *x);                                 /* as exchange_step() */
bool pipe_splice_body(struct http_exchange *x);                          /* the same */
size_t pipe_write(struct http_exchange *x, const char *bytes, size_t n); /* as body() */
void pipe_end_body(struct http_exchange *x);                             /* as body_end() */
bool pipe_can_splice(const struct http_exchange *x);
bool pipe_in_chunk(
    const struct http_exchange *x); /* some of one, whose size was sent, is to come */
void pipe_stop(struct http_pipe **p);

#endif
