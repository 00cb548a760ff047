/* inner.h — a request that this process makes to its own server: it is parsed, admitted, routed and
 * answered as one that has come over the network, through a socketpair(2). Never waits.
 *
 *     http_inner_begin(c, server, site, request, n);         c->ready is set before
 *     ready():  while ((next = http_inner_next(c, max, &data)) == HTTP_INNER_DATA) ...
 */
#ifndef HTTP_INNER_H
#define HTTP_INNER_H

#include "http/server.h"

enum { HTTP_INNER_ROOM = 16 << 10 }; /* bytes read ahead; a head of our own server is shorter */

struct http_inner {
    void (*ready)(struct http_inner *c); /* call http_inner_next(), unless that is not wanted now */
    struct http_head head;               /* of the answer; see HTTP_INNER_HEAD */
    /* private */
    struct loop *loop;
    struct source source; /* .fd is ours; -1: there is none */
    char *out;            /* of the request; owned */
    size_t out_at, out_len;
    struct http_body body;
    bool has_head, eof, resting;
    size_t in_at, in_len;
    char in[HTTP_INNER_ROOM];
};

/* Begin. `request` is a whole one, head and body, from malloc(3): taken over, and freed, in any
 * case. 0; -EAGAIN: the server has too many connections; -errno. */
int http_inner_begin(struct http_inner *c, struct http_server *s, const struct http_site *site,
                     char *request, size_t n);

enum http_inner_next {
    HTTP_INNER_WAIT, /* ready() comes */
    HTTP_INNER_HEAD, /* c->head is there; its texts until the next call */
    HTTP_INNER_DATA, /* a piece of the body, at most `max` bytes; until the next call */
    HTTP_INNER_END,  /* the body is complete */
    HTTP_INNER_CUT,  /* it is not, and never will be */
};
enum http_inner_next http_inner_next(struct http_inner *c, size_t max, struct slice *data);

/* What comes is not wanted now: ready() does not come until the next http_inner_next(). */
void http_inner_rest(struct http_inner *c);
/* Hang up. Idempotent; the zero value will do. */
void http_inner_stop(struct http_inner *c);

#endif
