/* parse.h — the parts of probes that look at bytes and at nothing else. PURE.
 *
 * Specs come from whoever configures the box, answers from whatever is asked;
 * the latter are hostile until proven otherwise, and both are fuzzed.
 */
#ifndef PROBES_PARSE_H
#define PROBES_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/limits.h"

enum {
    UNIX_PATH_CAP = 108, /* bytes of sun_path, NUL included: unix(7) */
    DNS_QUERY_CAP = 272, /* header 12, name 255, type and class 4: RFC 1035 4.1 */
    DNS_PORT = 53,
    HTTP_PORT = 80,
};

/* --- where to ask --- */

struct endpoint {
    char host[MAX_PROBE_HOST]; /* a name, or an address without brackets */
    uint16_t port;
};

enum endpoint_rule {
    HOST_OR_NAME = 0,
    HOST_OPTIONAL = 1, /* a bare PORT means localhost */
    HOST_LITERAL = 2,  /* only an address will do */
};

/* "HOST:PORT", "[V6]:PORT"; the port may be left out if `port` is not 0. `what` begins
 * the messages: "tcp port '99999' is not 1-65535". */
int endpoint_parse(struct endpoint *out, const char *text, const char *what, uint16_t port,
                   enum endpoint_rule rule, struct err *e);

/* An absolute path without control bytes; shorter than `cap`. */
int path_check(const char *path, const char *what, size_t cap, struct err *e);

/* --- HTTP: RFC 9112 --- */

struct http_url {
    char socket[UNIX_PATH_CAP]; /* http+unix: the socket; else "" and `to` counts */
    struct endpoint to;
    char host[MAX_PROBE_HOST + 8];   /* for the Host field: as written in the URL */
    char target[MAX_PROBE_SPEC + 1]; /* path and query; begins with a slash */
};

/* http://HOST[:PORT][/PATH] or http+unix:///SOCKET[:/PATH]; a fragment is left out. */
int http_url_parse(struct http_url *out, const char *url, struct err *e);

enum http_state {
    HTTP_STATUS,
    HTTP_HEADER,
    HTTP_BODY,       /* `left` bytes */
    HTTP_CHUNK_SIZE, /* RFC 9112 7.1 */
    HTTP_CHUNK,
    HTTP_CHUNK_END,
    HTTP_DONE,
};

/* An answer as it comes in, of any size, in constant memory. */
struct http_answer {
    enum http_state state;
    const char *find; /* text to look for in the body; NULL: the status is enough */
    bool found;
    int status;      /* 0 until a final (not 1xx) status line has come */
    char phrase[64]; /* its words */
    bool chunked;
    uint64_t left;  /* of the body or of the chunk; UINT64_MAX: until the end of the stream */
    size_t head;    /* bytes of the head so far */
    char line[256]; /* the line being read, cut */
    size_t line_len;
    char body[MAX_PROBE_OUTPUT];
    size_t body_len;
};

void http_answer_init(struct http_answer *a, const char *find);

/* Take bytes. 1: all that was wanted is there, feed no more. 0: more is needed.
 * -EPROTO: this is not HTTP/1, with the reason in `e`. */
int http_answer_feed(struct http_answer *a, const char *bytes, size_t n, struct err *e);

/* --- DNS: RFC 1035 --- */

enum dns_type { DNS_A = 1, DNS_AAAA = 28 }; /* RFC 1035 3.2.2, RFC 3596 2.1 */

struct dns_answer {
    bool truncated;
    unsigned rcode;
    unsigned records; /* of the type that was asked for */
};

/* Labels of 1..63 bytes, at most 253 in all, maybe a dot at the end. */
int dns_name_check(const char *name, struct err *e);

/* Write a query for `name`, which was checked; returns its length, at most DNS_QUERY_CAP. */
size_t dns_query_build(uint8_t out[DNS_QUERY_CAP], uint16_t id, const char *name,
                       enum dns_type type);

/* 1: `msg` answers `query`. 0: it does not (another id or question: a late or forged
 * one), go on waiting. -EBADMSG: it does, and is malformed. A message cut by the reader
 * (`n` smaller than what was sent) is read as far as it goes. */
int dns_answer_parse(struct dns_answer *out, const uint8_t *msg, size_t n, const uint8_t *query,
                     size_t query_len);

/* "NXDOMAIN" and so on; "rcode 9" in `buf` for those without a name. */
const char *dns_rcode_text(unsigned rcode, char *buf, size_t cap);

/* The first `max` nameservers of a resolv.conf(5), as written; returns how many. The
 * search list is not read: a probe asks for the name as it was written. */
size_t resolv_nameservers(const char *text, char out[][MAX_PROBE_HOST], size_t max);

#endif
