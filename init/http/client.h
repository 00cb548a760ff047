/* client.h — one HTTP/1.1 exchange on a connected socket, for programs that may wait: client verbs
 * and forks. Never waits past its deadlines; never takes a body that was cut for a whole one.
 *
 *     http_client_init(c, fd, deadline, idle);
 *     rc = http_client_ask(c, &request, &e);            head and body out, the answer's head in
 *     while ((n = http_client_read(c, &data, &e)) > 0)  its body
 *         use(data, n);
 *
 * After an answer 101 the connection is the caller's: http_client_rest() has what came with it.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <sys/types.h>

#include "base/err.h"
#include "base/time.h"
#include "http/head.h"

/* A request's body that is made as it goes. */
struct http_source {
    /* At most `cap` bytes into buf: their number, 0 at the end, or -errno with `e`. */
    ssize_t (*take)(struct http_source *s, char *buf, size_t cap, struct err *e);
    int fd;         /* is waited for before take(); -1: take() has something at once */
    int64_t length; /* -1: unknown, the body is chunked; else take() gives that many */
};

struct http_request {
    const char *method, *target; /* "GET", "/v1/status"; as they go out */
    const char *host;            /* of the Host field; NULL: pinnace */
    const char *fields;          /* "Name: value\r\n"..., or NULL */
    const char *upgrade;         /* a protocol to change to, or NULL */
    const void *body;            /* `length` bytes; or NULL: no body, or that of `source` */
    size_t length;
    struct http_source *source;
};

/* A head may fill MAX_HTTP_HEAD; behind it there is room for reading at least this much. */
enum { HTTP_CLIENT_ROOM = 64 << 10 };

struct http_client {  /* about 110 KiB: not for PID 1, and rather not for a stack of a fork of it */
    int fd;           /* the caller's; blocking or not */
    instant deadline; /* for all of it */
    span idle;        /* for each wait; SPAN_NEVER */
    struct http_head head; /* of the answer; points into bytes[] */
    struct http_body body;
    size_t used, have; /* of bytes[], behind the head */
    uint64_t got;      /* bytes of the body so far, for messages */
    char bytes[MAX_HTTP_HEAD + HTTP_CLIENT_ROOM];
};

void http_client_init(struct http_client *c, int fd, instant deadline, span idle);

/* Send a request and take the answer's head into c->head; interim answers (1xx but 101) are passed
 * over. An answer that comes while the body is still being sent ends the sending: it is an error of
 * the server's, or one that the rest cannot change (RFC 9112 9.5). 0; -ETIMEDOUT; -ECONNRESET when
 * the peer went without an answer; -EPROTO for what is no HTTP; what source->take() said. */
int http_client_ask(struct http_client *c, const struct http_request *r, struct err *e);

/* The next piece of the body, in the client's buffer until the next call. Its length; 0 when the
 * body is complete; -EPROTO when it was cut or is broken; -ETIMEDOUT. */
ssize_t http_client_read(struct http_client *c, const char **data, struct err *e);

/* All that is left of the body as text: malloc'd into *out, NUL-terminated. Its length, -EFBIG for
 * more than `max` bytes, else as above. */
ssize_t http_client_whole(struct http_client *c, size_t max, char **out, struct err *e);

/* After 101: what has come behind the head, given out once. */
struct slice http_client_rest(struct http_client *c);

/* poll(2) until one of `events`, or the client's deadlines: 0, -ETIMEDOUT or -errno. */
int http_client_wait(const struct http_client *c, short events);

#endif
