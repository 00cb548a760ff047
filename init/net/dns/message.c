/* PURE: see message.h. */
#include "net/dns/message.h"

#include <string.h>

enum {
    FLAG_QR = 0x80, /* of byte 2 */
    FLAG_AA = 0x04,
    FLAG_TC = 0x02,
    FLAG_RD = 0x01,
    FLAG_RA = 0x80, /* of byte 3 */
    FLAG_CD = 0x10,
    OPCODE_BITS = 0x78,
    OPCODE_QUERY = 0,
    RCODE_BITS = 0x0f,
    MAX_DNS_NAME = 255, /* bytes on the wire (RFC 1035 2.3.4) */
    MAX_DNS_LABEL = 63,
    POINTER = 0xc0,     /* RFC 1035 4.1.4 */
    FIXED_QUESTION = 4, /* type, class */
    FIXED_RECORD = 10,  /* type, class, TTL, length of the data */
    TYPE_TXT = 16,
    TYPE_OPT = 41, /* RFC 6891 6.1.1 */
    CLASS_CHAOS = 3,
    OPT_BYTES = 11,       /* root, type, size, extended rcode and flags, no data */
    OPT_SIZE = 4096,      /* bytes over UDP that we say to take */
    MAX_DNS_STRING = 255, /* RFC 1035 3.3 */
    DNS_RECORD_SECTIONS = 3,
};

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }

static uint8_t *put16(uint8_t *at, size_t value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t lower(uint8_t c) { return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 'a' - 'A') : c; }

/* Bytes of the name at `at`, 0 if it is none. A pointer ends it, where `pointers` are allowed:
 * where it points to is of no interest to us. */
static size_t name_len(const uint8_t *msg, size_t len, size_t at, bool pointers) {
    size_t from = at;
    while (at < len && msg[at] != 0) {
        if ((msg[at] & POINTER) == POINTER)
            return pointers && at + 2 <= len ? at + 2 - from : 0;
        if (msg[at] > MAX_DNS_LABEL)
            return 0;
        at += 1 + (size_t)msg[at];
        if (at - from >= MAX_DNS_NAME)
            return 0;
    }
    return at < len ? at + 1 - from : 0;
}

/* Bytes of the one question, 0 if there is not exactly one, whole and without pointers. */
static size_t question_len(const uint8_t *msg, size_t len) {
    if (len < DNS_HEADER || get16(msg + 4) != 1)
        return 0;
    size_t n = name_len(msg, len, DNS_HEADER, false);
    return n > 0 && DNS_HEADER + n + FIXED_QUESTION <= len ? n + FIXED_QUESTION : 0;
}

/* The only thing in a record that a forwarder wants to know: is it the OPT, and what size? */
static bool take_opt(struct dns_query *q, const uint8_t *fixed, size_t owner_len, bool additional) {
    if (get16(fixed) != TYPE_OPT)
        return true;
    if (q->edns || owner_len != 1 || !additional)
        return false;
    q->edns = true;
    if (get16(fixed + 2) > DNS_PLAIN_UDP)
        q->udp_size = get16(fixed + 2);
    return true;
}

/* Walk the records behind the question; false unless they fill the message exactly. */
static bool take_records(struct dns_query *q, const uint8_t *msg, size_t len, size_t at) {
    for (size_t section = 0; section < DNS_RECORD_SECTIONS; section++)
        for (unsigned n = get16(msg + 6 + 2 * section); n > 0; n--) {
            size_t owner = name_len(msg, len, at, true);
            if (owner == 0 || at + owner + FIXED_RECORD > len)
                return false;
            const uint8_t *fixed = msg + at + owner;
            at += owner + FIXED_RECORD + get16(fixed + 8);
            if (at > len || !take_opt(q, fixed, owner, section == DNS_RECORD_SECTIONS - 1))
                return false;
        }
    return at == len;
}

int dns_query_parse(struct dns_query *q, const uint8_t *msg, size_t len) {
    *q = (struct dns_query){ .udp_size = DNS_PLAIN_UDP };
    if (len < DNS_HEADER || (msg[2] & FLAG_QR))
        return -1;
    q->id = get16(msg);
    if ((msg[2] & OPCODE_BITS) != OPCODE_QUERY)
        return DNS_NOTIMP;
    size_t n = question_len(msg, len);
    if (n == 0)
        return DNS_FORMERR;
    q->question_len = (uint16_t)n;
    for (size_t i = 0; i < n; i++) /* lengths of labels are below 'A' */
        q->question[i] = i < n - FIXED_QUESTION ? lower(msg[DNS_HEADER + i]) : msg[DNS_HEADER + i];
    q->type = get16(q->question + n - FIXED_QUESTION);
    q->class = get16(q->question + n - 2);
    return take_records(q, msg, len, DNS_HEADER + n) ? 0 : DNS_FORMERR;
}

bool dns_answers(const struct dns_query *q, uint16_t id, const uint8_t *msg, size_t len) {
    if (len < DNS_HEADER || !(msg[2] & FLAG_QR) || (msg[2] & OPCODE_BITS) != OPCODE_QUERY ||
        get16(msg) != id)
        return false;
    size_t n = question_len(msg, len);
    if (n == 0 || n != q->question_len)
        return false;
    for (size_t i = 0; i < n - FIXED_QUESTION; i++)
        if (lower(msg[DNS_HEADER + i]) != q->question[i])
            return false;
    size_t fixed = n - FIXED_QUESTION;
    return memcmp(msg + DNS_HEADER + fixed, q->question + fixed, FIXED_QUESTION) == 0;
}

bool dns_asks_chaos_text(const struct dns_query *q, const char *name) {
    size_t at = 0, n = strlen(name);
    if (q->type != TYPE_TXT || q->class != CLASS_CHAOS)
        return false;
    if (q->question_len != n + 1 + FIXED_QUESTION) /* dots become lengths; one at the front */
        return false;
    for (size_t label = 0; *name; name += label + 1) {
        label = strcspn(name, ".");
        if (q->question[at] != label || memcmp(q->question + at + 1, name, label) != 0)
            return false;
        at += 1 + label;
    }
    return q->question[at] == 0;
}

enum dns_rcode dns_rcode_of(const uint8_t *msg) { return msg[3] & RCODE_BITS; }

bool dns_is_truncated(const uint8_t *msg) { return (msg[2] & FLAG_TC) != 0; }

void dns_set_id(uint8_t *msg, uint16_t id) { (void)put16(msg, id); }

bool dns_mark_case(uint8_t *msg, size_t len, uint64_t bits) {
    enum { CASE_BIT = 0x20 };
    size_t n = question_len(msg, len), last = 0;
    bool changed = false;
    for (size_t i = 0; n > 0 && i < n - FIXED_QUESTION; i++) {
        uint8_t *c = &msg[DNS_HEADER + i];
        if (lower(*c) < 'a' || lower(*c) > 'z')
            continue;
        last = DNS_HEADER + i;
        changed = changed || (bits & 1);
        *c ^= (bits & 1) ? CASE_BIT : 0;
        bits = bits >> 1 | bits << 63;
    }
    if (last && !changed)
        msg[last] ^= CASE_BIT;
    return last > 0;
}

/* Header and question as they were, turned into an answer without records. */
static size_t begin_reply(uint8_t *out, const uint8_t *query, size_t len) {
    size_t n = question_len(query, len);
    memset(out, 0, DNS_HEADER);
    memcpy(out, query, 2);
    out[2] = (uint8_t)(FLAG_QR | (query[2] & (OPCODE_BITS | FLAG_RD)));
    out[3] = (uint8_t)(FLAG_RA | (query[3] & FLAG_CD));
    (void)put16(out + 4, n > 0);
    memcpy(out + DNS_HEADER, query + DNS_HEADER, n);
    return DNS_HEADER + n;
}

/* Who asks with EDNS is answered with EDNS (RFC 6891 6.1.1). */
static size_t add_opt(uint8_t *out, size_t at) {
    memset(out + at, 0, OPT_BYTES);
    (void)put16(put16(out + at + 1, TYPE_OPT), OPT_SIZE);
    (void)put16(out + 10, 1);
    return at + OPT_BYTES;
}

static bool has_edns(const uint8_t *query, size_t len) {
    struct dns_query q;
    (void)dns_query_parse(&q, query, len);
    return q.edns;
}

size_t dns_reply_empty(uint8_t *out, const uint8_t *query, size_t len, enum dns_rcode rcode,
                       bool truncated) {
    if (len < DNS_HEADER)
        return 0;
    size_t at = begin_reply(out, query, len);
    out[2] = (uint8_t)(out[2] | (truncated ? FLAG_TC : 0));
    out[3] = (uint8_t)(out[3] | (rcode & RCODE_BITS));
    return has_edns(query, len) ? add_opt(out, at) : at;
}

size_t dns_reply_text(uint8_t *out, size_t cap, const uint8_t *query, size_t len,
                      const char *const *strings, size_t n) {
    size_t question = question_len(query, len), data = 0;
    bool edns = question > 0 && has_edns(query, len);
    for (size_t i = 0; i < n; i++) {
        if (strlen(strings[i]) > MAX_DNS_STRING)
            return 0;
        data += 1 + strlen(strings[i]);
    }
    size_t need = DNS_HEADER + question + 2 + FIXED_RECORD + data + (edns ? OPT_BYTES : 0);
    if (question == 0 || data == 0 || data > UINT16_MAX || need > cap)
        return 0;
    size_t at = begin_reply(out, query, len);
    out[2] |= FLAG_AA;
    (void)put16(out + 6, 1);
    uint8_t *to = put16(out + at, POINTER << 8 | DNS_HEADER);
    to = put16(put16(to, TYPE_TXT), get16(out + at - 2));
    to = put16(put16(put16(to, 0), 0), data);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = strlen(strings[i]);
        *to++ = (uint8_t)bytes;
        memcpy(to, strings[i], bytes);
        to += bytes;
    }
    at = (size_t)(to - out);
    return edns ? add_opt(out, at) : at;
}

bool dns_first_text(const uint8_t *msg, size_t len, char *out, size_t cap) {
    size_t question = question_len(msg, len), used = 0;
    size_t at = DNS_HEADER + question, owner = question ? name_len(msg, len, at, true) : 0;
    if (!owner || get16(msg + 6) == 0 || at + owner + FIXED_RECORD > len)
        return false;
    const uint8_t *fixed = msg + at + owner;
    size_t data = (size_t)(fixed - msg) + FIXED_RECORD, end = data + get16(fixed + 8);
    if (get16(fixed) != TYPE_TXT || end > len)
        return false;
    for (; data < end && data + 1 + msg[data] <= end; data += 1 + (size_t)msg[data]) {
        size_t room = cap - 1 - used, n = msg[data] < room ? msg[data] : room;
        memcpy(out + used, msg + data + 1, n);
        used += n;
        if (used + 1 < cap)
            out[used++] = ' ';
    }
    out[used > 0 ? used - 1 : 0] = '\0';
    return used > 0;
}

size_t dns_stats_query(uint8_t out[DNS_STATS_QUERY], uint16_t id) {
    static const uint8_t query[DNS_STATS_QUERY] =
        "\0\0\1\0\0\1\0\0\0\0\0\0\5stats\7pinnace\0\0\x10\0\3";
    memcpy(out, query, sizeof query);
    dns_set_id(out, id);
    return sizeof query;
}
