/* request.h — the head of an HTTP/1.1 request. Pure; strict; no body is accepted. */
#ifndef CHANNEL_REQUEST_H
#define CHANNEL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
    bool head;       /* HEAD: everything but the body */
    char path[64];   /* without the query */
    uint64_t after;  /* ?after=N: answer when seq is above N; 0 */
    bool has_origin; /* a browser sent it */
};

/* Look at `n` bytes that arrived. 0: the head is not complete; > 0: its length, *out is
 * filled; < 0: minus the HTTP status to refuse it with (RFC 9112 sections 2-5: bare LF,
 * obs-fold, no Host, a body, another version or method are all refused). */
int request_parse(const char *bytes, size_t n, struct request *out);

#endif
