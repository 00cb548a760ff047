/* private.h — what the parts of the forwarder know of each other.
 *
 *     forwarder.c  listeners, upstreams, what becomes of a query
 *     udp.c        clients on UDP
 *     tcp.c        clients on TCP
 *     ask.c        one query, until it is answered: whom to ask, when to give up
 *     try.c        one question to one upstream: a socket, an id, an answer
 *     table.c      queries in flight, found by what is asked and by whom
 *
 * All of it is of fixed size and allocated once. Only queries longer than ASK_INLINE and
 * messages over TCP are allocated apart; each is freed with the ask or the client it is of.
 */
#ifndef DNS_PRIVATE_H
#define DNS_PRIVATE_H

#include <netinet/in.h>

#include "net/dns/forwarder.h"
#include "net/dns/message.h"

enum {
    DNS_TRY_MS = 1000,        /* for one upstream to answer, before the next is asked, too */
    DNS_DEADLINE_MS = 4500,   /* for an answer at all; resolver(5) gives up after 5 s */
    DNS_AVOID_MS = 10000,     /* an upstream that failed is not the first one asked */
    DNS_TCP_IDLE_MS = 10000,  /* without a byte moved; RFC 7766 6.2.3 wants seconds */
    DNS_UDP_QUERY_MAX = 4096, /* bytes of a query over UDP; longer: FORMERR */
    DNS_UDP_BATCH = 32,       /* queries read per turn of the loop */
    DNS_LISTENERS = 4,        /* pairs of sockets that forwarder_listen() takes; then -ENOSPC */
    DNS_TRY_BATCH = 8,        /* datagrams read from an upstream's socket per turn */
    DNS_ACCEPT_BATCH = 16,    /* connections accepted per turn */
    ASK_INLINE = 512,         /* bytes of a query that are kept inside its slot */
    DNS_CIRCLE_MANY = 16,     /* queries in flight that are equal but for their case: a circle */
    DNS_BUCKETS = 1024,       /* of each hash table; a power of two */
    DNS_RANDOM_POOL = 256,    /* ids fetched from the kernel at once */
    DNS_TCP_HEAD = 2          /* bytes of length before a message (RFC 1035 4.2.2) */
};

struct listener {
    struct forwarder *f;
    struct source udp, tcp;
    sa_family_t family;
};

/* Who asked, and how to answer them. */
struct asker {
    struct ip ip;  /* they */
    struct ip to;  /* the address of ours that they asked */
    uint16_t port; /* theirs */
    struct listener *on;
    struct tcp_client *tcp;       /* NULL: over UDP */
    struct sockaddr_storage addr; /* as the kernel gave it */
    socklen_t addr_len;
    struct in6_pktinfo to6; /* what to say on the way back: ours, and the link if it matters */
    struct in_addr to4;
};

struct tcp_client {
    struct forwarder *f;
    struct source s; /* fd -1: a free slot */
    struct asker who;
    struct link by_age; /* in forwarder.tcp_clients, the idlest first */
    instant active;     /* when a byte was moved last */
    struct ask *ask;    /* being asked for it, or NULL */
    uint8_t head[DNS_TCP_HEAD];
    uint8_t *in, *out; /* a message; `in` without its length, `out` with it */
    size_t in_got;     /* head included */
    size_t out_len, out_sent;
};

/* One question to one upstream. */
struct try {
    struct ask *ask;
    struct source s; /* fd -1: none */
    uint8_t upstream;
    uint16_t id;
    size_t sent; /* TCP only, as all below: bytes, length included */
    uint8_t head[DNS_TCP_HEAD];
    uint8_t *in;
    size_t got;
};

/* A query in flight. */
struct ask {
    struct forwarder *f;
    struct link by_due;                /* in forwarder.due; of the free ones, in .free_asks */
    struct link by_asker, by_question; /* in the tables */
    instant due, deadline;             /* the next step; the last */
    struct asker who;
    struct client_load *load;
    struct dns_query q;
    uint8_t inside[ASK_INLINE];
    uint8_t *query; /* `inside`, or allocated */
    size_t len;
    struct try tries[2]; /* the current one, and the one before, whose answer is still welcome */
    uint8_t current;     /* index into tries */
    uint8_t upstream;    /* asked last */
    uint8_t first;       /* upstreams before this one are out of the question */
    uint8_t question[DNS_MAX_QUESTION]; /* as the client wrote it; in `query` it is marked */
    bool looped;                        /* came back from a loopback upstream */
    uint16_t asked, refused, broken; /* bits of upstreams: ever asked; answered SERVFAIL or alike;
                                      * gave an error since the last time-out */
};
_Static_assert(MAX_UPSTREAMS <= 16, "upstreams fit into the bits of an ask");

/* Queries in flight for one address. */
struct client_load {
    struct link by_ip; /* in the table; of the free ones, in .free_loads */
    struct ip ip;
    uint32_t asks;
};

struct dns_tables {
    uint64_t seed;
    struct link by_asker[DNS_BUCKETS], by_question[DNS_BUCKETS], by_ip[DNS_BUCKETS];
    struct link free_loads;
    struct client_load loads[MAX_DNS_IN_FLIGHT];
};

struct upstream_state {
    struct upstream u;
    char link_name[16];  /* IFNAMSIZ; "" to tie to none */
    instant avoid_until; /* not the first choice before that */
    bool silent;         /* and the log says so */
    uint64_t asked, failed;
};

struct udp_batch;

struct forwarder {
    struct loop *loop;
    struct listener listeners[DNS_LISTENERS];
    size_t nlisteners;
    int refused[MAX_OUTER_LINKS]; /* links whose queries are dropped */
    size_t nrefused;
    struct upstream_state upstreams[MAX_UPSTREAMS];
    size_t nupstreams;
    struct forwarder_counts counts;

    struct link due; /* all asks, the earliest due first */
    struct timer due_timer;
    struct link free_asks;
    size_t asks_touched; /* slots from here on were never used, and take no memory */
    struct ask asks[MAX_DNS_IN_FLIGHT];
    struct dns_tables tables;

    struct link tcp_clients;
    struct timer idle_timer;
    struct tcp_client tcp[MAX_DNS_TCP];

    bool told_unbound, told_unknown_link; /* said once in the log */
    size_t random_left;
    uint16_t random[DNS_RANDOM_POOL];
    uint8_t scratch[DNS_TCP_HEAD + DNS_MAX_UDP]; /* a datagram being looked at */
    struct udp_batch *batch;
};

/* --- forwarder.c */

/* A message has come in; `cut`: it was longer than that. Answers it, now or later, or not at
 * all. A TCP client may be gone afterwards. */
bool link_is_refused(const struct forwarder *f, int link);
void query_take(struct forwarder *f, const struct asker *who, const uint8_t *msg, size_t len,
                bool cut);
/* Send a message back, over whatever it came by. */
void asker_reply(struct forwarder *f, const struct asker *who, const uint8_t *msg, size_t len);
uint16_t forwarder_random(struct forwarder *f);

/* --- udp.c  */
struct udp_batch *udp_batch_new(void); /* free(3) it */
void udp_ready(struct source *s, uint32_t got);
/* 0 or -errno. */
int udp_reply(const struct asker *who, const uint8_t *msg, size_t len);

/* --- tcp.c  */
void tcp_ready(struct source *s, uint32_t got);
void tcp_clients_init(struct forwarder *f);
void tcp_clients_close(struct forwarder *f);
void tcp_reply(struct tcp_client *c, const uint8_t *msg, size_t len);
void tcp_client_close(struct tcp_client *c);

/* --- ask.c  */
void asks_init(struct forwarder *f);
void ask_begin(struct forwarder *f, const struct asker *who, const struct dns_query *q,
               const uint8_t *msg, size_t len);
/* Forget it, without an answer. */
void ask_end(struct ask *a);
/* Upstreams have changed: begin anew. */
void asks_restart(struct forwarder *f);
/* The message is a good answer to `t`, in a buffer that may be written to. Ends the try. */
void ask_answered(struct ask *a, struct try *t, uint8_t *msg, size_t len);
/* The try came to an error. */
void ask_try_failed(struct ask *a, struct try *t);

/* --- try.c  */

/* 0; or -errno, when there is no try, and the upstream is to blame; or 1, when we are. */
int try_start(struct try *t, struct ask *a, size_t upstream);
void try_end(struct try *t); /* idempotent */
static inline bool try_is_open(const struct try *t) { return t->s.fd >= 0; }

/* --- table.c  */
void tables_init(struct dns_tables *t, uint64_t seed);
/* One more for this address; NULL when that is too many. */
struct client_load *load_take(struct dns_tables *t, const struct ip *ip);
void load_release(struct dns_tables *t, struct client_load *load);
void tables_add(struct dns_tables *t, struct ask *a);
void tables_remove(struct ask *a);
/* Is the same client already waiting for this very query? */
bool tables_has_query(struct dns_tables *t, const struct asker *who, const struct dns_query *q);
/* The upstreams that this message may have come back from: they were asked its very question,
 * with our mark, by a query in flight; or the same question by suspiciously many. */
uint16_t tables_asked(struct dns_tables *t, const struct dns_query *q, const uint8_t *msg);

#endif
