#include "net/dns/private.h"

#include <string.h>

/* FNV-1a, begun with a secret so that nobody can aim at one bucket, and stirred at the end. */
static uint64_t hash(uint64_t h, const void *bytes, size_t n) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < n; i++)
        h = (h ^ at[i]) * 0x100000001b3;
    return h;
}

static struct link *bucket(struct link *table, uint64_t h) {
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15;
    return &table[(h >> 32) & (DNS_BUCKETS - 1)];
}

static uint64_t hash_question(const struct dns_tables *t, const struct dns_query *q) {
    return hash(t->seed ^ 1, q->question, q->question_len);
}

static uint64_t hash_asker(const struct dns_tables *t, const struct asker *who,
                           const struct dns_query *q) {
    uint64_t h = hash(t->seed ^ 2, who->ip.b, sizeof who->ip.b);
    h = hash(h, &who->port, sizeof who->port);
    return hash(h, &q->id, sizeof q->id);
}

void tables_init(struct dns_tables *t, uint64_t seed) {
    t->seed = seed;
    for (size_t i = 0; i < DNS_BUCKETS; i++) {
        list_init(&t->by_asker[i]);
        list_init(&t->by_question[i]);
        list_init(&t->by_ip[i]);
    }
    list_init(&t->free_loads);
    for (size_t i = 0; i < MAX_DNS_IN_FLIGHT; i++)
        list_insert_before(&t->free_loads, &t->loads[i].by_ip);
}

struct client_load *load_take(struct dns_tables *t, const struct ip *ip) {
    struct link *head = bucket(t->by_ip, hash(t->seed ^ 3, ip->b, sizeof ip->b));
    for (struct link *l = head->next; l != head; l = l->next) {
        struct client_load *load = CONTAINER_OF(l, struct client_load, by_ip);
        if (!ip_equal(&load->ip, ip))
            continue;
        if (load->asks >= MAX_DNS_PER_CLIENT)
            return NULL;
        load->asks++;
        return load;
    }
    if (list_empty(&t->free_loads)) /* as many as there are asks: cannot be */
        return NULL;
    struct client_load *load = CONTAINER_OF(t->free_loads.next, struct client_load, by_ip);
    list_remove(&load->by_ip);
    load->ip = *ip;
    load->asks = 1;
    list_insert_before(head, &load->by_ip);
    return load;
}

void load_release(struct dns_tables *t, struct client_load *load) {
    if (--load->asks > 0)
        return;
    list_remove(&load->by_ip);
    list_insert_before(t->free_loads.next, &load->by_ip);
}

void tables_add(struct dns_tables *t, struct ask *a) {
    list_insert_before(bucket(t->by_asker, hash_asker(t, &a->who, &a->q)), &a->by_asker);
    list_insert_before(bucket(t->by_question, hash_question(t, &a->q)), &a->by_question);
}

void tables_remove(struct ask *a) {
    list_remove(&a->by_asker);
    list_remove(&a->by_question);
}

static bool same_question(const struct dns_query *a, const struct dns_query *b) {
    return a->question_len == b->question_len &&
           memcmp(a->question, b->question, a->question_len) == 0;
}

bool tables_has_query(struct dns_tables *t, const struct asker *who, const struct dns_query *q) {
    struct link *head = bucket(t->by_asker, hash_asker(t, who, q));
    for (struct link *l = head->next; l != head; l = l->next) {
        const struct ask *a = CONTAINER_OF(l, struct ask, by_asker);
        if (a->q.id == q->id && a->who.port == who->port && a->who.tcp == who->tcp &&
            ip_equal(&a->who.ip, &who->ip) && same_question(&a->q, q))
            return true;
    }
    return false;
}

uint16_t tables_asked(struct dns_tables *t, const struct dns_query *q, const uint8_t *msg) {
    uint16_t marked = 0, any = 0;
    size_t n = 0;
    struct link *head = bucket(t->by_question, hash_question(t, q));
    for (struct link *l = head->next; l != head; l = l->next) {
        const struct ask *a = CONTAINER_OF(l, struct ask, by_question);
        if (!same_question(&a->q, q))
            continue;
        n++;
        any |= a->asked;
        if (memcmp(a->query + DNS_HEADER, msg + DNS_HEADER, q->question_len) == 0)
            marked |= a->asked;
    }
    return n >= DNS_CIRCLE_MANY ? any : marked;
}
