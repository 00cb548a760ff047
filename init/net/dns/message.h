/* message.h — PURE: DNS messages as a forwarder sees them (RFC 1035 4, RFC 6891).
 *
 * Bytes of strangers: nothing is read past `len`, and what is not understood is refused.
 */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DNS_HEADER = 12,
    DNS_MAX_UDP = 65535,    /* bytes of a message; also over TCP, behind two of length */
    DNS_PLAIN_UDP = 512,    /* bytes a client takes that does not speak EDNS */
    DNS_MAX_QUESTION = 259, /* name 255, type and class */
    DNS_REPLY_EMPTY = DNS_HEADER + DNS_MAX_QUESTION + 11 /* with an OPT record */
};

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5
};

/* A query as it came. */
struct dns_query {
    uint16_t id;
    uint8_t question[DNS_MAX_QUESTION]; /* name in lower case, type, class */
    uint16_t question_len;
    uint16_t type, class;
    uint16_t udp_size; /* what the client can take over UDP: 512, or what its OPT record says */
    bool edns;
};

/* 0 for a standard query with one question; else the dns_rcode to answer with; -1 for what
 * is not to be answered at all (too short, or itself an answer). */
int dns_query_parse(struct dns_query *q, const uint8_t *msg, size_t len);

/* Does this message answer that query: QR set, the same id and question? `id` is the one we
 * sent. Compares names without case (RFC 4343). */
bool dns_answers(const struct dns_query *q, uint16_t id, const uint8_t *msg, size_t len);

/* Is it for the TXT records of class CHAOS of this name ("stats.pinnace.", in lower case)? */
bool dns_asks_chaos_text(const struct dns_query *q, const char *name);

enum dns_rcode dns_rcode_of(const uint8_t *msg);
bool dns_is_truncated(const uint8_t *msg);
void dns_set_id(uint8_t *msg, uint16_t id);

/* Give the question's letters the case that `bits` say, another one than they have. False if it
 * has no letters. */
bool dns_mark_case(uint8_t *msg, size_t len, uint64_t bits);

/* An answer without records: header and question of the query, with this rcode (and TC).
 * `out` holds DNS_REPLY_EMPTY bytes; returns the length. */
size_t dns_reply_empty(uint8_t *out, const uint8_t *query, size_t len, enum dns_rcode rcode,
                       bool truncated);

/* One TXT record of class CH (or whatever the question's class is) with these strings, each of
 * at most 255 bytes. Returns the length, 0 if it does not fit into `cap`. */
size_t dns_reply_text(uint8_t *out, size_t cap, const uint8_t *query, size_t len,
                      const char *const *strings, size_t n);

/* The question for a forwarder's own counts: stats.pinnace, TXT, class CHAOS. Returns the length.
 */
enum { DNS_STATS_QUERY = 31 };
size_t dns_stats_query(uint8_t out[DNS_STATS_QUERY], uint16_t id);

/* The strings of the first TXT record of an answer, one space between them, cut at `cap`. False
 * when there is none, or the message is malformed. */
bool dns_first_text(const uint8_t *msg, size_t len, char *out, size_t cap);

#endif
