/* PURE: IP addresses and prefixes; but for the name of a zone, which the kernel is asked for. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff }; /* ::ffff:0:0/96 */

/* Digits alone, without a leading zero; false past `most`. */
static bool parse_decimal(const char *s, uint32_t most, uint32_t *out) {
    uint64_t v = 0;
    if (!*s || (s[0] == '0' && s[1]))
        return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9')
            return false;
        v = v * 10 + (uint64_t)(*s - '0');
        if (v > most)
            return false;
    }
    *out = (uint32_t)v;
    return true;
}

/* The index of the interface "eth0" or "2"; 0 if there is none of that name. */
static uint32_t zone_index(const char *zone) {
    uint32_t n;
    return parse_decimal(zone, INT32_MAX, &n) ? n : if_nametoindex(zone);
}

bool ip_parse(const char *text, struct ip *out) {
    char buf[IP_TEXT];
    *out = (struct ip){ 0 };
    size_t n = strlen(text);
    if (n >= sizeof buf)
        return false;
    memcpy(buf, text, n + 1);
    struct ip ip = { 0 };
    char *zone = strchr(buf, '%');
    if (zone)
        *zone++ = '\0';
    ip.family = strchr(buf, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(ip.family, buf, ip.b) != 1)
        return false;
    if (zone) {
        if (ip.family != AF_INET6 || !ip_is_link_local(&ip))
            return false;
        ip.zone = zone_index(zone);
        if (ip.zone == 0)
            return false;
    }
    *out = ip;
    return true;
}

bool prefix_parse(const char *text, struct prefix *out) {
    char buf[PREFIX_TEXT];
    struct ip ip;
    *out = (struct prefix){ 0 };
    size_t n = strcspn(text, "/");
    if (n >= sizeof buf)
        return false;
    memcpy(buf, text, n);
    buf[n] = '\0';
    if (!ip_parse(buf, &ip))
        return false;
    uint32_t len = ip_bits(&ip);
    if (text[n] == '/' && !parse_decimal(text + n + 1, len, &len))
        return false;
    *out = (struct prefix){ .ip = ip, .len = (uint8_t)len };
    return true;
}

static const char *none_text(char *buf) { return memcpy(buf, "none", sizeof "none"); }

const char *ip_text(const struct ip *ip, char buf[IP_TEXT]) {
    if (ip_bits(ip) == 0 || !inet_ntop(ip->family, ip->b, buf, IP_TEXT))
        return none_text(buf);
    size_t n = strlen(buf);
    if (ip->zone)
        (void)snprintf(buf + n, IP_TEXT - n, "%%%u", (unsigned)ip->zone);
    return buf;
}

const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT]) {
    char ip[IP_TEXT];
    if (ip_bits(&p->ip) == 0)
        return none_text(buf);
    (void)snprintf(buf, PREFIX_TEXT, "%s/%u", ip_text(&p->ip, ip), (unsigned)p->len);
    return buf;
}

bool ip_equal(const struct ip *a, const struct ip *b) {
    return a->family == b->family && a->zone == b->zone && memcmp(a->b, b->b, sizeof a->b) == 0;
}

uint8_t ip_bits(const struct ip *ip) {
    return ip->family == AF_INET ? 32 : ip->family == AF_INET6 ? 128 : 0;
}

bool ip_is_loopback(const struct ip *ip) {
    static const uint8_t one[16] = { [15] = 1 };
    if (ip->family == AF_INET)
        return ip->b[0] == 127;
    return ip->family == AF_INET6 && memcmp(ip->b, one, sizeof one) == 0;
}

bool ip_is_link_local(const struct ip *ip) {
    if (ip->family == AF_INET)
        return ip->b[0] == 169 && ip->b[1] == 254;
    return ip->family == AF_INET6 && ip->b[0] == 0xfe && (ip->b[1] & 0xc0) == 0x80;
}

bool ip_is_none(const struct ip *ip) {
    static const uint8_t zero[16];
    return ip_bits(ip) == 0 || memcmp(ip->b, zero, sizeof zero) == 0;
}

/* Are the first `n` bits the same? */
static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned n) {
    unsigned whole = n / 8, rest = n % 8;
    if (memcmp(a, b, whole) != 0)
        return false;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

static uint8_t at_most(uint8_t len, uint8_t bits) { return len < bits ? len : bits; }

struct prefix prefix_of(const struct ip *ip, uint8_t len) {
    struct prefix p = { .ip = *ip, .len = at_most(len, ip_bits(ip)) };
    for (unsigned i = p.len; i < 8 * sizeof p.ip.b; i++)
        p.ip.b[i / 8] &= (uint8_t) ~(0x80u >> (i % 8));
    return p;
}

struct prefix prefix_host(const struct ip *ip) {
    return (struct prefix){ .ip = *ip, .len = ip_bits(ip) };
}

/* Two zones may be the same link unless both are named. */
static bool zones_meet(const struct ip *a, const struct ip *b) {
    return a->zone == 0 || b->zone == 0 || a->zone == b->zone;
}

bool prefix_has(const struct prefix *p, const struct ip *ip) {
    uint8_t bits = ip_bits(&p->ip);
    if (bits == 0 || p->ip.family != ip->family || (p->ip.zone && p->ip.zone != ip->zone))
        return false;
    return same_bits(p->ip.b, ip->b, at_most(p->len, bits));
}

bool prefix_overlap(const struct prefix *a, const struct prefix *b) {
    uint8_t bits = ip_bits(&a->ip);
    if (bits == 0 || a->ip.family != b->ip.family || !zones_meet(&a->ip, &b->ip))
        return false;
    return same_bits(a->ip.b, b->ip.b, at_most(at_most(a->len, b->len), bits));
}

bool prefix_equal(const struct prefix *a, const struct prefix *b) {
    return a->ip.family == b->ip.family && a->len == b->len && a->ip.zone == b->ip.zone &&
           same_bits(a->ip.b, b->ip.b, at_most(a->len, ip_bits(&a->ip)));
}

struct ip prefix_nth(const struct prefix *p, uint32_t n) {
    struct prefix net = prefix_of(&p->ip, p->len);
    if (net.ip.family != AF_INET || (net.len > 0 && n >> (32 - net.len)))
        return (struct ip){ 0 };
    uint32_t first;
    memcpy(&first, net.ip.b, sizeof first);
    first = htonl(ntohl(first) + n);
    return ip_from_bytes(&first, sizeof first);
}

socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (ip->family == AF_INET) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
        memcpy(&in.sin_addr, ip->b, sizeof in.sin_addr);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    if (ip->family != AF_INET6)
        return 0;
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
                                .sin6_port = htons(port),
                                .sin6_scope_id = ip->zone };
    memcpy(&in6.sin6_addr, ip->b, sizeof in6.sin6_addr);
    memcpy(out, &in6, sizeof in6);
    return sizeof in6;
}

struct ip ip_from_sockaddr(const struct sockaddr_storage *sa, uint16_t *port) {
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    memcpy(&in, sa, sizeof in);
    memcpy(&in6, sa, sizeof in6);
    if (port) /* it lies at the same place in both */
        *port = sa->ss_family == AF_INET || sa->ss_family == AF_INET6 ? ntohs(in.sin_port) : 0;
    if (sa->ss_family == AF_INET)
        return ip_from_bytes(&in.sin_addr, sizeof in.sin_addr);
    if (sa->ss_family != AF_INET6)
        return (struct ip){ 0 };
    if (memcmp(&in6.sin6_addr, mapped, sizeof mapped) == 0)
        return ip_from_bytes((const uint8_t *)&in6.sin6_addr + sizeof mapped, 4);
    struct ip ip = ip_from_bytes(&in6.sin6_addr, sizeof in6.sin6_addr);
    if (ip_is_link_local(&ip))
        ip.zone = in6.sin6_scope_id;
    return ip;
}

struct ip ip_from_bytes(const void *bytes, size_t n) {
    struct ip ip = { 0 };
    if (n != 4 && n != 16)
        return ip;
    ip.family = n == 4 ? AF_INET : AF_INET6;
    memcpy(ip.b, bytes, n);
    return ip;
}
