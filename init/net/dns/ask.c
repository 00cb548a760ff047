#include "net/dns/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/log.h"

static uint16_t bit(size_t upstream) { return (uint16_t)(1u << upstream); }

/* --- the order of what is due */

static void due_fire(struct timer *t);

void asks_init(struct forwarder *f) {
    list_init(&f->due);
    list_init(&f->free_asks);
    f->due_timer.fire = due_fire;
}

/* The timer may be early: then it finds nothing due, and is armed again. It is not moved for
 * each query, since nearly all are answered long before. */
static void arm(struct forwarder *f) {
    if (list_empty(&f->due)) {
        timer_stop(&f->due_timer);
        return;
    }
    instant due = CONTAINER_OF(f->due.next, struct ask, by_due)->due;
    if (!timer_armed(&f->due_timer) || instant_before(due, f->due_timer.at))
        timer_arm(f->loop, &f->due_timer, instant_since(due, f->loop->now));
}

/* One more try's time from now, within the deadline. Nearly always the last in order. */
static void ask_set_due(struct ask *a) {
    struct forwarder *f = a->f;
    list_remove(&a->by_due);
    a->due = instant_min(instant_add(f->loop->now, span_ms(DNS_TRY_MS)), a->deadline);
    struct link *prev = f->due.prev;
    while (prev != &f->due && instant_before(a->due, CONTAINER_OF(prev, struct ask, by_due)->due))
        prev = prev->prev;
    list_insert_before(prev->next, &a->by_due);
    arm(f);
}

/* --- which upstream */

static bool is_avoided(const struct forwarder *f, size_t i) {
    return instant_before(f->loop->now, f->upstreams[i].avoid_until);
}

/* The first in order that has not failed just now; else simply the first. */
static int best_upstream(const struct ask *a) {
    const struct forwarder *f = a->f;
    for (size_t i = a->first; i < f->nupstreams; i++)
        if (!is_avoided(f, i))
            return (int)i;
    return a->first < f->nupstreams ? a->first : -1;
}

/* Round robin behind the one asked last; -1 when this round has no other to ask. */
static int next_upstream(const struct ask *a) {
    size_t n = a->f->nupstreams - a->first;
    for (size_t k = 1; k <= n; k++) {
        size_t i = a->first + (a->upstream - a->first + k) % n;
        if (!((a->refused | a->broken) & bit(i)))
            return (int)i;
    }
    return -1;
}

/* It did not answer, or not properly. Said once, until it answers again. */
static void upstream_failed(struct forwarder *f, size_t i, int next) {
    struct upstream_state *u = &f->upstreams[i];
    char mine[IP_TEXT], other[IP_TEXT];
    u->failed++;
    u->avoid_until = instant_add(f->loop->now, span_ms(DNS_AVOID_MS));
    if (u->silent)
        return;
    u->silent = true;
    (void)ip_text(&u->u.ip, mine);
    if (next >= 0 && next != (int)i)
        log_warn("net", "resolver %s does not answer; asking %s", mine,
                 ip_text(&f->upstreams[next].u.ip, other));
    else
        log_warn("net", "resolver %s does not answer", mine);
}

static void upstream_works(struct forwarder *f, size_t i) {
    struct upstream_state *u = &f->upstreams[i];
    char text[IP_TEXT];
    u->avoid_until = (instant){ 0 };
    if (u->silent)
        log_info("net", "resolver %s answers again", ip_text(&u->u.ip, text));
    u->silent = false;
}

/* --- the life of a query */

static struct ask *ask_new(struct forwarder *f) {
    if (!list_empty(&f->free_asks)) {
        struct ask *a = CONTAINER_OF(f->free_asks.next, struct ask, by_due);
        list_remove(&a->by_due);
        return a;
    }
    return f->asks_touched < MAX_DNS_IN_FLIGHT ? &f->asks[f->asks_touched++] : NULL;
}

static void ask_free(struct ask *a) { list_insert_before(a->f->free_asks.next, &a->by_due); }

void ask_end(struct ask *a) {
    try_end(&a->tries[0]);
    try_end(&a->tries[1]);
    if (a->who.tcp)
        a->who.tcp->ask = NULL;
    list_remove(&a->by_due);
    tables_remove(a);
    load_release(&a->f->tables, a->load);
    if (a->query != a->inside)
        free(a->query);
    a->query = NULL;
    ask_free(a);
}

/* A SERVFAIL of our own. */
static void fail(struct forwarder *f, const struct asker *who, const uint8_t *query, size_t len) {
    uint8_t out[DNS_REPLY_EMPTY];
    asker_reply(f, who, out, dns_reply_empty(out, query, len, DNS_SERVFAIL, false));
}

/* The client reads its question in the case that it wrote. */
static void unmark(const struct ask *a, uint8_t *msg) {
    memcpy(msg + DNS_HEADER, a->question, a->q.question_len);
}

static void ask_fail(struct ask *a) {
    uint8_t out[DNS_REPLY_EMPTY];
    struct forwarder *f = a->f;
    struct asker who = a->who;
    unmark(a, a->query);
    size_t n = dns_reply_empty(out, a->query, a->len, DNS_SERVFAIL, false);
    f->counts.failed++;
    ask_end(a);
    asker_reply(f, &who, out, n);
}

/* Ask this upstream, or whichever comes next and can be asked. When none can, or when we lack
 * what it takes, wait: both may pass before the deadline. */
static void ask_send(struct ask *a, int upstream) {
    while (upstream >= 0) {
        a->upstream = (uint8_t)upstream;
        a->current ^= 1;
        try_end(&a->tries[a->current]);
        int code = try_start(&a->tries[a->current], a, (size_t)upstream);
        if (code >= 0)
            break;
        a->broken |= bit((size_t)upstream);
        int next = next_upstream(a);
        upstream_failed(a->f, (size_t)upstream, next);
        upstream = next;
    }
    ask_set_due(a);
}

/* The one who asks is on this machine: not always a client, but maybe an upstream of ours. */
static bool is_own_machine(const struct asker *who) {
    return ip_is_loopback(&who->ip) || (who->ip.family == who->to.family &&
                                        memcmp(who->ip.b, who->to.b, sizeof who->ip.b) == 0);
}

/* The first upstream that cannot lead in a circle: behind the last of those that are on
 * loopback and bits of `asked`. */
static uint8_t behind_loopback(const struct forwarder *f, uint16_t asked) {
    uint8_t first = 0;
    for (size_t i = 0; i < f->nupstreams; i++)
        if ((asked & bit(i)) && ip_is_loopback(&f->upstreams[i].u.ip))
            first = (uint8_t)(i + 1);
    return first;
}

/* A resolver on loopback may ask us what we have asked it. So that this can be told from others
 * on this machine who happen to ask the same at the same time, the case of the letters is our
 * mark: resolvers keep it, and it means nothing (RFC 4343). */
static void ask_mark(struct ask *a) {
    const struct forwarder *f = a->f;
    uint64_t bits = 0;
    memcpy(a->question, a->query + DNS_HEADER, a->q.question_len);
    if (behind_loopback(f, UINT16_MAX) == 0)
        return;
    for (int i = 0; i < 4; i++)
        bits = bits << 16 | forwarder_random(a->f);
    (void)dns_mark_case(a->query, a->len, bits);
}

/* 0; or -1 without memory. */
static int ask_keep(struct ask *a, const uint8_t *msg, size_t len) {
    a->query = len <= sizeof a->inside ? a->inside : malloc(len);
    a->len = len;
    if (a->query)
        memcpy(a->query, msg, len);
    return a->query ? 0 : -1;
}

/* A slot for this query, counted on its client; NULL when a bound says no. */
static struct ask *ask_admit(struct forwarder *f, const struct asker *who, const uint8_t *msg,
                             size_t len) {
    struct client_load *load = load_take(&f->tables, &who->ip);
    struct ask *a = load ? ask_new(f) : NULL;
    if (a) {
        *a = (struct ask){ .f = f, .who = *who, .load = load };
        a->tries[0].s.fd = a->tries[1].s.fd = -1;
        if (ask_keep(a, msg, len) == 0)
            return a;
        ask_free(a);
    }
    if (load)
        load_release(&f->tables, load);
    return NULL;
}

void ask_begin(struct forwarder *f, const struct asker *who, const struct dns_query *q,
               const uint8_t *msg, size_t len) {
    uint8_t first = 0;
    if (is_own_machine(who))
        first = behind_loopback(f, tables_asked(&f->tables, q, msg));
    f->counts.looped += first > 0;
    if (first >= f->nupstreams) { /* or there are none at all */
        f->counts.failed++;
        fail(f, who, msg, len);
        return;
    }
    struct ask *a = ask_admit(f, who, msg, len);
    if (!a) {
        f->counts.dropped++;
        fail(f, who, msg, len);
        return;
    }
    a->q = *q;
    ask_mark(a);
    a->first = first;
    a->looped = first > 0;
    a->deadline = instant_add(f->loop->now, span_ms(DNS_DEADLINE_MS));
    if (who->tcp)
        who->tcp->ask = a;
    tables_add(&f->tables, a);
    ask_send(a, best_upstream(a));
}

/* --- what can happen to it */

void ask_answered(struct ask *a, struct try *t, uint8_t *msg, size_t len) {
    struct forwarder *f = a->f;
    size_t upstream = t->upstream;
    enum dns_rcode rcode = dns_rcode_of(msg);
    bool is_current = t == &a->tries[a->current];
    upstream_works(f, upstream);
    if (rcode == DNS_SERVFAIL || rcode == DNS_REFUSED || rcode == DNS_NOTIMP) {
        a->refused |= bit(upstream);
        f->upstreams[upstream].failed++;
        int next = next_upstream(a);
        if (next >= 0) { /* another may know better */
            try_end(t);
            if (is_current)
                ask_send(a, next);
            return;
        }
    }
    uint8_t cut[DNS_REPLY_EMPTY];
    struct asker who = a->who;
    if (!who.tcp && len > a->q.udp_size) {
        len = dns_reply_empty(cut, a->query, a->len, rcode, true);
        msg = cut;
    }
    dns_set_id(msg, a->q.id);
    unmark(a, msg);
    f->counts.answers++;
    ask_end(a);
    asker_reply(f, &who, msg, len);
}

void ask_try_failed(struct ask *a, struct try *t) {
    size_t upstream = t->upstream;
    bool is_current = t == &a->tries[a->current];
    try_end(t);
    a->broken |= bit(upstream);
    int next = next_upstream(a);
    upstream_failed(a->f, upstream, next);
    if (is_current && next >= 0)
        ask_send(a, next);
}

/* Time is up: for the current try, or for the whole. */
static void ask_due(struct ask *a) {
    if (!instant_before(a->f->loop->now, a->deadline)) {
        ask_fail(a);
        return;
    }
    bool timed_out = try_is_open(&a->tries[a->current]);
    a->broken = 0;
    int next = next_upstream(a);
    if (timed_out)
        upstream_failed(a->f, a->upstream, next);
    ask_send(a, next);
}

static void due_fire(struct timer *t) {
    struct forwarder *f = CONTAINER_OF(t, struct forwarder, due_timer);
    while (!list_empty(&f->due)) {
        struct ask *a = CONTAINER_OF(f->due.next, struct ask, by_due);
        if (instant_before(f->loop->now, a->due))
            break;
        ask_due(a);
    }
    arm(f);
}

static void ask_restart(struct ask *a) {
    struct forwarder *f = a->f;
    try_end(&a->tries[0]);
    try_end(&a->tries[1]);
    a->asked = a->refused = a->broken = 0;
    a->first = a->upstream = 0;
    if (a->looped) /* which upstream it came back from is no longer known: none on loopback */
        a->first = behind_loopback(f, UINT16_MAX);
    if (a->first >= f->nupstreams) {
        ask_fail(a);
        return;
    }
    /* Time for one try at least. */
    instant soon = instant_add(f->loop->now, span_ms(DNS_TRY_MS));
    if (instant_before(a->deadline, soon))
        a->deadline = soon;
    ask_send(a, best_upstream(a));
}

void asks_restart(struct forwarder *f) {
    struct link all = f->due;
    if (list_empty(&f->due))
        return;
    all.next->prev = all.prev->next = &all;
    list_init(&f->due);
    while (!list_empty(&all))
        ask_restart(CONTAINER_OF(all.next, struct ask, by_due));
    arm(f);
}
