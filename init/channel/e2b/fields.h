/* fields.h — what header fields say of a file, and of how it is to be sent. PURE. */
#ifndef CHANNEL_E2B_FIELDS_H
#define CHANNEL_E2B_FIELDS_H

#include "base/str.h"
#include "http/head.h"

/* What Accept-Encoding makes of an answer (RFC 9110 section 12.5.3). */
struct codings {
    bool identity; /* it may go as it is */
    bool gzip;     /* it may go as gzip, and identity is not preferred to that */
    bool wanted;   /* gzip is more than one of all that a client's library can do */
};
struct codings codings_accepted(const struct http_head *h);

struct sending {
    const char *type; /* media type */
    uint64_t size;
    bool particular;     /* a part of it, or a version: bytes have to fit those that are there */
    uint32_t round_trip; /* to the client, in us; 0: not known */
};
enum sent_as { SENT_PLAIN, SENT_GZIP, SENT_NOT };
/* How it is to be sent. Near by, bytes cost less than the time to pack them, and most clients say
 * that they take gzip only because their library does. */
enum sent_as coding_choose(struct codings c, const struct sending *s);

enum body_coding { BODY_PLAIN, BODY_GZIP, BODY_UNKNOWN };
/* What Content-Encoding says of the request's body. */
enum body_coding body_coding(const struct http_head *h);

/* Content-Disposition of a file that may be shown, with its name (RFC 6266, RFC 8187). */
void put_disposition(struct text *out, const char *name);

enum { METADATA_PREFIX = sizeof "user.e2b." - 1 };

/* X-Metadata-KEY: VALUE; keys in small letters. */
struct metadata {
    const char *entries[MAX_HTTP_FIELDS + 1]; /* "key=value", NULL-terminated */
    char bytes[MAX_METADATA];
};
/* 0; -EINVAL, with `e` for what is wrong: a key or value that is too long, or is not printable
 * ASCII. Of a key that is there twice the first one counts. */
int metadata_take(struct metadata *m, const struct http_head *h, struct err *e);

/* If-Match of a write: versions as they are given, where those of an answer in another coding count
 * as the file's. False: too long for `out`. */
bool put_versions(struct text *out, struct slice if_match);

#endif
