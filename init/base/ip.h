/* ip.h — PURE: IP addresses and prefixes, as values.
 *
 *     struct ip a; struct prefix net;
 *     ip_parse("10.87.0.1", &a); prefix_parse("10.87.0.0/16", &net);
 *     if (prefix_has(&net, &a)) ...
 *
 * The zero value is "none" (family 0), and is in no prefix. Bytes are in network order; those
 * an address does not use are 0. Compare by ip_equal(): the struct has padding.
 */
#ifndef BASE_IP_H
#define BASE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct ip {
    uint8_t family; /* AF_INET, AF_INET6; 0: none */
    uint8_t b[16];
    uint32_t zone; /* interface index of a link-local IPv6 address (RFC 4007); else 0 */
};

struct prefix {
    struct ip ip; /* may have bits behind `len`: then it is an address with its network */
    uint8_t len;
};

enum { IP_TEXT = 64, PREFIX_TEXT = 72 }; /* bytes of their text, NUL included */

/* "10.0.0.1", "fd00::1", "fe80::1%eth0", "fe80::1%2". A zone is for link-local IPv6 only; the
 * kernel is asked for one that is a name, and what is no interface here is refused: the one
 * thing in this file that is not pure. False, and *out none, for anything else. */
bool ip_parse(const char *text, struct ip *out);
/* "10.0.0.0/8"; a bare address is a prefix of all its bits. Bits behind the length stay. */
bool prefix_parse(const char *text, struct prefix *out);
/* In buf, which they return; "none". The zone is written as a number. */
const char *ip_text(const struct ip *ip, char buf[IP_TEXT]);
const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT]);

bool ip_equal(const struct ip *a, const struct ip *b);
bool ip_is_loopback(const struct ip *ip);   /* 127.0.0.0/8, ::1 */
bool ip_is_link_local(const struct ip *ip); /* 169.254.0.0/16, fe80::/10 */
bool ip_is_none(const struct ip *ip);       /* no address at all, 0.0.0.0 or :: */
uint8_t ip_bits(const struct ip *ip);       /* 32 or 128; 0 for none */

struct prefix prefix_of(const struct ip *ip, uint8_t len); /* bits behind `len` cleared */
struct prefix prefix_host(const struct ip *ip);            /* of all its bits */
/* A prefix with a zone has only addresses of that zone. */
bool prefix_has(const struct prefix *p, const struct ip *ip);
bool prefix_overlap(const struct prefix *a, const struct prefix *b);
bool prefix_equal(const struct prefix *a, const struct prefix *b); /* of the networks */
/* The nth address of an IPv4 network, counted from its first (0); none past its end. */
struct ip prefix_nth(const struct prefix *p, uint32_t n);

/* For bind(2) and connect(2). Returns the length; 0 for none. */
socklen_t ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *out);
/* The other way; an IPv4-mapped IPv6 address becomes IPv4. `port` may be NULL. */
struct ip ip_from_sockaddr(const struct sockaddr_storage *sa, uint16_t *port);
/* From `n` raw bytes, 4 or 16; none for another length. */
struct ip ip_from_bytes(const void *bytes, size_t n);

#endif
