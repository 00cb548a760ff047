/* Any bytes as a query, and as an answer to a query; the first byte chooses. Promises: what is
 * taken can be answered, its empty reply answers it, and a mark changes nothing but case. */
#include <stdlib.h>
#include <string.h>

#include "net/dns/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
    if (!ok)
        abort();
}

static void check_replies(const struct dns_query *q, const uint8_t *msg, size_t n) {
    static const char *const strings[] = { "one", "", "three" };
    uint8_t out[DNS_REPLY_EMPTY + 64];
    size_t len = dns_reply_empty(out, msg, n, DNS_SERVFAIL, true);
    must(len <= DNS_REPLY_EMPTY && dns_answers(q, q->id, out, len));
    must(dns_rcode_of(out) == DNS_SERVFAIL && dns_is_truncated(out));
    must(!dns_answers(q, (uint16_t)(q->id + 1), out, len));
    len = dns_reply_text(out, sizeof out, msg, n, strings, 3);
    must(len > 0 && dns_answers(q, q->id, out, len));
    for (size_t cap = 0; cap < len; cap += 7)
        must(dns_reply_text(out, cap, msg, n, strings, 3) == 0);
}

static void check_mark(const struct dns_query *q, uint8_t *msg, size_t n, uint64_t bits) {
    struct dns_query again;
    uint8_t before[DNS_MAX_QUESTION];
    memcpy(before, msg + DNS_HEADER, q->question_len);
    bool marked = dns_mark_case(msg, n, bits);
    must(marked == (memcmp(before, msg + DNS_HEADER, q->question_len) != 0));
    must(dns_query_parse(&again, msg, n) == 0 && again.question_len == q->question_len);
    must(memcmp(again.question, q->question, q->question_len) == 0);
}

static void as_query(uint8_t *msg, size_t n, uint64_t bits) {
    struct dns_query q;
    uint8_t out[DNS_REPLY_EMPTY];
    int rc = dns_query_parse(&q, msg, n);
    must(rc == -1 || rc == 0 || rc == DNS_FORMERR || rc == DNS_NOTIMP);
    must(rc == -1 || (q.udp_size >= DNS_PLAIN_UDP && q.question_len <= DNS_MAX_QUESTION));
    must(dns_reply_empty(out, msg, n, DNS_FORMERR, false) <= sizeof out);
    (void)dns_asks_chaos_text(&q, "stats.pinnace.");
    if (rc == 0) {
        check_replies(&q, msg, n);
        check_mark(&q, msg, n, bits);
    }
}

/* To a query whose question is taken from the answer itself, so that it is often one. */
static void as_answer(uint8_t *msg, size_t n) {
    struct dns_query q;
    uint8_t *query = malloc(n + !n);
    if (!query)
        return;
    memcpy(query, msg, n);
    if (n >= DNS_HEADER) {
        query[2] &= 0x7f;
        msg[2] |= 0x80;
    }
    if (dns_query_parse(&q, query, n) == 0)
        must(dns_answers(&q, q.id, msg, n));
    else
        (void)dns_answers(&q, q.id, msg, n);
    free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1)
        return 0;
    size_t n = size - 1;
    uint8_t *msg = malloc(n + !n); /* of the exact size, for the sanitizer's sake */
    if (!msg)
        return 0;
    memcpy(msg, data + 1, n);
    if (data[0] & 1)
        as_answer(msg, n);
    else
        as_query(msg, n, data[0] * 0x0101010101010101u);
    free(msg);
    return 0;
}
