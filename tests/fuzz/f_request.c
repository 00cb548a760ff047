/* Any bytes as an HTTP request: the verdict does not depend on how they are cut, and what is
 * taken keeps to RFC 9112's strict form. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "channel/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A second, slower opinion on some of what must not be in an accepted head. */
static void check_head(const char *head, size_t n, const struct request *r) {
    size_t lf = 0, crlf = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)head[i];
        lf += c == '\n';
        crlf += c == '\n' && i > 0 && head[i - 1] == '\r';
        if ((c < ' ' && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            abort();
        if (c == '\r' && (i + 1 == n || head[i + 1] != '\n'))
            abort();
        if (c == '\n' && i + 1 < n && (head[i + 1] == ' ' || head[i + 1] == '\t'))
            abort();
    }
    if (lf != crlf || lf > 102 || n > MAX_REQUEST || memcmp(head + n - 4, "\r\n\r\n", 4) != 0)
        abort();
    if (r->path[0] != '/' || strlen(r->path) >= sizeof r->path || strpbrk(r->path, " ?\t"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct request r, part;
    const char *bytes = (const char *)data;
    if (size == 0)
        return 0;
    int rc = request_parse(bytes, size, &r);
    if (rc > (int)size || (rc < 0 && (rc > -400 || rc < -599)))
        abort();
    if (rc > 0)
        check_head(bytes, (size_t)rc, &r);
    if (rc == 0 && size >= MAX_REQUEST)
        abort();
    /* A shorter piece is judged alike, or not yet. */
    size_t cut = size / 2 + data[size - 1] % (size - size / 2);
    int early = request_parse(bytes, cut, &part);
    if (early != 0 && early != rc)
        abort();
    return 0;
}
