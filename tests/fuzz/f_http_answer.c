/* Any bytes, in pieces of any size: the same verdict as in one piece, within bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "probes/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(struct http_answer *a, const char *bytes, size_t n, size_t piece) {
    struct err e = { 0 };
    int rc = 0;
    for (size_t at = 0; at < n && rc == 0; at += piece)
        rc = http_answer_feed(a, bytes + at, n - at < piece ? n - at : piece, &e);
    if (rc < 0 && !e.text[0])
        abort();
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct http_answer whole, parts;
    if (size < 1)
        return 0;
    const char *find = data[0] & 1 ? "ready" : NULL;
    size_t piece = 1 + (data[0] >> 1);
    const char *bytes = (const char *)data + 1;
    http_answer_init(&whole, find);
    http_answer_init(&parts, find);
    int one = feed(&whole, bytes, size - 1, size);
    int many = feed(&parts, bytes, size - 1, piece);
    if (one < 0 || many < 0)
        return 0; /* found early or late, wrong is wrong; yes may have come before it */
    if (one != many || whole.status != parts.status || whole.found != parts.found)
        abort();
    if (whole.status != 0 && (whole.status < 101 || whole.status > 599))
        abort();
    return 0;
}
