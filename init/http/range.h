/* range.h — parts of a content, and conditions on its version (RFC 9110 sections 8.8, 13 and 14).
 * PURE.
 */
#ifndef HTTP_RANGE_H
#define HTTP_RANGE_H

#include "http/head.h"

struct http_range {
    uint64_t from, len;
};

enum http_part {
    HTTP_WHOLE, /* 200: no range, or one that is to be ignored (another unit, several, broken) */
    HTTP_PART,  /* 206: *out is inside of the content, and not empty */
    HTTP_OUT_OF_RANGE /* 416 */
};

/* What a Range field (.s may be NULL) asks of a content of `size` bytes. An empty content is always
 * whole: some clients put the field into every request. */
enum http_part http_range(struct slice field, uint64_t size, struct http_range *out);

/* The Content-Range of a request: "bytes 5-9/10" gives 1, *out and *total; "bytes * /10" (without
 * the blank) 0 and *total. -EINVAL: anything else, also an unknown total. */
int http_content_range(struct slice field, struct http_range *out, uint64_t *total);

/* Is the version `etag`, with its quotes, in a list as of If-Match? "*" is any. `weak`: W/"x"
 * counts as "x" (for If-None-Match). */
bool http_etag_in(struct slice list, const char *etag, bool weak);

/* What conditions make of a GET or HEAD of a content that is there: 0: answer it; 304; 412. `mtime`
 * in seconds of unix time. */
int http_conditions(const struct http_head *h, const char *etag, int64_t mtime);
/* Does If-Range, if there is one, let the range count? */
bool http_if_range(const struct http_head *h, const char *etag, int64_t mtime);

enum { HTTP_DATE_TEXT = 30 };
/* "Sun, 06 Nov 1994 08:49:37 GMT". Returns out; "" for a time with a year that has not four digits.
 */
const char *http_date(char out[HTTP_DATE_TEXT], int64_t unix_s);
/* That, or one of the two forms of old (RFC 9110 section 5.6.7). -1: none of them. */
int64_t http_date_parse(struct slice s);

#endif
