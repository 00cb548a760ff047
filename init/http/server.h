/* server.h — HTTP/1.1 connections on a loop: requests in, answers out, with back-pressure both
 * ways. Knows nothing of what is served: a site does.
 *
 * A connection costs a few hundred bytes while idle; buffers come with the first byte of a request
 * and go with its answer. Requests of one connection are answered one after the other, in order;
 * the next one is not read before that (pipelined ones wait in the buffer).
 *
 * Callbacks of an exchange are called from the loop, or from within http_* calls where said so.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <sys/socket.h>
#include <sys/types.h>
#include <yyjson.h>

#include "http/head.h"
#include "loop/loop.h"

struct http_exchange;

enum http_body_kind {
    HTTP_BODY_NONE,   /* a body is refused, 413 */
    HTTP_BODY_JSON,   /* collected, at most MAX_JSON_BODY, parsed; open() gets it; an empty one is
                         NULL */
    HTTP_BODY_STREAM, /* open() sets x->handler, which gets the body as it comes */
};

struct http_route {
    const char *method; /* "GET" also answers HEAD, whose body is dropped here */
    const char *path;   /* "/v1/jobs/{id}/output": a {part} matches one non-empty segment */
    enum http_body_kind body;
    void (*open)(struct http_exchange *x, yyjson_val *body); /* `body` lives until open() returns */
};

struct http_site {
    const struct http_route *routes;
    size_t nroutes;
    /* Who is it, and may it? True: go on; false: it has answered (or will, later). */
    bool (*admit)(struct http_exchange *x);
    /* An error made here (bad request, no such route, method, too large, bad JSON) in the words of
     * the site's dialect: it answers with http_answer(). `allow` for 405: "GET, PUT". */
    void (*refuse)(struct http_exchange *x, int status, const char *message);
    /* OPTIONS on a path that has routes; NULL: 405. */
    void (*preflight)(struct http_exchange *x);
    span idle; /* between requests; then the connection is closed */
    void *arg; /* the site's own */
};

struct http_handler {
    /* Bytes of the body, or of an upgraded connection. How many were taken: fewer than n pauses
     * until http_resume(). */
    size_t (*body)(struct http_exchange *x, const char *bytes, size_t n);
    /* The body is complete; an upgraded peer has ended its side. */
    void (*body_end)(struct http_exchange *x);
    /* After http_room() was too small: there is room again. */
    void (*room)(struct http_exchange *x);
    /* The last call: the answer is out, or the connection is gone (then `cut`). Give back x->ctx.
     */
    void (*over)(struct http_exchange *x, bool cut);
};

struct http_exchange {
    struct http_conn *conn;
    struct http_server *server;
    const struct http_site *site;
    const struct http_route *route; /* NULL in admit() and in refusals before routing */
    struct http_head head;
    const struct http_handler *handler; /* set in open(); NULL: nothing to be told */
    void *ctx;                          /* the handler's */
    struct slice params[4];             /* what {part}s matched, as it came, in order */
    bool patient; /* to be set: the body may rest, as somebody's does who types it */
    /* private */
    int status;
    bool begun, chunked, raw, ended, no_body;
    bool close;      /* the connection ends with this answer */
    bool wants_body; /* somebody is there to take it */
    bool paused;     /* but not now */
    bool got_all;    /* the body is complete, and all of it was delivered */
    bool told_end;   /* and that it is, too */
    bool continued;  /* 100 was sent, or came to be of no use */
    bool probed;     /* see exchange_probe() */
    bool short_room; /* http_room() was not what it could be: room() is owed */
    struct http_body body;
    int64_t left; /* of the announced length of the answer; -1: none was */
    char *fields; /* further ones of the answer's head */
    size_t fields_len;
    char *json; /* the body as far as it is collected */
    size_t json_len, json_cap;
    struct http_pipe *to_client, *from_client;
};

struct http_server {
    struct loop *loop;
    struct link conns; /* all, the longest idle first */
    size_t n, max;     /* at max the longest idle one is closed; none idle: 503 */
    bool closing;      /* answers say Connection: close */
    uint64_t accepted, refused, requests, bytes_in, bytes_out; /* for metrics */
    uint64_t by_class[6];                                      /* answers by status / 100 */
    /* private */
    struct link listeners;
    struct link dirty; /* connections that have something to do before the loop waits again */
    struct timer soon; /* armed while there are any */
    size_t extra;      /* of n: connections above max, which are told so */
    int64_t date_at;   /* s, unix time */
    char date[32];     /* of the Date field, as of then */
};

struct http_listener {
    struct http_server *server;
    const struct http_site *site;
    struct source source; /* .fd is the caller's: a listening socket, non-blocking */
    struct timer rest;
    struct link link;
};

void http_server_init(struct http_server *s, struct loop *l, size_t max);
/* 0 or -errno. A listener whose accept(2) fails for want of descriptors rests for 100 ms. */
int http_listen(struct http_server *s, struct http_listener *l, const struct http_site *site,
                int fd);
/* Serve a connected stream socket as if it had been accepted from a listener; its requests are read
 * once the loop goes on. 0, and `fd` is the server's; -EAGAIN: there are `max` already; -ENOMEM. */
int http_serve(struct http_server *s, const struct http_site *site, int fd);
/* No more requests are taken; those being answered go on. */
void http_server_close(struct http_server *s);
/* Does anybody still wait for bytes? */
bool http_server_busy(const struct http_server *s);

/* --- the request ------------------------------------------------------------------------------ */

/* A parameter of the query, decoded into out[cap]. 1; 0 when it is not there; -EINVAL broken. */
int http_param(const struct http_exchange *x, const char *key, char *out, size_t cap);
/* The first parameter whose key is none of these (NULL-terminated), into out; false: all are known.
 */
bool http_unknown_param(const struct http_exchange *x, const char *const *known, char *out,
                        size_t cap);
/* SO_PEERCRED of a unix socket; false elsewhere. */
bool http_peer(const struct http_exchange *x, struct ucred *out);
/* Parse JSON within the bounds of HTTP_BODY_JSON, in place: YYJSON_PADDING_SIZE zero bytes follow
 * text[n], and all of it is kept until the document is freed. NULL: *e says why. */
yyjson_doc *http_read_json(char *text, size_t n, yyjson_read_err *e);
/* The shortest round trip to a TCP peer so far, in us; 0: not known, or not TCP. */
uint32_t http_round_trip(const struct http_exchange *x);
/* More of the body may come; body() may be called before this returns. */
void http_resume(struct http_exchange *x);

/* --- the answer ------------------------------------------------------------------------------- */

/* A field for the head, before it is begun. Bad bytes (CR, LF, NUL) drop it; at most 4 KiB in all.
 * "Connection: close" also ends the connection after this answer. */
__attribute__((format(printf, 3, 4))) void http_add_field(struct http_exchange *x, const char *name,
                                                          const char *fmt, ...);

/* The whole answer. `type` may be NULL when n is 0. Copied. */
void http_answer(struct http_exchange *x, int status, const char *type, const void *bytes,
                 size_t n);

/* Begin one whose body follows: `length` bytes, or -1: chunked (to HTTP/1.0: until close). */
void http_begin(struct http_exchange *x, int status, const char *type, int64_t length);
/* Bytes that http_send() takes now. 0: wait for room(). */
size_t http_room(struct http_exchange *x);
/* Send at most http_room() bytes in one piece (one chunk). What the socket does not take at once is
 * copied. Two pieces, so that a frame's head needs no copy of its body: */
void http_send2(struct http_exchange *x, const void *a, size_t na, const void *b, size_t nb);
void http_send(struct http_exchange *x, const void *bytes, size_t n);
/* The answer is complete. Fewer than `length` bytes: the connection is cut instead. */
void http_end(struct http_exchange *x);
/* Something failed on the way: cut the connection, so that nobody takes it for complete. */
void http_cut(struct http_exchange *x);
/* 101: from here on bytes go as they are, both ways, until http_end() or the peer goes. */
void http_upgrade(struct http_exchange *x, const char *protocol);

/* Move bytes from a pipe to the client (splice(2), no copy) until `length` bytes, or its end with
 * length -1, then call done() with how many were moved, or -errno. The answer has begun, and is
 * not ended by this. The fd stays the caller's, non-blocking, and open until done() or over(). */
void http_send_pipe(struct http_exchange *x, int fd, int64_t length,
                    void (*done)(struct http_exchange *x, int64_t moved));
/* Move the request's body into a pipe, decoded, until its end: then done() with the bytes moved;
 * -EPIPE when the reader has gone. */
void http_take_pipe(struct http_exchange *x, int fd,
                    void (*done)(struct http_exchange *x, int64_t moved));

#endif
