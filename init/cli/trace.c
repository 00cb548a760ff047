/* trace.c — `pinnace doctor --explain dns`: one name, from resolv.conf to the upstream. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "net/dns/message.h"
#include "net/survey.h"
#include "probes/attempt.h"

/* The forwarder gives up after 4.5 s, and says so: that is waited for. Its own counts are there at
 * once. */
enum { ASK_MS = 5000, COUNTS_MS = 1000, AGAIN_MS = 1500, MESSAGE = 4096 };

/* What came of asking one server. */
struct outcome {
    struct dns_answer answer;
    span took;
};

static uint16_t random_id(void) {
    uint16_t id = 0;
    (void)!getrandom(&id, sizeof id, GRND_NONBLOCK);
    return id;
}

/* A socket that talks to `to`, port 53, by `link` (0: whichever). The fd or -errno. */
static int connect_to(const struct ip *to, int link) {
    struct sockaddr_storage sa;
    socklen_t len = ip_to_sockaddr(to, DNS_PORT, &sa);
    char name[IF_NAMESIZE];
    AUTO_FD int fd = socket(to->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (link && if_indextoname((unsigned)link, name))
        (void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name));
    if (connect(fd, (struct sockaddr *)&sa, len) < 0)
        return -errno;
    return fd_take(&fd);
}

/* Until an answer to `query` has come, which is sent again now and then, for one packet may be
 * lost. Its length, or -errno. */
static int exchange(int fd, const uint8_t *query, size_t len, uint8_t reply[MESSAGE],
                    struct dns_answer *answer, span limit) {
    instant now = instant_now(), until = instant_add(now, limit), again = now;
    for (;;) {
        if (!instant_before(now, again)) {
            if (send(fd, query, len, MSG_NOSIGNAL) < 0)
                return -errno;
            again = instant_add(now, span_ms(AGAIN_MS));
        }
        int n = recv_some(fd, reply, MESSAGE, instant_min(again, until));
        int rc = n < 0 ? n : dns_answer_parse(answer, reply, (size_t)n, query, len);
        now = instant_now();
        if (rc > 0)
            return n;
        if (rc < 0 && (n != -ETIMEDOUT || !instant_before(now, until)))
            return rc;
    }
}

static int ask(const struct ip *to, int link, const char *name, struct outcome *out) {
    uint8_t query[DNS_QUERY_CAP], reply[MESSAGE];
    size_t len = dns_query_build(query, random_id(), name, DNS_A);
    instant began = instant_now();
    AUTO_FD int fd = connect_to(to, link);
    int rc = fd < 0 ? fd : exchange(fd, query, len, reply, &out->answer, span_ms(ASK_MS));
    out->took = instant_since(instant_now(), began);
    return rc < 0 ? rc : 0;
}

bool trace_forwarder(const struct ip *address, char *out, size_t cap) {
    uint8_t query[DNS_STATS_QUERY], reply[MESSAGE];
    size_t len = dns_stats_query(query, random_id());
    struct dns_answer answer;
    AUTO_FD int fd = connect_to(address, 0);
    int n = fd < 0 ? fd : exchange(fd, query, len, reply, &answer, span_ms(COUNTS_MS));
    return n > 0 && dns_first_text(reply, (size_t)n, out, cap);
}

static int report_ask(const char *what, const struct ip *to, int link, const char *name) {
    char address[IP_TEXT], text[40], took[24];
    struct outcome o = { .answer = { 0 } };
    int rc = ask(to, link, name, &o);
    (void)ip_text(to, address);
    if (rc < 0)
        (void)printf("  %s %s: %s after %s\n", what, address, strerror(-rc),
                     format_span(took, sizeof took, o.took));
    else
        (void)printf("  %s %s: %s, %u address%s, after %s\n", what, address,
                     dns_rcode_text(o.answer.rcode, text, sizeof text), o.answer.records,
                     o.answer.records == 1 ? "" : "es", format_span(took, sizeof took, o.took));
    return rc == 0 && o.answer.rcode == 0 ? CLI_OK : CLI_NO;
}

/* Whom do programs of this box ask? */
static struct ip trace_resolver(const struct examination *x) {
    char text[IP_TEXT];
    const struct resolv *r = &x->facts.resolv;
    struct ip first = r->ours ? r->by : r->servers[0];
    (void)printf("1. " RESOLV_CONF " names %s%s\n", ip_text(&first, text),
                 r->ours ? ", which is pinnace's resolver address" : "");
    for (size_t i = 0; r->ours && i < r->n; i++)
        (void)printf("   in place of %s\n", ip_text(&r->servers[i], text));
    return first;
}

static void trace_rule(const struct examination *x) {
    char from[IP_TEXT], to[IP_TEXT];
    uint64_t hits = 0;
    const struct nft_dnat *d = &x->plan.rules.v4;
    if (!x->box.active || !x->box.nft) {
        (void)printf("2. no rule redirects it\n");
        return;
    }
    int there = nft_check(&x->plan.rules, &hits);
    (void)printf("2. nf_tables table pinnace: %s port 53 %s %s port %u (%s, %llu connections)\n",
                 ip_text(&d->from, from), there == 1 ? "goes to" : "would go to",
                 ip_text(&d->to, to), d->port, there == 1 ? "in force" : "not in force",
                 (unsigned long long)hits);
}

static void trace_upstreams(const struct examination *x, const char *name) {
    char what[64], link[IF_NAMESIZE];
    (void)printf("3. the resolvers behind it, asked directly:\n");
    for (size_t i = 0; i < x->plan.nupstreams; i++) {
        const struct upstream *u = &x->plan.upstreams[i];
        if (u->link && if_indextoname((unsigned)u->link, link))
            (void)snprintf(what, sizeof what, "by %s,", link);
        else
            (void)snprintf(what, sizeof what, "from here,");
        (void)report_ask(what, &u->ip, u->link, name);
    }
}

int trace_dns(const struct examination *x, const char *name) {
    struct err e = { 0 };
    char counts[200];
    if (dns_name_check(name, &e) < 0) {
        (void)cli_fail(&e);
        return CLI_USAGE;
    }
    (void)printf("%s\n", name);
    struct ip first = trace_resolver(x);
    trace_rule(x);
    if (x->box.active)
        trace_upstreams(x, name);
    if (x->box.active && trace_forwarder(&x->box.vip, counts, sizeof counts))
        (void)printf("4. the forwarder: %s\n", counts);
    else if (x->box.active)
        (void)printf("4. the forwarder does not answer%s\n",
                     x->plan.dnat ? ", as the kernel redirects by itself" : "");
    (void)printf("5. and the whole way:\n");
    return ip_is_none(&first) ? CLI_NO : report_ask("asking", &first, 0, name);
}
