#include "net/dns/message.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/tap.h"

/* A query for Example.org A IN, id 0x1234, RD; 29 bytes. */
static const uint8_t plain[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
                               "\7Example\3oRg\0\0\1\0\1";
enum { PLAIN = sizeof plain - 1, NAME = 13 };
/* OPT: root, 41, size 1232, no flags, no data. */
static const uint8_t opt[] = "\0\0\x29\x04\xd0\0\0\0\0\0\0";
enum { OPT = sizeof opt - 1 };

/* Parse a copy of exactly that size: a read past it ends the test under ASan. */
static int parse(struct dns_query *q, const uint8_t *msg, size_t len) {
    uint8_t *copy = malloc(len + !len);
    memcpy(copy, msg, len);
    int rc = dns_query_parse(q, copy, len);
    free(copy);
    return rc;
}

static size_t with_opt(uint8_t *out) {
    memcpy(out, plain, PLAIN);
    memcpy(out + PLAIN, opt, OPT);
    out[11] = 1;
    return PLAIN + OPT;
}

static void plain_query(void) {
    struct dns_query q;
    OK(parse(&q, plain, PLAIN) == 0, "a query");
    OK(q.id == 0x1234 && q.type == 1 && q.class == 1, "id, type, class");
    OK(q.question_len == NAME + 4 && memcmp(q.question, "\7example\3org\0\0\1\0\1", NAME + 4) == 0,
       "the question, in lower case");
    OK(!q.edns && q.udp_size == 512, "no EDNS: 512 bytes");
    int wrong = 0;
    for (size_t n = 0; n < PLAIN; n++)
        wrong += parse(&q, plain, n) != (n < DNS_HEADER ? -1 : DNS_FORMERR);
    OK(wrong == 0, "cut anywhere: no message, or a bad one");
}

static void edns(void) {
    uint8_t m[128];
    struct dns_query q;
    size_t n = with_opt(m);
    OK(parse(&q, m, n) == 0 && q.edns && q.udp_size == 1232, "EDNS says 1232");
    m[PLAIN + 3] = 0, m[PLAIN + 4] = 100;
    OK(parse(&q, m, n) == 0 && q.edns && q.udp_size == 512, "less than 512 is 512 (RFC 6891)");
    m[PLAIN + 3] = m[PLAIN + 4] = 0xff;
    OK(parse(&q, m, n) == 0 && q.udp_size == 65535, "the largest");
    int wrong = 0;
    for (size_t k = PLAIN; k < n; k++)
        wrong += parse(&q, m, k) != DNS_FORMERR;
    OK(wrong == 0, "an OPT cut anywhere");
    memcpy(m + n, opt, OPT);
    OK(parse(&q, m, n + OPT) == DNS_FORMERR, "bytes behind the end");
    m[11] = 2;
    OK(parse(&q, m, n + OPT) == DNS_FORMERR, "two OPTs");
    n = with_opt(m);
    m[11] = 0, m[9] = 1;
    OK(parse(&q, m, n) == DNS_FORMERR, "an OPT among the authorities");
    n = with_opt(m);
    m[n - 1] = 1;
    OK(parse(&q, m, n) == DNS_FORMERR, "data longer than the message");
    m[n] = 7;
    OK(parse(&q, m, n + 1) == 0 && q.edns, "an OPT with data");
    n = with_opt(m);
    memmove(m + PLAIN + 2, m + PLAIN + 1, OPT - 1);
    m[PLAIN] = 0xc0, m[PLAIN + 1] = 12;
    OK(parse(&q, m, n + 1) == DNS_FORMERR, "an OPT that has a name");
    m[PLAIN + 3] = 16;
    OK(parse(&q, m, n + 1) == 0 && !q.edns, "another record with a compressed name is fine");
}

static void refused(void) {
    uint8_t m[512];
    struct dns_query q;
    memcpy(m, plain, PLAIN);
    m[2] = 0x81;
    OK(parse(&q, m, PLAIN) == -1, "an answer is no query");
    m[2] = 0x01 | 5 << 3;
    OK(parse(&q, m, PLAIN) == DNS_NOTIMP && q.id == 0x1234, "UPDATE is not implemented");
    m[2] = 0x01, m[5] = 0;
    OK(parse(&q, m, PLAIN) == DNS_FORMERR, "no question");
    m[5] = 2;
    OK(parse(&q, m, PLAIN) == DNS_FORMERR, "two questions");
    m[5] = 1, m[12] = 0xc0;
    OK(parse(&q, m, PLAIN) == DNS_FORMERR, "a pointer in the question");
    m[12] = 0x40;
    OK(parse(&q, m, PLAIN) == DNS_FORMERR, "a label of 64");
    m[12] = 7, m[4] = 1;
    OK(parse(&q, m, PLAIN) == DNS_FORMERR, "257 questions are not one");
}

/* Labels of 63 until the name has `total` bytes on the wire. */
static size_t long_name(uint8_t *m, size_t total) {
    memcpy(m, plain, DNS_HEADER);
    size_t at = DNS_HEADER, left = total - 1;
    while (left > 0) {
        size_t label = left - 1 > 63 ? 63 : left - 1;
        m[at] = (uint8_t)label;
        memset(m + at + 1, 'A', label);
        at += 1 + label;
        left -= 1 + label;
    }
    memcpy(m + at, "\0\0\1\0\1", 5);
    return at + 5;
}

static void names(void) {
    uint8_t m[600], out[DNS_REPLY_EMPTY];
    struct dns_query q;
    size_t n = long_name(m, 255);
    OK(parse(&q, m, n) == 0 && q.question_len == DNS_MAX_QUESTION, "a name of 255 bytes");
    OK(dns_reply_empty(out, m, n, DNS_SERVFAIL, false) == n, "which can be answered");
    n = long_name(m, 256);
    OK(parse(&q, m, n) == DNS_FORMERR, "a name of 256 is too long");
    OK(dns_reply_empty(out, m, n, DNS_FORMERR, false) == DNS_HEADER && out[5] == 0,
       "and not repeated");
    n = long_name(m, 1);
    OK(parse(&q, m, n) == 0 && q.question_len == 5, "the root");
}

static void answers(void) {
    uint8_t m[64];
    struct dns_query q;
    (void)parse(&q, plain, PLAIN);
    memcpy(m, plain, PLAIN);
    m[2] |= 0x80;
    OK(dns_answers(&q, 0x1234, m, PLAIN), "an answer");
    OK(!dns_answers(&q, 0x1235, m, PLAIN) && !dns_answers(&q, 0x3412, m, PLAIN), "another id");
    OK(!dns_answers(&q, 0x1234, plain, PLAIN), "no answer: QR is not set");
    int wrong = 0;
    for (size_t n = 0; n < PLAIN; n++)
        wrong += dns_answers(&q, 0x1234, m, n);
    OK(wrong == 0, "cut anywhere, it is none");
    m[13] ^= 0x20;
    OK(dns_answers(&q, 0x1234, m, PLAIN), "case does not matter (RFC 4343)");
    wrong = 0;
    for (size_t i = DNS_HEADER; i < PLAIN; i++) {
        m[i] ^= 0x01;
        wrong += dns_answers(&q, 0x1234, m, PLAIN);
        m[i] ^= 0x01;
    }
    OK(wrong == 0, "any other byte of the question, and it is none");
    m[5] = 0;
    OK(!dns_answers(&q, 0x1234, m, PLAIN), "without a question it is none");
    m[5] = 1, m[2] |= 4 << 3;
    OK(!dns_answers(&q, 0x1234, m, PLAIN), "another opcode");
    /* '@' and '[' are beside the letters; '`' would be '@' in lower case if done by one bit */
    uint8_t odd[] = "\0\1\1\0\0\1\0\0\0\0\0\0\1@\0\0\1\0\1";
    (void)parse(&q, odd, sizeof odd - 1);
    odd[2] |= 0x80, odd[13] = '`';
    OK(!dns_answers(&q, 1, odd, sizeof odd - 1), "only letters have a case");
}

static void fields(void) {
    uint8_t m[PLAIN];
    memcpy(m, plain, PLAIN);
    m[3] = 0xf5;
    OK(dns_rcode_of(m) == DNS_REFUSED, "the rcode, without its neighbours");
    OK(!dns_is_truncated(m), "not truncated");
    m[2] |= 2;
    OK(dns_is_truncated(m), "truncated");
    dns_set_id(m, 0xabcd);
    OK(m[0] == 0xab && m[1] == 0xcd && m[2] == 3, "the id is set, no more");
}

static void empty_replies(void) {
    uint8_t m[128], out[DNS_REPLY_EMPTY];
    struct dns_query q;
    size_t n = dns_reply_empty(out, plain, PLAIN, DNS_SERVFAIL, false);
    (void)parse(&q, plain, PLAIN);
    OK(n == PLAIN && dns_answers(&q, 0x1234, out, n) && dns_rcode_of(out) == DNS_SERVFAIL,
       "SERVFAIL answers the query");
    OK(memcmp(out + DNS_HEADER, plain + DNS_HEADER, PLAIN - DNS_HEADER) == 0,
       "in the case of the question");
    OK(out[2] == 0x81 && out[3] == 0x82, "QR, RD as asked, RA");
    n = dns_reply_empty(out, plain, PLAIN, DNS_NOERROR, true);
    OK(dns_is_truncated(out) && dns_rcode_of(out) == 0, "TC");
    size_t len = with_opt(m);
    m[3] = 0x10;
    n = dns_reply_empty(out, m, len, DNS_NOERROR, true);
    OK(n == len && out[11] == 1 && memcmp(out + PLAIN, "\0\0\x29", 3) == 0 && (out[3] & 0x10),
       "EDNS is answered with EDNS; CD is kept");
    n = dns_reply_empty(out, plain, PLAIN - 1, DNS_FORMERR, false);
    OK(n == DNS_HEADER && out[5] == 0 && out[0] == 0x12, "of a broken query: the header");
    OK(dns_reply_empty(out, plain, 11, DNS_FORMERR, false) == 0, "of less than a header: nothing");
    memcpy(m, plain, PLAIN);
    m[2] = 5 << 3;
    n = dns_reply_empty(out, m, PLAIN, DNS_NOTIMP, false);
    OK(n == PLAIN && out[2] == (0x80 | 5 << 3), "the opcode is kept");
}

static const uint8_t chaos[] = "\0\7\0\0\0\1\0\0\0\0\0\0\5Stats\7PINNACE\0\0\x10\0\3";
enum { CHAOS = sizeof chaos - 1 };

static void text(void) {
    uint8_t out[1024], m[CHAOS];
    char big[257] = { 0 };
    struct dns_query q;
    (void)parse(&q, chaos, CHAOS);
    OK(dns_asks_chaos_text(&q, "stats.pinnace."), "the name, in any case");
    OK(!dns_asks_chaos_text(&q, "stats.pinnacE.") && !dns_asks_chaos_text(&q, "tats.pinnaces.") &&
           !dns_asks_chaos_text(&q, "stats.") && !dns_asks_chaos_text(&q, "stats.pinnace.x.") &&
           !dns_asks_chaos_text(&q, "stats7pinnace."),
       "other names");
    memcpy(m, chaos, CHAOS);
    m[CHAOS - 1] = 1;
    (void)parse(&q, m, CHAOS);
    OK(!dns_asks_chaos_text(&q, "stats.pinnace."), "another class");
    m[CHAOS - 1] = 3, m[CHAOS - 3] = 1;
    (void)parse(&q, m, CHAOS);
    OK(!dns_asks_chaos_text(&q, "stats.pinnace."), "another type");
    memset(big, 'x', 255);
    const char *strings[] = { "one", "", big };
    size_t n = dns_reply_text(out, sizeof out, chaos, CHAOS, strings, 3);
    OK(n == CHAOS + 12 + 4 + 1 + 256 && out[7] == 1 && out[2] == 0x84, "one record, AA");
    OK(memcmp(out + CHAOS, "\xc0\x0c\0\x10\0\3\0\0\0\0\1\5\3one\0\xffx", 19) == 0,
       "its bytes: pointer, TXT, CH, TTL 0, 261 bytes, strings");
    OK(dns_reply_text(out, n, chaos, CHAOS, strings, 3) == n, "it may just fit");
    OK(dns_reply_text(out, n - 1, chaos, CHAOS, strings, 3) == 0, "or just not");
    big[255] = 'x';
    OK(dns_reply_text(out, sizeof out, chaos, CHAOS, strings, 3) == 0, "a string of 256");
    OK(dns_reply_text(out, sizeof out, chaos, CHAOS - 1, strings, 1) == 0, "no question");
    OK(dns_reply_text(out, sizeof out, chaos, CHAOS, strings, 0) == 0, "no strings");
    uint8_t e[CHAOS + OPT];
    memcpy(e, chaos, CHAOS);
    memcpy(e + CHAOS, opt, OPT);
    e[11] = 1;
    n = dns_reply_text(out, sizeof out, e, sizeof e, strings, 1);
    OK(n == CHAOS + 12 + 4 + OPT && out[11] == 1, "with EDNS as asked");
    OK(dns_reply_text(out, n - 1, e, sizeof e, strings, 1) == 0, "which is counted, too");
}

int main(void) {
    plain_query();
    edns();
    refused();
    names();
    answers();
    fields();
    empty_replies();
    text();
    return tap_end();
}
