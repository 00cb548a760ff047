#include "tests/unit/t_forwarder.h"

enum { ANSWER = 12 + 13 + 4 }; /* bytes of a message about tcp.example */

static size_t framed(uint8_t *m, uint16_t id, const char *name) {
    size_t n = query(m + 2, id, name, 1, 0);
    m[0] = (uint8_t)(n >> 8), m[1] = (uint8_t)n;
    return n + 2;
}

/* Exactly `n` bytes into `reply`. */
static bool wait_bytes(int fd, size_t n) {
    size_t got = 0;
    for (;;) {
        ssize_t k = 0;
        UNTIL((k = recv(fd, reply + got, n - got, MSG_DONTWAIT)) >= 0);
        if (k <= 0)
            return false;
        got += (size_t)k;
        if (got == n)
            return true;
    }
}

static bool is_closed(int fd) {
    ssize_t k = -1;
    UNTIL((k = recv(fd, reply, sizeof reply, MSG_DONTWAIT)) >= 0 || errno != EAGAIN);
    return k == 0 || (k < 0 && errno != EAGAIN);
}

static bool is_open(int fd) {
    settle();
    return recv(fd, reply, sizeof reply, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void plain(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_STREAM, "");
    size_t n = framed(m, 0x4711, "tcp.example");
    (void)!send(c, m, n, 0);
    OK(wait_bytes(c, n) && reply[0] == 0 && reply[1] == ANSWER && id_of(reply + 2) == 0x4711 &&
           memcmp(reply + 14, m + 14, n - 14) == 0,
       "an answer, behind its length");
    OK(servers[0].ntcp == 1 && servers[0].nseen == 1, "the upstream was asked over TCP");
    servers[0].size = 65535;
    (void)!send(c, m, n, 0);
    OK(wait_bytes(c, 65537) && reply[0] == 0xff && reply[1] == 0xff && reply[65536] == 0xee,
       "65535 bytes");
    OK(counts().tcp == 2 && counts().queries == 2 && counts().answers == 2, "counted");
    teardown();
}

/* Both ways: the client's query in two parts, the upstream's answer in two parts. */
static void split_anywhere(void) {
    uint8_t m[600];
    size_t good = 0, n = framed(m, 5, "tcp.example");
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_STREAM, "");
    for (size_t i = 1; i < n; i++) {
        struct server *v = &servers[0];
        v->split = i;
        (void)!send(c, m, i, 0);
        for (int k = 0; k < 3; k++)
            (void)loop_turn(&loop);
        size_t before = v->nseen;
        (void)!send(c, m + i, n - i, 0);
        UNTIL(v->rest_len > 0);
        for (int k = 0; k < 3; k++)
            (void)loop_turn(&loop);
        bool early = received(c) > 0;
        server_rest(v);
        good += before == i - 1 && !early && wait_bytes(c, n) && id_of(reply + 2) == 5;
    }
    OK(good == n - 1, "split at any byte, both ways: %zu of %zu", good, n - 1);
    teardown();
}

static void one_after_the_other(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct server *v = &servers[0];
    v->silent = true;
    AUTO_FD int c = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    n += framed(m + n, 2, "tcp.example");
    size_t bad = n;
    n += framed(m + n, 3, "tcp.example");
    m[bad + 2 + 5] = 2; /* two questions: to be answered by ourselves, in its turn */
    n += framed(m + n, 4, "tcp.example");
    (void)!send(c, m, n, 0);
    UNTIL(v->nseen == 1);
    settle();
    OK(v->nseen == 1, "the second waits until the first is answered");
    v->silent = false;
    pass(1010);
    bool ordered = true;
    for (uint16_t id = 1; id <= 4; id++) {
        bool got = wait_bytes(c, 2) && wait_bytes(c, reply[1]);
        ordered = ordered && got && id_of(reply) == id &&
                  rcode_of(reply) == (id == 3 ? DNS_FORMERR : DNS_NOERROR);
    }
    OK(ordered, "four answers, in order");
    (void)shutdown(c, SHUT_WR);
    OK(is_closed(c), "at the end of the queries it is closed");
    teardown();
}

static void half_closed(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    (void)!send(c, m, n, 0);
    (void)shutdown(c, SHUT_WR);
    OK(wait_bytes(c, n), "who has shut down its side is still answered");
    OK(is_closed(c), "and then closed");
    teardown();
}

static void failover(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    struct server *a = &servers[0], *b = &servers[1];
    AUTO_FD int c = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    a->rcode = DNS_REFUSED;
    (void)!send(c, m, n, 0);
    OK(wait_bytes(c, n) && (reply[5] & 15) == 0 && b->ntcp == 1, "REFUSED: the next");
    a->rcode = 0;
    a->hang_up = true;
    (void)!send(c, m, n, 0);
    OK(wait_bytes(c, n) && a->ntcp == 2 && b->ntcp == 2, "hangs up: the next, at once");
    pass(10100);
    (void)c;
    AUTO_FD int d = client(SOCK_STREAM, "");
    a->hang_up = false;
    a->silent = true;
    (void)!send(d, m, n, 0);
    UNTIL(a->ntcp == 3);
    pass(1010);
    OK(wait_bytes(d, n) && b->ntcp == 3, "silent: the next, after a second");
    pass(10100);
    AUTO_FD int e = client(SOCK_STREAM, "");
    loop_unwatch(&a->tcp);
    fd_close(&a->tcp.fd);
    (void)!send(e, m, n, 0);
    OK(wait_bytes(e, n) && b->ntcp == 4, "refuses the connection: the next, at once");
    loop_unwatch(&b->tcp);
    fd_close(&b->tcp.fd);
    (void)!send(e, m, n, 0);
    settle();
    for (int i = 0; i < 46; i++)
        pass(100);
    OK(wait_bytes(e, n) && (reply[5] & 15) == DNS_SERVFAIL && counts().failed == 1,
       "nobody: SERVFAIL by the deadline");
    teardown();
}

static void wrong_answers(void) {
    uint8_t m[600], w[600];
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    struct server *a = &servers[0];
    AUTO_FD int c = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    a->silent = true;
    (void)!send(c, m, n, 0);
    UNTIL(a->ntcp == 1);
    memcpy(w, m, n);
    w[2] = (uint8_t)(a->seen[0].id >> 8), w[3] = (uint8_t)(a->seen[0].id ^ 1);
    w[4] |= 0x80;
    (void)!send(a->conns[0].s.fd, w, n, 0);
    OK(wait_bytes(c, n) && id_of(reply + 2) == 1 && servers[1].ntcp == 1,
       "an answer to something else: the next upstream");
    teardown();
}

static void a_slow_reader(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct server *v = &servers[0];
    v->size = 65535;
    AUTO_FD int c = client(SOCK_STREAM, "");
    /* 10 MB of answers: no buffer of the kernel's holds that. A window that was closed opens
     * slowly, so a few of them will do. */
    enum { QUERIES = 150, ENOUGH = 5 };
    size_t n = framed(m, 1, "tcp.example"), asked = 0, got = 0;
    for (; asked < QUERIES; asked++)
        (void)!send(c, m, n, 0);
    size_t last = 0;
    do {
        last = v->ntcp;
        settle();
    } while (v->ntcp > last);
    OK(v->ntcp < QUERIES, "who does not read is not asked for any more: %zu", v->ntcp);
    AUTO_FD int d = client(SOCK_STREAM, "");
    v->size = 0;
    (void)!send(d, m, n, 0);
    OK(wait_bytes(d, n), "meanwhile others are served");
    v->size = 65535;
    while (got < ENOUGH && wait_bytes(c, 2) && reply[0] == 0xff) {
        if (!wait_bytes(c, 65535))
            break;
        got++;
    }
    OK(got == ENOUGH, "it then gets what it asked for: %zu", got);
    teardown();
}

static void idle_ones(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_STREAM, "");
    AUTO_FD int d = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    (void)!send(c, m, n, 0);
    (void)!send(d, m, n, 0);
    OK(wait_bytes(c, n) && wait_bytes(d, n), "two clients");
    pass(6000);
    (void)!send(c, m, n, 0);
    OK(wait_bytes(c, n), "one asks again after 6 s");
    pass(4100);
    OK(is_closed(d) && is_open(c), "after 10 s the other is closed, this one is not");
    (void)!send(c, m, 7, 0);
    settle();
    pass(9900);
    OK(is_open(c), "half a query: 10 s");
    pass(200);
    OK(is_closed(c), "then closed");
    AUTO_FD int e = client(SOCK_STREAM, "");
    settle();
    pass(10100);
    OK(is_closed(e), "one that never said anything, too");
    teardown();
}

static void bad_ones(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_STREAM, "");
    (void)!send(c, "\0\0", 2, 0);
    OK(is_closed(c), "a message of no bytes");
    AUTO_FD int d = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    m[4] |= 0x80;
    (void)!send(d, m, n, 0);
    OK(is_closed(d) && counts().queries == 0, "an answer");
    AUTO_FD int e = client(SOCK_STREAM, "");
    servers[0].silent = true;
    n = framed(m, 1, "tcp.example");
    (void)!send(e, m, n, 0);
    UNTIL(servers[0].ntcp == 1);
    struct linger now = { 1, 0 };
    (void)setsockopt(e, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_close(&e);
    UNTIL(servers[0].conns[0].s.fd < 0);
    OK(servers[0].conns[0].s.fd < 0, "a client that is gone: the query is dropped");
    teardown();
}

static void full(void) {
    uint8_t m[600];
    int c[MAX_DNS_TCP];
    setup("127.0.0.1", "127.0.0.2", "", "");
    size_t n = framed(m, 1, "tcp.example"), served = 0;
    for (int i = 0; i < MAX_DNS_TCP; i++) {
        c[i] = client(SOCK_STREAM, "");
        (void)!send(c[i], m, n, 0);
        served += wait_bytes(c[i], n);
        pass(10);
    }
    OK(served == MAX_DNS_TCP, "64 clients");
    (void)!send(c[0], m, n, 0);
    OK(wait_bytes(c[0], n), "the first one asks again");
    AUTO_FD int d = client(SOCK_STREAM, "");
    (void)!send(d, m, n, 0);
    OK(wait_bytes(d, n), "the 65th is served");
    OK(is_closed(c[1]), "in the place of the idlest");
    OK(is_open(c[0]) && is_open(c[2]), "the others stay");
    for (int i = 0; i < MAX_DNS_TCP; i++)
        fd_close(&c[i]);
    teardown();
}

static void a_large_query(void) {
    static uint8_t m[65537];
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_STREAM, "");
    size_t n = query(m + 2, 1, "tcp.example", 1, 1232), data = 65535 - n, sent = 0;
    m[2 + n - 2] = (uint8_t)(data >> 8), m[2 + n - 1] = (uint8_t)data;
    m[0] = m[1] = 0xff;
    while (sent < sizeof m) {
        ssize_t k = send(c, m + sent, sizeof m - sent, MSG_DONTWAIT);
        sent += k > 0 ? (size_t)k : 0;
        (void)loop_turn(&loop);
    }
    OK(wait_bytes(c, sizeof m) && servers[0].ntcp == 1 && id_of(reply + 2) == 1,
       "a query of 65535 bytes, and its echo");
    teardown();
}

static void circles(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.11", "127.0.0.3", "");
    servers[0].silent = true;
    AUTO_FD int c = client(SOCK_STREAM, ""), o = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    (void)!send(c, m, n, 0);
    UNTIL(servers[0].ntcp == 1);
    memcpy(m + 2, servers[0].seen[0].msg, n - 2);
    (void)!send(o, m, n, 0);
    OK(wait_bytes(o, n) && servers[1].ntcp == 1 && counts().looped == 1, "a circle over TCP");
    teardown();
}

static void no_descriptors(void) {
    uint8_t m[600];
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_STREAM, "");
    size_t n = framed(m, 1, "tcp.example");
    struct rlimit was, none = { 3, 4096 };
    (void)getrlimit(RLIMIT_NOFILE, &was);
    none.rlim_max = was.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &none);
    int busy = 0;
    for (int i = 0; i < 50; i++) {
        (void)loop_turn(&loop);
        busy += turn.got > 0;
    }
    (void)setrlimit(RLIMIT_NOFILE, &was);
    OK(busy < 10, "without descriptors it does not spin: %d", busy);
    pass(150);
    (void)!send(c, m, n, 0);
    OK(wait_bytes(c, n), "with them, it goes on");
    teardown();
}

int main(void) {
    log_init(-1, LOG_TEXT, LOG_ERROR);
    plain();
    split_anywhere();
    one_after_the_other();
    half_closed();
    failover();
    wrong_answers();
    a_slow_reader();
    idle_ones();
    bad_ones();
    full();
    a_large_query();
    circles();
    no_descriptors();
    return tap_end();
}
