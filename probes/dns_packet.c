/* PURE: DNS messages, RFC 1035 section 4. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "probes/parse.h"

enum {
    HEADER = 12, /* RFC 1035 4.1.1 */
    FLAG_RESPONSE = 0x8000,
    FLAGS_OPCODE = 0x7800,
    FLAG_TRUNCATED = 0x0200,
    FLAG_RECURSE = 0x0100,
    FLAGS_RCODE = 0x000f,
    CLASS_IN = 1, /* RFC 1035 3.2.4 */
};

int dns_name_check(const char *name, struct err *e) {
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '.')
        n--;
    if (n == 0 || n > 253)
        return err_set(e, EINVAL, "dns name '%s' is not 1-253 bytes long", name);
    size_t label = 0;
    for (size_t i = 0; i <= n; i++) {
        bool end = i == n || name[i] == '.';
        if (end && (label == 0 || label > 63))
            return err_set(e, EINVAL, "dns name '%s' has a label that is not 1-63 bytes", name);
        if (!end && ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] >= 0x7f))
            return err_set(e, EINVAL, "dns name '%s' is not plain ASCII", name);
        label = end ? 0 : label + 1;
    }
    return 0;
}

static void put16(uint8_t *p, unsigned v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

size_t dns_query_build(uint8_t out[DNS_QUERY_CAP], uint16_t id, const char *name,
                       enum dns_type type) {
    memset(out, 0, HEADER);
    put16(out, id);
    put16(out + 2, FLAG_RECURSE);
    put16(out + 4, 1);
    size_t at = HEADER;
    while (*name) {
        size_t n = strcspn(name, ".");
        out[at++] = (uint8_t)n;
        memcpy(out + at, name, n);
        at += n;
        name += n + (name[n] == '.');
    }
    out[at++] = 0;
    put16(out + at, (unsigned)type);
    put16(out + at + 2, CLASS_IN);
    return at + 4;
}

/* The bytes that a name takes, which ends at a zero or at a pointer (RFC 1035 4.1.4);
 * pointers are not followed, so there is no loop to fall into. 0: none there. */
static size_t name_length(const uint8_t *p, size_t left) {
    size_t at = 0;
    while (at < left) {
        if (p[at] == 0)
            return at + 1;
        if ((p[at] & 0xc0) == 0xc0)
            return at + 2 <= left ? at + 2 : 0;
        if (p[at] & 0xc0)
            return 0; /* reserved */
        at += 1 + (size_t)p[at];
    }
    return 0;
}

/* Names compare without case: RFC 1035 2.3.3. Lengths are below 64, where case folding
 * changes nothing, and type and class are compared as they are. */
static bool same_question(const uint8_t *msg, const uint8_t *query, size_t query_len) {
    size_t name = query_len - HEADER - 4;
    for (size_t i = HEADER; i < HEADER + name; i++) {
        unsigned a = msg[i], b = query[i];
        a += a >= 'A' && a <= 'Z' ? 32 : 0;
        b += b >= 'A' && b <= 'Z' ? 32 : 0;
        if (a != b)
            return false;
    }
    return memcmp(msg + HEADER + name, query + HEADER + name, 4) == 0;
}

/* Count the records of the type asked for; -EBADMSG where one makes no sense. */
static int count_records(struct dns_answer *out, const uint8_t *msg, size_t n, size_t at,
                         unsigned type) {
    unsigned count = get16(msg + 6);
    size_t want = type == DNS_A ? 4 : 16;
    for (unsigned i = 0; i < count; i++) {
        size_t name = name_length(msg + at, n - at);
        if (name == 0 || n - at < name + 10)
            return -EBADMSG;
        const uint8_t *r = msg + at + name; /* type, class, ttl, length: RFC 1035 4.1.3 */
        size_t length = get16(r + 8);
        at += name + 10;
        if (n - at < length)
            return -EBADMSG;
        at += length;
        if (get16(r) == type && get16(r + 2) == CLASS_IN && length == want)
            out->records++;
    }
    return 1;
}

int dns_answer_parse(struct dns_answer *out, const uint8_t *msg, size_t n, const uint8_t *query,
                     size_t query_len) {
    memset(out, 0, sizeof *out);
    if (n < query_len || get16(msg) != get16(query))
        return 0;
    unsigned flags = get16(msg + 2);
    if (!(flags & FLAG_RESPONSE) || (flags & FLAGS_OPCODE) || get16(msg + 4) != 1)
        return 0;
    if (!same_question(msg, query, query_len))
        return 0;
    out->rcode = flags & FLAGS_RCODE;
    out->truncated = flags & FLAG_TRUNCATED;
    int rc = count_records(out, msg, n, query_len, get16(query + query_len - 4));
    /* What was cut off is no fault of the records before it. */
    return rc < 0 && (out->truncated || out->records > 0) ? 1 : rc;
}

const char *dns_rcode_text(unsigned rcode, char *buf, size_t cap) {
    static const char *const names[] = {
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED",
    };
    if (rcode < sizeof names / sizeof *names)
        return names[rcode];
    (void)snprintf(buf, cap, "rcode %u", rcode);
    return buf;
}
