/* Our nf_tables rules: as bytes, as nft(8) lists them, and as packets see them, in network
 * namespaces of our own. */
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "base/own.h"
#include "netlink/nft.h"
#include "netlink/rtnl.h"
#include "tests/unit/netns.h"
#include "tests/unit/tap.h"

#define VIP  "169.254.53.53"
#define VIP6 "fd53::53"

static struct ip ip(const char *text) {
    struct ip a = { 0 };
    if (text[0] && !ip_parse(text, &a))
        OK(false, "%s is no address", text);
    return a;
}

static struct nft_rules to(const char *target, uint16_t port) {
    return (struct nft_rules){ .v4 = { ip(VIP), ip(target), port, false } };
}

static struct nft_rules everything(void) {
    return (struct nft_rules){ .v4 = { ip(VIP), ip("10.1.0.2"), 5353, true },
                               .v6 = { ip(VIP6), ip("fd01::2"), 5353, true },
                               .outer = { "eth0" } };
}

/* Bytes */

static void builds(void) {
    struct nft_rules r = everything();
    static _Alignas(4) uint8_t buf[NFT_BATCH];
    struct nl_out o = NL_OUT(buf);
    nft_build(&o, &r, NFT_BOTH);
    OK(!o.cut && o.len > 2000 && o.len % 4 == 0, "the largest batch: %zu of %d bytes", o.len,
       NFT_BATCH);
    size_t whole = o.len, messages = 0, rules = 0, bad = 0;
    const uint8_t *at = buf;
    for (const struct nlmsghdr *m; (m = nl_next(&at, buf + whole)); messages++) {
        bad += m->nlmsg_seq != messages + 1;
        rules += m->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE);
    }
    OK(messages == 2 + 2 * (3 + 3 + 6) && rules == 12 && bad == 0, "%zu messages, %zu rules",
       messages, rules);
    OK(nft_rule_count(&r.v4) + nft_rule_count(&r.v6) == rules, "as many as counted");
    for (size_t cap = 0; cap < whole; cap += cap < 64 ? 1 : 61) {
        uint8_t *small = malloc(cap + !cap);
        struct nl_out s = { .buf = small, .cap = cap, .seq = 1 };
        nft_build(&s, &r, NFT_BOTH);
        bad += !s.cut;
        free(small);
    }
    OK(bad == 0, "cut in any smaller buffer");
    struct nft_rules none = { 0 };
    o = (struct nl_out)NL_OUT(buf);
    nft_build(&o, &none, NFT_BOTH);
    for (messages = 0, at = buf; nl_next(&at, buf + o.len);)
        messages++;
    OK(messages == 2 + 2 * 2 && nft_rule_count(&none.v4) == 0, "nothing wanted: %zu messages",
       messages);
}

/* What we send for a rule is what the kernel tells of it, but for the counter's numbers. */
static void reads_rules(void) {
    struct nft_rules r = everything();
    static _Alignas(4) uint8_t buf[NFT_BATCH];
    struct nl_out o = NL_OUT(buf);
    size_t ours = 0, dnat = 0, v6 = 0, others = 0;
    struct nft_seen seen;
    nft_build(&o, &r, NFT_BOTH);
    const uint8_t *at = buf;
    for (const struct nlmsghdr *m; (m = nl_next(&at, buf + o.len));) {
        if (!nft_read_rule(m, &seen)) {
            others++;
            continue;
        }
        ours++;
        dnat += seen.dnat;
        v6 += seen.family == AF_INET6;
    }
    OK(ours == 12 && dnat == 8 && v6 == 6 && others == 14, "rules of ours: %zu, %zu redirect", ours,
       dnat);
}

static const struct nlmsghdr *counted(uint8_t *buf, size_t cap, const char *table, size_t bytes) {
    static const uint8_t packets[16] = { [6] = 1, [7] = 2 };
    struct nl_out o = { .buf = buf, .cap = cap, .seq = 1 };
    struct nfgenmsg body = { .nfgen_family = AF_INET };
    nl_begin(&o, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 0, &body, sizeof body);
    nl_put_text(&o, NFTA_RULE_TABLE, table);
    size_t all = nl_nest(&o, NFTA_RULE_EXPRESSIONS), one = nl_nest(&o, NFTA_LIST_ELEM);
    nl_put_text(&o, NFTA_EXPR_NAME, "counter");
    size_t data = nl_nest(&o, NFTA_EXPR_DATA);
    nl_put(&o, NFTA_COUNTER_PACKETS, packets, bytes);
    nl_nest_end(&o, data);
    nl_nest_end(&o, one);
    nl_nest_end(&o, all);
    nl_end(&o);
    return (const void *)buf;
}

static void reads_counters(void) {
    _Alignas(4) uint8_t buf[256];
    struct nft_seen seen;
    for (size_t n = 0; n <= 16; n++)
        OK(nft_read_rule(counted(buf, sizeof buf, "pinnace", n), &seen) &&
               seen.packets == (n == 8 ? 258 : 0),
           "a counter of %zu bytes", n);
    OK(!nft_read_rule(counted(buf, sizeof buf, "pinnac", 8), &seen) &&
           !nft_read_rule(counted(buf, sizeof buf, "pinnaces", 8), &seen),
       "tables of others");
}

/* The kernel */

static void lists(struct nft_rules *r, const char *file_text, const char *what) {
    char out[8192];
    struct err e = { 0 };
    OK(nft_apply(r, &e) == 0, "%s: applied %s", what, e.text);
    (void)run_into(out, sizeof out, "nft list ruleset");
    if (!OK(strcmp(out, file_text) == 0, "%s: as nft(8) lists it", what))
        printf("# %s\n", out);
}

#define HEAD(n, p) "\tchain " n " {\n\t\ttype nat hook " p "; policy accept;\n"
#define COUNT      " counter packets 0 bytes 0 "
#define MARK       " ct mark set 0x00001057" COUNT

static void lists_as_meant(void) {
    struct nft_rules r = to("127.0.0.1", 5300);
    lists(&r,
          "table ip pinnace {\n" HEAD(
              "pre",
              "prerouting priority dstnat - 10") "\t\tip daddr " VIP " udp dport 53" MARK
                                                 "dnat to 127.0.0.1:5300\n"
                                                 "\t\tip daddr " VIP " tcp dport 53" MARK
                                                 "dnat to 127.0.0.1:5300\n\t}\n\n" HEAD(
                                                     "out",
                                                     "output priority -110") "\t\tip daddr " VIP
                                                                             " udp dport 53" MARK
                                                                             "dnat to "
                                                                             "127.0.0.1:5300\n"
                                                                             "\t\tip daddr " VIP
                                                                             " tcp dport 53" MARK
                                                                             "dnat to "
                                                                             "127.0.0.1:5300\n\t}"
                                                                             "\n}\n",
          "the least");
    OK(nft_check(&r, NULL) == 1, "checked");
    r = everything();
    r.v4.from.family = 0;
    lists(
        &r,
        "table ip6 pinnace {\n" HEAD(
            "pre",
            "prerouting priority dstnat - 10") "\t\tiifname != \"eth0\" ip6 daddr " VIP6
                                               " udp dport 53" MARK "dnat to [fd01::2]:5353\n"
                                               "\t\tiifname != \"eth0\" ip6 daddr " VIP6
                                               " tcp dport 53" MARK "dnat to [fd01::2]:5353\n"
                                               "\t}\n\n" HEAD(
                                                   "out",
                                                   "output priority -110") "\t\tip6 daddr " VIP6
                                                                           " udp dport 53" MARK
                                                                           "dnat to "
                                                                           "[fd01::2]:5353\n"
                                                                           "\t\tip6 daddr " VIP6
                                                                           " tcp dport 53" MARK
                                                                           "dnat to "
                                                                           "[fd01::2]:5353\n\t}"
                                                                           "\n\n" HEAD(
                                                                               "post",
                                                                               "postrouting "
                                                                               "priority srcnat - "
                                                                               "10") "\t\tct "
                                                                                     "status dnat "
                                                                                     "ct mark "
                                                                                     "0x00001057 "
                                                                                     "ip6 daddr "
                                                                                     "fd01::2 udp "
                                                                                     "dport "
                                                                                     "5353" COUNT
                                                                                     "masquerade\n"
                                                                                     "\t\tct "
                                                                                     "status dnat "
                                                                                     "ct mark "
                                                                                     "0x00001057 "
                                                                                     "ip6 daddr "
                                                                                     "fd01::2 tcp "
                                                                                     "dport "
                                                                                     "5353" COUNT
                                                                                     "masquerade\n"
                                                                                     "\t}\n}\n",
        "IPv6 with all there is");
    OK(nft_check(&r, NULL) == 1, "checked");
    struct nft_rules none = { 0 };
    lists(&none, "", "nothing");
    OK(nft_check(&none, NULL) == 1 && nft_check(&r, NULL) == 0, "checked");
}

static void applies(void) {
    struct nft_rules r = everything(), less = to(VIP, 5300), wrong = everything();
    char before[8192], after[8192];
    struct err e = { 0 };
    OK(nft_probe() == NFT_USABLE, "nf_tables can be used");
    OK(nft_check(&r, NULL) == 0, "not there yet");
    OK(nft_apply(&r, &e) == 0 && nft_check(&r, NULL) == 1, "there %s", e.text);
    (void)run_into(before, sizeof before, "nft list ruleset");
    OK(nft_apply(&r, &e) == 0 && nft_check(&r, NULL) == 1, "applied again");
    (void)run_into(after, sizeof after, "nft list ruleset");
    OK(strcmp(before, after) == 0, "nothing is doubled");
    wrong.v6.to = (struct ip){ 0 }; /* fails late: the table of IPv4 was right */
    OK(nft_apply(&wrong, &e) == -EINVAL && e.code == EINVAL, "refused: %s", e.text);
    OK(strncmp(e.text, "nf_tables: ", 11) == 0 && strlen(e.text) > 11, "with words");
    (void)run_into(after, sizeof after, "nft list ruleset");
    OK(strcmp(before, after) == 0, "all or nothing");
    OK(nft_check(&less, NULL) == 0, "less is not more");
    OK(nft_apply(&less, &e) == 0 && nft_check(&less, NULL) == 1 && nft_check(&r, NULL) == 0,
       "replaced by less");
    OK(RUN("nft add rule ip pinnace out accept") && nft_check(&less, NULL) == 0, "one too many");
    OK(nft_apply(&less, &e) == 0 && RUN("nft flush chain ip pinnace pre") &&
           nft_check(&less, NULL) == 0,
       "some are missing");
    OK(nft_apply(&less, &e) == 0 && RUN("nft add table ip6 pinnace") && nft_check(&less, NULL) == 0,
       "a table too many");
    OK(nft_apply(&less, &e) == 0 && nft_check(&less, NULL) == 1, "mended");
    OK(RUN("nft flush ruleset") && nft_check(&less, NULL) == 0, "all gone");
    OK(nft_remove(&e) == 0, "nothing to remove");
    OK(nft_apply(&r, &e) == 0 && RUN("nft add table ip theirs"), "beside another table");
    OK(nft_remove(&e) == 0 && nft_remove(&e) == 0, "removed, twice");
    (void)run_into(after, sizeof after, "nft list ruleset");
    OK(strcmp(after, "table ip theirs {\n}\n") == 0, "only ours");
    OK(RUN("nft flush ruleset"), "as it was");
}

static void hears_changes(void) {
    AUTO_FD int ears = nft_listen();
    struct nft_rules r = to(VIP, 5300);
    OK(ears >= 0 && nl_drain(ears) == 0, "listening");
    OK(nft_apply(&r, NULL) == 0 && is_readable(ears, 2000) && nl_drain(ears) == 1, "our change");
    OK(nl_drain(ears) == 0 && !is_readable(ears, 0), "once");
    OK(nft_check(&r, NULL) == 1 && !is_readable(ears, 0), "to look is no change");
    OK(RUN("nft flush ruleset") && is_readable(ears, 2000) && nl_drain(ears) == 1, "another's");
}

/* Packets */

static int socket_at(const char *address, uint16_t port, int type) {
    struct sockaddr_storage sa;
    struct ip a = ip(address);
    struct timeval limit = { .tv_sec = 2 };
    const int on = 1;
    socklen_t n = ip_to_sockaddr(&a, port, &sa);
    AUTO_FD int fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&sa, n) < 0) {
        printf("# bind to %s: %s\n", address, strerror(errno));
        return -1;
    }
    if (type == SOCK_STREAM)
        (void)listen(fd, 8);
    return fd_take(&fd);
}

/* A client of address:53; `from` may be "", its port 0. */
static int client(const char *from, uint16_t from_port, const char *address, int type) {
    struct sockaddr_storage sa;
    struct ip a = ip(address);
    const char *any = a.family == AF_INET ? "0.0.0.0" : "::";
    AUTO_FD int fd = -1;
    socklen_t n = ip_to_sockaddr(&a, 53, &sa);
    if (type == SOCK_DGRAM) {
        fd = socket_at(from[0] ? from : any, from_port, type);
    } else {
        struct timeval limit = { .tv_sec = 2 };
        fd = socket(sa.ss_family, type | SOCK_CLOEXEC, 0);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    if (connect(fd, (struct sockaddr *)&sa, n) < 0)
        return -errno;
    return fd_take(&fd);
}

/* One datagram from `c` to `server` and back; the address it seems to come from, or none. */
static struct ip exchange(int c, int server) {
    struct sockaddr_storage sa = { 0 };
    socklen_t n = sizeof sa;
    char buf[16];
    struct ip none = { 0 };
    if (send(c, "ask", 3, 0) != 3 || !is_readable(server, 2000) ||
        recvfrom(server, buf, sizeof buf, 0, (struct sockaddr *)&sa, &n) != 3)
        return none;
    if (sendto(server, "answer", 6, 0, (struct sockaddr *)&sa, n) != 6)
        return none;
    /* The client is connected: it hears its own resolver's address only. */
    return recv(c, buf, sizeof buf, 0) == 6 ? ip_from_sockaddr(&sa, NULL) : none;
}

static bool tcp_works(const char *address, int server) {
    AUTO_FD int c = client("", 0, address, SOCK_STREAM);
    if (c < 0 || !is_readable(server, 2000))
        return false;
    AUTO_FD int s = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    char buf[16];
    return send(s, "hello", 5, 0) == 5 && recv(c, buf, sizeof buf, 0) == 5;
}

static void redirects(void) {
    struct nft_rules r = { .v4 = { ip(VIP), ip(VIP), 5300, false },
                           .v6 = { ip(VIP6), ip(VIP6), 5300, false } };
    uint64_t hits = 99;
    AUTO_FD int udp = socket_at(VIP, 5300, SOCK_DGRAM);
    AUTO_FD int tcp = socket_at(VIP, 5300, SOCK_STREAM);
    AUTO_FD int udp6 = socket_at(VIP6, 5300, SOCK_DGRAM);
    AUTO_FD int tcp6 = socket_at(VIP6, 5300, SOCK_STREAM);
    AUTO_FD int before = client("", 0, VIP, SOCK_DGRAM);
    char c;
    OK(send(before, "x", 1, 0) == 1 && recv(before, &c, 1, 0) < 0 && errno == ECONNREFUSED,
       "nobody is at port 53");
    OK(nft_apply(&r, NULL) == 0 && nft_check(&r, &hits) == 1 && hits == 0, "no hits yet");
    AUTO_FD int c4 = client("", 0, VIP, SOCK_DGRAM);
    AUTO_FD int c6 = client("", 0, VIP6, SOCK_DGRAM);
    OK(exchange(c4, udp).family == AF_INET, "UDP");
    OK(tcp_works(VIP, tcp), "TCP");
    OK(nft_check(&r, &hits) == 1 && hits == 2, "2 hits: %d", (int)hits);
    OK(exchange(c6, udp6).family == AF_INET6, "UDP on IPv6");
    OK(tcp_works(VIP6, tcp6), "TCP on IPv6");
    OK(nft_check(&r, &hits) == 1 && hits == 4, "4 hits: %d", (int)hits);
    OK(exchange(c4, udp).family == AF_INET && nft_check(&r, &hits) == 1 && hits == 4,
       "connections are counted, not packets");
    OK(nft_remove(NULL) == 0, "removed");
}

#define THEIRS                                                                         \
    "nft 'table ip theirs; delete table ip theirs; table ip theirs { chain out { "     \
    "type nat hook output priority -100; ip daddr 127.0.0.9 udp dport 53 dnat to " VIP \
    ":%d; }; }'"

/* Another table's redirection is not ours to forget. */
static void forgets(void) {
    AUTO_FD int one = socket_at(VIP, 5301, SOCK_DGRAM);
    AUTO_FD int two = socket_at(VIP, 5302, SOCK_DGRAM);
    AUTO_FD int three = socket_at(VIP, 5303, SOCK_DGRAM);
    AUTO_FD int c = client(VIP, 40000, VIP, SOCK_DGRAM);
    AUTO_FD int other = client("127.0.0.1", 40001, "127.0.0.9", SOCK_DGRAM);
    struct nft_rules first = to(VIP, 5301), second = to(VIP, 5302);
    OK(conntrack_flush() == 0, "nothing to forget");
    OK(nft_apply(&first, NULL) == 0 && exchange(c, one).family, "a client");
    OK(RUN(THEIRS, 5303) && exchange(other, three).family, "somebody else's");
    OK(nft_apply(&second, NULL) == 0 && exchange(c, one).family, "keeps to the old target");
    OK(RUN(THEIRS, 5301) && exchange(other, three).family, "the other, too");
    OK(conntrack_flush() == 0 && exchange(c, two).family, "and is sent to the new one");
    OK(exchange(other, three).family, "but not the other");
    OK(nft_remove(NULL) == 0 && RUN("nft flush ruleset"), "removed");
}

static void coexists(void) {
    AUTO_FD int server = socket_at(VIP, 5300, SOCK_DGRAM);
    AUTO_FD int theirs = socket_at("127.0.0.1", 5399, SOCK_DGRAM);
    static const char *const kinds[] = { "iptables-nft", "iptables-legacy" };
    struct nft_rules r = to(VIP, 5300);
    for (size_t i = 0; i < 2; i++) {
        char out[4096];
        int rc = run_into(out, sizeof out,
                          "%s -w -t nat -A OUTPUT -d " VIP " -p udp --dport 53 "
                          "-j DNAT --to-destination 127.0.0.1:5399 && "
                          "%s -w -t nat -A POSTROUTING -j MASQUERADE",
                          kinds[i], kinds[i]);
        if (rc != 0) {
            OK(true, "beside %s # SKIP it does not work here", kinds[i]);
            continue;
        }
        AUTO_FD int before = client("127.0.0.1", 0, VIP, SOCK_DGRAM);
        OK(exchange(before, theirs).family, "%s redirects", kinds[i]);
        OK(nft_apply(&r, NULL) == 0, "applied");
        AUTO_FD int during = client("127.0.0.1", 0, VIP, SOCK_DGRAM);
        OK(exchange(during, server).family, "ours comes first");
        OK(nft_remove(NULL) == 0, "removed");
        AUTO_FD int after = client("127.0.0.1", 0, VIP, SOCK_DGRAM);
        OK(exchange(after, theirs).family, "theirs is still there");
        OK(RUN("%s -w -t nat -F", kinds[i]), "as it was");
    }
    (void)RUN("nft flush ruleset");
}

/* v0 here, 10.1.0.1; v1 in another namespace, 10.1.0.2. */
static bool make_pair(int there) {
    return RUN("ip link add v0 type veth peer name v1 netns /proc/%d/fd/%d && "
               "ip addr add 10.1.0.1/24 dev v0 && ip addr add 10.9.9.9/32 dev lo && "
               "ip link set v0 up && "
               "nsenter --net=/proc/%d/fd/%d sh -c 'ip link set lo up && "
               "ip addr add 10.1.0.2/24 dev v1 && ip link set v1 up && "
               "ip route add default via 10.1.0.1'",
               getpid(), there, getpid(), there);
}

static void masquerades(int here, int there) {
    if (!OK(netns_enter(there), "over there"))
        return;
    AUTO_FD int server = socket_at("10.1.0.2", 5353, SOCK_DGRAM);
    AUTO_FD int server_tcp = socket_at("10.1.0.2", 5353, SOCK_STREAM);
    OK(netns_enter(here), "back");
    struct nft_rules r = to("10.1.0.2", 5353);
    char text[IP_TEXT];
    AUTO_FD int plain = client("10.9.9.9", 0, VIP, SOCK_DGRAM);
    OK(nft_apply(&r, NULL) == 0, "to another host");
    struct ip seen = exchange(plain, server);
    OK(strcmp(ip_text(&seen, text), "10.9.9.9") == 0, "which sees %s", text);
    r.v4.masquerade = true;
    AUTO_FD int masked = client("10.9.9.9", 0, VIP, SOCK_DGRAM);
    OK(nft_apply(&r, NULL) == 0, "with masquerade");
    seen = exchange(masked, server);
    OK(strcmp(ip_text(&seen, text), "10.1.0.1") == 0, "it sees %s", text);
    OK(tcp_works(VIP, server_tcp), "TCP");
    uint64_t hits = 0;
    OK(nft_check(&r, &hits) == 1 && hits == 2, "masqueraded ones are counted once: %d", (int)hits);
    OK(nft_remove(NULL) == 0, "removed");
}

/* What comes in, as from a container, is redirected; by the uplink it is not. */
static void leaves_the_uplink_alone(int here, int there) {
    struct nft_rules r = to(VIP, 5300);
    AUTO_FD int server = socket_at(VIP, 5300, SOCK_DGRAM);
    uint64_t hits = 0;
    OK(nft_apply(&r, NULL) == 0 && netns_enter(there), "over there");
    AUTO_FD int c = client("", 0, VIP, SOCK_DGRAM);
    OK(netns_enter(here), "back");
    struct ip seen = exchange(c, server);
    OK(seen.family && nft_check(&r, &hits) == 1 && hits == 1, "comes in, and is redirected");
    (void)strcpy(r.outer[0], "v0");
    OK(nft_apply(&r, NULL) == 0 && netns_enter(there), "over there");
    AUTO_FD int other = client("", 0, VIP, SOCK_DGRAM);
    OK(netns_enter(here), "back");
    char b;
    OK(send(other, "x", 1, 0) == 1 && recv(other, &b, 1, 0) < 0 && errno == ECONNREFUSED,
       "by the uplink it finds port 53, where nobody is");
    OK(nft_check(&r, &hits) == 1 && hits == 0, "and is not counted");
    OK(nft_remove(NULL) == 0, "removed");
}

static void needs_rights(void) {
    struct nft_rules r = to(VIP, 5300);
    pid_t pid = fork();
    if (pid == 0) {
        struct err e = { 0 };
        if (setresuid(65534, 65534, 65534) < 0)
            _exit(1);
        if (nft_probe() != NFT_DENIED)
            _exit(2);
        if (nft_apply(&r, &e) != -EPERM || !e.text[0])
            _exit(3);
        if (nft_listen() != -EPERM || nft_check(&r, NULL) != -EPERM || conntrack_flush() != -EPERM)
            _exit(4);
        _exit(nft_remove(&e) == -EPERM ? 0 : 5);
    }
    int status = -1;
    (void)waitpid(pid, &status, 0);
    OK(status == 0, "nobody may do nothing: %d", WEXITSTATUS(status));
}

static void packets(int here) {
    AUTO_FD int there = netns_new();
    if (!OK(there >= 0 && netns_enter(here) && make_pair(there), "a second namespace"))
        return;
    redirects();
    forgets();
    coexists();
    masquerades(here, there);
    leaves_the_uplink_alone(here, there);
}

static void in_a_namespace(void) {
    struct prefix vip = { ip(VIP), 32 }, vip6 = { ip(VIP6), 128 };
    AUTO_FD int here = netns_new();
    if (here < 0 || nft_probe() != NFT_USABLE) {
        OK(true, "rules of our own # SKIP needs root, and nf_tables");
        return;
    }
    if (system("PATH=$PATH:/usr/sbin:/sbin; command -v nft ip nsenter >/dev/null") != 0) {
        OK(true, "rules of our own # SKIP needs nft(8), ip(8) and nsenter(1)");
        return;
    }
    OK(rtnl_link_up(1) == 0 && rtnl_addr_add(1, &vip) == 0 && rtnl_addr_add(1, &vip6) == 0, "lo");
    applies();
    lists_as_meant();
    hears_changes();
    packets(here);
    needs_rights();
}

int main(void) {
    builds();
    reads_rules();
    reads_counters();
    in_a_namespace();
    return tap_end();
}
