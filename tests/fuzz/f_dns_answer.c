/* Any bytes as the answer to a query of ours. The first byte decides whether the id and
 * the question are copied in, so that what comes after them is reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "probes/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t query[DNS_QUERY_CAP];
    if (size < 1)
        return 0;
    enum dns_type type = data[0] & 2 ? DNS_AAAA : DNS_A;
    size_t len = dns_query_build(query, 0x1234, "a.example", type), n = size - 1;
    uint8_t *msg = malloc(n + !n); /* of the exact size, for the sanitizer's sake */
    if (!msg)
        return 0;
    memcpy(msg, data + 1, n);
    if ((data[0] & 1) && n >= len) {
        memcpy(msg, query, 2);
        msg[2] = (uint8_t)((msg[2] & 0x07) | 0x80);
        memcpy(msg + 4, query + 4, 2);
        memcpy(msg + 12, query + 12, len - 12);
    }
    struct dns_answer a;
    int rc = dns_answer_parse(&a, msg, n, query, len);
    if (rc == 1 && (a.rcode > 15 || a.records > n / 12))
        abort();
    if ((data[0] & 1) && n >= len && rc == 0)
        abort(); /* it is an answer to us, good or bad */
    free(msg);
    return 0;
}
