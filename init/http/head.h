/* head.h — the head of an HTTP/1.1 message. PURE; strict; incremental.
 *
 * Strict means: what two readers could understand differently is refused (RFC 9112): a bare LF
 * or CR, obs-fold, blanks before the colon, control characters, no Host or two of them in a
 * request of 1.1, one that is no host or not that of an absolute target, Content-Length twice,
 * with a sign, or beside Transfer-Encoding, a transfer coding that is not exactly "chunked", a tab
 * beside either, chunked in HTTP/1.0, another version, a body announced in a 1xx or a 204.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

/* A piece of the head's bytes; not NUL-terminated. */
struct slice {
    const char *s;
    size_t n;
};

struct http_field {
    uint16_t name, name_len, value, value_len; /* offsets into the head; no blanks around */
};

enum http_framing {
    HTTP_NO_BODY,
    HTTP_LENGTH, /* `length` bytes */
    HTTP_CHUNKED,
    HTTP_UNTIL_CLOSE, /* answers only */
};

struct http_head {
    const char *bytes;           /* borrowed */
    size_t len;                  /* of the head, with the empty line */
    struct slice method, target; /* of a request, as they came */
    struct slice path, query;    /* the target's; "/" where it has none; query without the '?' */
    int status;                  /* of an answer */
    int minor;                   /* HTTP/1.minor: 0 or 1 */
    enum http_framing framing;
    uint64_t length; /* what Content-Length says, also where there is no body: HEAD, 304 */
    bool keep_alive; /* the connection may be used again after this message */
    bool upgrade;    /* 1.1: Connection has "upgrade", and there is an Upgrade field */
    bool expects;    /* 1.1: Expect: 100-continue */
    size_t nfields;
    struct http_field fields[MAX_HTTP_FIELDS];
};

/* How far the search for the end of a head has come. The zero value begins. */
struct http_scan {
    size_t at, line; /* scanned; start of the line that `at` is in */
    unsigned fields;
};

/* Look at what has arrived so far; what was looked at before is not looked at again. 0: not yet
 * complete; > 0: the head's length; < 0: minus the status to refuse it with: 400, 414 for a first
 * line of more than MAX_HTTP_LINE bytes with its end, 431 for more than MAX_HTTP_HEAD bytes or
 * MAX_HTTP_FIELDS fields. Empty lines before a request are skipped by the caller's not sending them
 * (RFC 9112 2.2). */
int http_scan(struct http_scan *s, const char *bytes, size_t n);

/* Take a complete head apart; exactly one, or it is refused. 0 or minus the status: those of
 * http_scan(), 501 for a transfer coding or a length of method that we do not know and for CONNECT,
 * 505. Targets are "/path", "http://host/path", and "*" for OPTIONS. `bytes` must stay where they
 * are for as long as *out is used. */
int http_parse_request(struct http_head *out, const char *bytes, size_t len);
/* The same for an answer; `to_head`: it answers a HEAD request, so has no body. */
int http_parse_answer(struct http_head *out, const char *bytes, size_t len, bool to_head);

/* The value of the first field of this name (case does not matter); .s NULL when there is none. */
struct slice http_field(const struct http_head *h, const char *name);
size_t http_count(const struct http_head *h, const char *name); /* of fields of this name */
bool http_is(struct slice s, const char *text);                 /* exactly */
bool http_is_nocase(struct slice s, const char *text);
/* Is `token` in the comma-separated list of this field (all fields of that name)? Parameters
 * after ';' are ignored; case does not matter; quotes mean nothing. */
bool http_lists(const struct http_head *h, const char *name, const char *token);

/* --- bodies ----------------------------------------------------------------------------------- */

struct http_body {
    enum http_framing framing;
    uint64_t left;  /* of the body, or of the chunk */
    uint8_t state;  /* within chunked framing */
    uint16_t extra; /* bytes of chunk extensions and trailers seen, bounded */
    bool done;      /* the whole body has been seen; never so by itself with HTTP_UNTIL_CLOSE */
};

void http_body_begin(struct http_body *b, const struct http_head *h);

/* Take the next piece out of `in`. Returns how many of the `n` bytes were used (0 when more are
 * needed or the body is done) and in *data the body's bytes among them (.n may be 0); or -400.
 * Bytes after the body are not touched: they are the next request. A chunk size has at most 16
 * hexadecimal digits and is below 2^63; extensions and trailers (ignored) of a whole body have at
 * most MAX_HTTP_EXTRA bytes. After -400 every further byte gives -400. */
int64_t http_body_next(struct http_body *b, const char *in, size_t n, struct slice *data);

/* --- targets ---------------------------------------------------------------------------------- */

/* Percent-decode `in` into out[cap], NUL-terminated; '+' is a plus. Its length, or -1: a broken
 * escape, an encoded NUL, or longer than cap - 1. */
int http_decode(struct slice in, char *out, size_t cap);

/* The next key=value of a query: *rest moves on. False at the end. Not decoded. Empty ones ("&&")
 * are skipped; without a '=' the value is empty. */
bool http_next_param(struct slice *rest, struct slice *key, struct slice *value);

#endif
