#include "net/dns/private.h"

#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bug.h"
#include "base/log.h"

#ifndef GRND_INSECURE
#define GRND_INSECURE 4 /* Linux 5.6: as good as there is by now, and never waits */
#endif

static const char stats_name[] = "stats.pinnace.";

/* Never waits: a machine that has just booted may have no randomness yet. */
static void random_bytes(void *out, size_t n) {
    if (getrandom(out, n, GRND_NONBLOCK) == (ssize_t)n ||
        getrandom(out, n, GRND_INSECURE) == (ssize_t)n)
        return;
    uint64_t x = (uint64_t)instant_now().ns ^ (uintptr_t)out; /* before Linux 5.6, at boot */
    for (uint8_t *at = out; n > 0; n--, at++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        *at = (uint8_t)(x >> 56);
    }
}

uint16_t forwarder_random(struct forwarder *f) {
    if (f->random_left == 0) {
        random_bytes(f->random, sizeof f->random);
        f->random_left = DNS_RANDOM_POOL;
    }
    return f->random[--f->random_left];
}

/* --- life */

struct forwarder *forwarder_new(struct loop *l) {
    struct forwarder *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->loop = l;
    f->batch = udp_batch_new();
    if (!f->batch) {
        free(f);
        return NULL;
    }
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    tables_init(&f->tables, seed);
    asks_init(f);
    tcp_clients_init(f);
    return f;
}

void forwarder_free(struct forwarder *f) {
    if (!f)
        return;
    tcp_clients_close(f);
    while (!list_empty(&f->due))
        ask_end(CONTAINER_OF(f->due.next, struct ask, by_due));
    for (size_t i = 0; i < f->nlisteners; i++) {
        loop_unwatch(&f->listeners[i].udp);
        loop_unwatch(&f->listeners[i].tcp);
    }
    timer_stop(&f->due_timer);
    timer_stop(&f->idle_timer);
    free(f->batch);
    free(f);
}

/* --- whom we listen to */

static int family_of(int fd, sa_family_t *family) {
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return -errno;
    *family = sa.ss_family;
    return *family == AF_INET || *family == AF_INET6 ? 0 : -EAFNOSUPPORT;
}

/* Have the kernel tell by which link things come, and to which address. On a TCP listener it is
 * what its connections inherit, and what arrival_link() asks them for. */
static int begin_listening(struct listener *l, struct source *s) {
    int on = 1;
    if (s->fd < 0)
        return 0;
    int code = family_of(s->fd, &l->family);
    if (code < 0)
        return code;
    code = l->family == AF_INET6 ? setsockopt(s->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on)
                                 : setsockopt(s->fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    return code < 0 ? -errno : loop_watch(l->f->loop, s);
}

void forwarder_refuse(struct forwarder *f, const int *links, size_t n) {
    f->nrefused = n < MAX_OUTER_LINKS ? n : MAX_OUTER_LINKS;
    memcpy(f->refused, links, f->nrefused * sizeof *links);
}

bool link_is_refused(const struct forwarder *f, int link) {
    for (size_t i = 0; i < f->nrefused; i++)
        if (f->refused[i] == link)
            return true;
    return false;
}

int forwarder_listen(struct forwarder *f, int udp, int tcp) {
    if (f->nlisteners == DNS_LISTENERS)
        return -ENOSPC;
    struct listener *l = &f->listeners[f->nlisteners];
    *l = (struct listener){ .f = f,
                            .udp = { .fd = udp, .want = EPOLLIN, .ready = udp_ready },
                            .tcp = { .fd = tcp, .want = EPOLLIN, .ready = tcp_ready } };
    int code = begin_listening(l, &l->udp);
    if (code == 0)
        code = begin_listening(l, &l->tcp);
    if (code == 0)
        f->nlisteners++;
    else
        loop_unwatch(&l->udp);
    return code;
}

/* --- whom we ask */

static bool same_upstream(const struct upstream *a, const struct upstream *b) {
    return ip_equal(&a->ip, &b->ip) && a->port == b->port && a->link == b->link;
}

static bool same_list(const struct forwarder *f, const struct upstream *u, size_t n) {
    bool same = n == f->nupstreams;
    for (size_t i = 0; same && i < n; i++)
        same = same_upstream(&f->upstreams[i].u, &u[i]);
    return same;
}

/* Sockets are tied by name, and it may have been renamed. */
static void name_link(struct upstream_state *state) {
    int link = state->u.link;
    _Static_assert(sizeof state->link_name >= IF_NAMESIZE, "a name of a link");
    state->link_name[0] = '\0';
    if (link && !if_indextoname((unsigned)link, state->link_name))
        log_warn("net", "queries are not tied to link %d: %s", link, strerror(errno));
}

/* What is known of an upstream stays known when others come and go. */
static struct upstream_state upstream_state(const struct forwarder *f, const struct upstream *u) {
    struct upstream_state state = { .u = *u };
    for (size_t i = 0; i < f->nupstreams; i++)
        if (same_upstream(&f->upstreams[i].u, u))
            state = f->upstreams[i];
    name_link(&state);
    return state;
}

void forwarder_aim(struct forwarder *f, const struct upstream *u, size_t n) {
    struct upstream_state states[MAX_UPSTREAMS];
    if (BUG_ON(n > MAX_UPSTREAMS))
        n = MAX_UPSTREAMS;
    if (same_list(f, u, n)) {
        for (size_t i = 0; i < n; i++)
            name_link(&f->upstreams[i]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        states[i] = upstream_state(f, &u[i]);
    memcpy(f->upstreams, states, n * sizeof states[0]);
    f->nupstreams = n;
    f->told_unbound = false;
    asks_restart(f);
}

/* --- what becomes of a query */

struct forwarder_counts forwarder_counts(const struct forwarder *f) {
    return f->counts;
}

void asker_reply(struct forwarder *f, const struct asker *who, const uint8_t *msg, size_t len) {
    uint8_t cut[DNS_REPLY_EMPTY];
    (void)f;
    if (who->tcp)
        tcp_reply(who->tcp, msg, len);
    else if (udp_reply(who, msg, len) == -EMSGSIZE) /* whatever the client said it can take */
        (void)udp_reply(who, cut, dns_reply_empty(cut, msg, len, dns_rcode_of(msg), true));
}

enum { STATS_STRING = 200, STATS_STRINGS = 1 + MAX_UPSTREAMS };

/* Which upstream would be asked first now? */
static bool is_best(const struct forwarder *f, size_t i) {
    size_t best = 0;
    while (best < f->nupstreams && instant_before(f->loop->now, f->upstreams[best].avoid_until))
        best++;
    return i == (best < f->nupstreams ? best : 0);
}

static void reply_stats(struct forwarder *f, const struct asker *who, const struct dns_query *q,
                        const uint8_t *msg, size_t len) {
    char text[STATS_STRINGS][STATS_STRING], ip[IP_TEXT];
    const char *strings[STATS_STRINGS];
    const struct forwarder_counts *c = &f->counts;
    uint8_t out[DNS_HEADER + DNS_MAX_QUESTION + STATS_STRINGS * STATS_STRING];
    (void)snprintf(text[0], STATS_STRING,
                   "queries=%" PRIu64 " answers=%" PRIu64 " failed=%" PRIu64 " dropped=%" PRIu64
                   " tcp=%" PRIu64 " looped=%" PRIu64,
                   c->queries, c->answers, c->failed, c->dropped, c->tcp, c->looped);
    for (size_t i = 0; i < f->nupstreams; i++) {
        const struct upstream_state *u = &f->upstreams[i];
        (void)snprintf(text[1 + i], STATS_STRING,
                       "upstream %s link=%d asked=%" PRIu64 " failed=%" PRIu64 " best=%s",
                       ip_text(&u->u.ip, ip), u->u.link, u->asked, u->failed,
                       is_best(f, i) ? "yes" : "no");
    }
    for (size_t i = 0; i < STATS_STRINGS; i++)
        strings[i] = text[i];
    size_t cap = !who->tcp && q->udp_size < sizeof out ? q->udp_size : sizeof out;
    size_t n = dns_reply_text(out, cap, msg, len, strings, 1 + f->nupstreams);
    if (n == 0)
        n = dns_reply_empty(out, msg, len, DNS_NOERROR, true);
    asker_reply(f, who, out, n);
}

void query_take(struct forwarder *f, const struct asker *who, const uint8_t *msg, size_t len,
                bool cut) {
    uint8_t out[DNS_REPLY_EMPTY];
    struct dns_query q;
    int rcode = dns_query_parse(&q, msg, len);
    if (rcode < 0) {
        if (who->tcp)
            tcp_client_close(who->tcp);
        return;
    }
    if (cut)
        rcode = DNS_FORMERR;
    f->counts.queries++;
    f->counts.tcp += who->tcp != NULL;
    if (rcode > 0)
        asker_reply(f, who, out, dns_reply_empty(out, msg, len, (enum dns_rcode)rcode, false));
    else if (dns_asks_chaos_text(&q, stats_name))
        reply_stats(f, who, &q, msg, len);
    else if (who->tcp || !tables_has_query(&f->tables, who, &q))
        ask_begin(f, who, &q, msg, len);
}
