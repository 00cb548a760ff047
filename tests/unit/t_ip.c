/* Addresses and prefixes: what is one, what contains what, and sockaddrs there and back. */
#include <netinet/in.h>
#include <string.h>

#include "base/ip.h"
#include "tests/unit/tap.h"

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

static struct ip ip(const char *text) {
    struct ip out;
    OK(ip_parse(text, &out), "%s is an address", text);
    return out;
}

static struct prefix net(const char *text) {
    struct prefix out;
    OK(prefix_parse(text, &out), "%s is a prefix", text);
    return out;
}

static void addresses(void) {
    static const struct {
        const char *in, *out;
    } good[] = { { "0.0.0.0", "0.0.0.0" },
                 { "10.87.0.1", "10.87.0.1" },
                 { "255.255.255.255", "255.255.255.255" },
                 { "::", "::" },
                 { "::1", "::1" },
                 { "FD00::1", "fd00::1" },
                 { "fd00:0:0:0:0:0:0:1", "fd00::1" },
                 { "::ffff:1.2.3.4", "::ffff:1.2.3.4" },
                 { "fe80::1", "fe80::1" },
                 { "fe80::1%1", "fe80::1%1" },
                 { "febf::1%lo", "febf::1%1" },
                 { "fe80::1%2147483647", "fe80::1%2147483647" },
                 { "1111:2222:3333:4444:5555:6666:7777:8888",
                   "1111:2222:3333:4444:5555:6666:7777:8888" } };
    static const char *const bad[] = {
        "",
        " ",
        "1",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.-4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4\t",
        "01.2.3.4",
        "1.2.3.4/8",
        "0x1.2.3.4",
        "localhost",
        ":",
        ":::",
        "1::2::3",
        "12345::",
        "::g",
        "1:2:3:4:5:6:7:8:9",
        "[::1]",
        "1.2.3.4%1",
        "::1%1",
        "fd00::1%lo",
        "fe80::1%",
        "fe80::1%0",
        "fe80::1%01",
        "fe80::1%2147483648",
        "fe80::1%99999999999999999",
        "fe80::1%nosuchlink",
        "fe80::1%lo%lo",
        "fe80::1%-1",
        "fe80::1111111111111111111111111111111111111111111111111111111111111"
    };
    char buf[IP_TEXT];
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct ip a = ip(good[i].in);
        OK(strcmp(ip_text(&a, buf), good[i].out) == 0, "%s reads %s", good[i].in, buf);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct ip a = { .family = AF_INET, .zone = 7 }, none = { 0 };
        OK(!ip_parse(bad[i], &a) && ip_equal(&a, &none), "refused address '%s'", bad[i]);
    }
    struct ip none = { 0 };
    OK(strcmp(ip_text(&none, buf), "none") == 0, "none is called %s", buf);
}

static void prefixes(void) {
    static const struct {
        const char *in, *out;
    } good[] = { { "10.0.0.0/8", "10.0.0.0/8" },
                 { "10.1.2.3/8", "10.1.2.3/8" },
                 { "10.1.2.3", "10.1.2.3/32" },
                 { "0.0.0.0/0", "0.0.0.0/0" },
                 { "1.2.3.4/32", "1.2.3.4/32" },
                 { "fd00::/64", "fd00::/64" },
                 { "::1", "::1/128" },
                 { "::/0", "::/0" },
                 { "fe80::1%lo/64", "fe80::1%1/64" } };
    static const char *const bad[] = { "",
                                       "/",
                                       "/8",
                                       "10.0.0.0/",
                                       "10.0.0.0/33",
                                       "10.0.0.0/-1",
                                       "10.0.0/8",
                                       "10.0.0.0/08",
                                       "10.0.0.0/8 ",
                                       "10.0.0.0/8/8",
                                       "::/129",
                                       "::/1000",
                                       "10.0.0.0/+8",
                                       "10.0.0.0/8x",
                                       "fe80::1/64%lo",
                                       "10.0.0.0/255.0.0.0",
                                       "::/4294967296" };
    char buf[PREFIX_TEXT];
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct prefix p = net(good[i].in);
        OK(strcmp(prefix_text(&p, buf), good[i].out) == 0, "%s reads %s", good[i].in, buf);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct prefix p = { .len = 9 };
        OK(!prefix_parse(bad[i], &p) && p.len == 0 && p.ip.family == 0, "refused prefix '%s'",
           bad[i]);
    }
    struct prefix none = { 0 };
    OK(strcmp(prefix_text(&none, buf), "none") == 0, "none is called %s", buf);
}

static void texts_fit(void) {
    struct ip a = { .family = AF_INET6, .zone = UINT32_MAX };
    memset(a.b, 0xfe, sizeof a.b);
    a.b[1] = 0x80;
    struct prefix p = prefix_host(&a);
    char buf[PREFIX_TEXT];
    OK(strcmp(prefix_text(&p, buf), "fe80:fefe:fefe:fefe:fefe:fefe:fefe:fefe%4294967295/128") == 0,
       "the longest text is whole: %s", buf);
}

static void kinds(void) {
    static const struct {
        const char *text;
        bool loopback, link_local, none;
    } rows[] = { { "127.0.0.1", true, false, false },
                 { "127.255.255.254", true, false, false },
                 { "126.255.255.255", false, false, false },
                 { "128.0.0.0", false, false, false },
                 { "::1", true, false, false },
                 { "::2", false, false, false },
                 { "1::1", false, false, false },
                 { "169.254.0.0", false, true, false },
                 { "169.253.1.1", false, false, false },
                 { "168.254.1.1", false, false, false },
                 { "fe80::", false, true, false },
                 { "febf:ffff::", false, true, false },
                 { "fec0::", false, false, false },
                 { "fe7f::", false, false, false },
                 { "0.0.0.0", false, false, true },
                 { "::", false, false, true },
                 { "0.0.0.1", false, false, false } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ip a = ip(rows[i].text);
        OK(ip_is_loopback(&a) == rows[i].loopback && ip_is_link_local(&a) == rows[i].link_local &&
               ip_is_none(&a) == rows[i].none,
           "what %s is", rows[i].text);
    }
    struct ip none = { 0 }, v4 = ip("1.2.3.4"), v6 = ip("::1");
    OK(ip_is_none(&none) && !ip_is_loopback(&none) && !ip_is_link_local(&none), "none is none");
    OK(ip_bits(&none) == 0 && ip_bits(&v4) == 32 && ip_bits(&v6) == 128, "bits");
    OK(!ip_equal(&none, &v4) && ip_equal(&v4, &v4), "equal");
    struct ip here = ip("fe80::1%1"), there = ip("fe80::1%2");
    OK(!ip_equal(&here, &there), "zones make addresses different");
}

static void containment(void) {
    static const struct {
        const char *net, *ip;
        bool has;
    } rows[] = { { "10.0.0.0/8", "10.255.255.255", true },
                 { "10.0.0.0/8", "11.0.0.0", false },
                 { "10.0.0.0/8", "9.255.255.255", false },
                 { "10.87.3.4/16", "10.87.0.0", true },
                 { "10.87.3.4/17", "10.87.128.0", false },
                 { "10.87.3.4/17", "10.87.127.255", true },
                 { "0.0.0.0/0", "255.1.2.3", true },
                 { "0.0.0.0/0", "::1", false },
                 { "::/0", "::1", true },
                 { "::/0", "1.2.3.4", false },
                 { "1.2.3.4/32", "1.2.3.4", true },
                 { "1.2.3.4/32", "1.2.3.5", false },
                 { "1.2.3.4/31", "1.2.3.5", true },
                 { "1.2.3.4/31", "1.2.3.6", false },
                 { "fd00::/7", "fc00::1", true },
                 { "fd00::/8", "fc00::1", false },
                 { "fd00::8/125", "fd00::f", true },
                 { "fd00::8/125", "fd00::10", false },
                 { "::1/128", "::1", true },
                 { "::1/128", "::3", false },
                 { "fe80::/10", "fe80::1%2", true },
                 { "fe80::%2/10", "fe80::1%2", true },
                 { "fe80::%2/10", "fe80::1%3", false },
                 { "fe80::%2/10", "fe80::1", false } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct prefix p = net(rows[i].net);
        struct ip a = ip(rows[i].ip);
        OK(prefix_has(&p, &a) == rows[i].has, "%s in %s: %d", rows[i].ip, rows[i].net, rows[i].has);
    }
    struct prefix none = { 0 };
    struct ip nothing = { 0 };
    struct prefix all = net("0.0.0.0/0");
    OK(!prefix_has(&none, &nothing) && !prefix_has(&all, &nothing), "none is nowhere");
}

static void overlap(void) {
    static const struct {
        const char *a, *b;
        bool overlap, equal;
    } rows[] = { { "10.0.0.0/8", "10.1.0.0/16", true, false },
                 { "10.0.0.0/8", "11.0.0.0/8", false, false },
                 { "10.1.2.3/8", "10.0.0.0/8", true, true },
                 { "10.0.0.0/7", "11.0.0.0/8", true, false },
                 { "0.0.0.0/0", "1.2.3.4", true, false },
                 { "0.0.0.0/0", "::/0", false, false },
                 { "172.17.0.0/16", "172.18.0.0/15", false, false },
                 { "172.17.0.0/16", "172.16.0.0/12", true, false },
                 { "fd00::/64", "fd00::1", true, false },
                 { "fd00::/64", "fd00:0:0:1::/64", false, false },
                 { "fd00::1/64", "fd00::2/64", true, true },
                 { "fe80::%1/64", "fe80::%2/64", false, false },
                 { "fe80::%1/64", "fe80::/64", true, false } };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct prefix a = net(rows[i].a), b = net(rows[i].b);
        OK(prefix_overlap(&a, &b) == rows[i].overlap && prefix_overlap(&b, &a) == rows[i].overlap,
           "%s and %s overlap: %d", rows[i].a, rows[i].b, rows[i].overlap);
        OK(prefix_equal(&a, &b) == rows[i].equal && prefix_equal(&b, &a) == rows[i].equal,
           "%s and %s are equal: %d", rows[i].a, rows[i].b, rows[i].equal);
    }
    struct prefix none = { 0 };
    struct prefix all = net("0.0.0.0/0");
    OK(!prefix_overlap(&none, &none) && !prefix_overlap(&none, &all) &&
           !prefix_overlap(&all, &none),
       "none overlaps nothing");
    OK(prefix_equal(&none, &none) && !prefix_equal(&none, &all), "none equals none");
}

static void masks(void) {
    static const struct {
        const char *ip;
        uint8_t len;
        const char *net;
    } rows[] = { { "255.255.255.255", 0, "0.0.0.0/0" },
                 { "255.255.255.255", 1, "128.0.0.0/1" },
                 { "10.87.255.255", 17, "10.87.128.0/17" },
                 { "10.87.255.255", 31, "10.87.255.254/31" },
                 { "10.87.255.255", 32, "10.87.255.255/32" },
                 { "10.87.255.255", 64, "10.87.255.255/32" },
                 { "fd00:1:2:3:4:5:6:7", 64, "fd00:1:2:3::/64" },
                 { "fd00::ff", 123, "fd00::e0/123" },
                 { "fd00::ff", 255, "fd00::ff/128" },
                 { "fe80::7%3", 10, "fe80::%3/10" } };
    char buf[PREFIX_TEXT];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct ip a = ip(rows[i].ip);
        struct prefix p = prefix_of(&a, rows[i].len);
        OK(strcmp(prefix_text(&p, buf), rows[i].net) == 0, "%s cut to %d bits is %s", rows[i].ip,
           rows[i].len, buf);
    }
    struct ip none = { 0 };
    struct prefix p = prefix_of(&none, 8);
    OK(p.len == 0 && p.ip.family == 0, "none stays none");
}

static void counting(void) {
    static const struct {
        const char *net;
        uint32_t n;
        const char *ip;
    } rows[] = { { "10.87.0.9/16", 0, "10.87.0.0" },
                 { "10.87.0.0/16", 1, "10.87.0.1" },
                 { "10.87.0.0/16", 256, "10.87.1.0" },
                 { "10.87.0.0/16", 65535, "10.87.255.255" },
                 { "10.87.0.0/16", 65536, "none" },
                 { "1.2.3.4/32", 0, "1.2.3.4" },
                 { "1.2.3.4/32", 1, "none" },
                 { "1.2.3.4/31", 1, "1.2.3.5" },
                 { "0.0.0.0/0", UINT32_MAX, "255.255.255.255" },
                 { "128.0.0.0/1", 0x7fffffff, "255.255.255.255" },
                 { "128.0.0.0/1", 0x80000000, "none" },
                 { "fd00::/64", 1, "none" } };
    char buf[IP_TEXT];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct prefix p = net(rows[i].net);
        struct ip a = prefix_nth(&p, rows[i].n);
        OK(strcmp(ip_text(&a, buf), rows[i].ip) == 0, "address %u of %s is %s", rows[i].n,
           rows[i].net, buf);
    }
    struct prefix none = { 0 };
    struct ip a = prefix_nth(&none, 0);
    OK(a.family == 0, "none has no addresses");
}

static void sockaddrs(void) {
    static const char *const texts[] = { "10.1.2.3", "fd00::1", "fe80::1%1", "0.0.0.0", "::" };
    struct sockaddr_storage sa;
    uint16_t port;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct ip a = ip(texts[i]), none = { 0 };
        socklen_t n = ip_to_sockaddr(&a, 5300, &sa);
        OK(n == (a.family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
           "%s has the length of its family", texts[i]);
        struct ip b = ip_from_sockaddr(&sa, &port);
        OK(ip_equal(&a, &b) && port == 5300, "%s there and back", texts[i]);
        b = ip_from_sockaddr(&sa, NULL);
        OK(ip_equal(&a, &b) && !ip_equal(&b, &none), "%s without its port", texts[i]);
    }
    struct ip four = ip("1.2.3.4"), six = ip("::ffff:1.2.3.4");
    (void)ip_to_sockaddr(&six, 53, &sa);
    struct ip back = ip_from_sockaddr(&sa, &port);
    OK(ip_equal(&back, &four) && port == 53, "a mapped address is an IPv4 address");
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_scope_id = 9 };
    in6.sin6_addr.s6_addr[15] = 1;
    memcpy(&sa, &in6, sizeof in6);
    back = ip_from_sockaddr(&sa, NULL);
    OK(back.zone == 0, "a zone counts for link-local addresses only");
    struct ip none = { 0 };
    OK(ip_to_sockaddr(&none, 53, &sa) == 0 && sa.ss_family == AF_UNSPEC, "none has no sockaddr");
    sa.ss_family = AF_UNIX;
    back = ip_from_sockaddr(&sa, &port);
    OK(back.family == 0 && port == 0, "another family is none");
}

static void raw_bytes(void) {
    uint8_t b[17] = { 1, 2, 3, 4 };
    for (size_t n = 0; n <= sizeof b; n++) {
        struct ip a = ip_from_bytes(b, n);
        OK(a.family == (n == 4 ? AF_INET : n == 16 ? AF_INET6 : 0), "%zu bytes", n);
    }
    struct ip a = ip_from_bytes(b, 4), same = ip("1.2.3.4");
    OK(ip_equal(&a, &same), "the bytes are in network order");
}

int main(void) {
    addresses();
    prefixes();
    texts_fit();
    kinds();
    containment();
    overlap();
    masks();
    counting();
    sockaddrs();
    raw_bytes();
    return tap_end();
}
