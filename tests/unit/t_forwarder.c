#include "tests/unit/t_forwarder.h"

static void plain(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    uint8_t m[600];
    size_t n = query(m, 0x4711, "Www.Example", 1, 0);
    (void)!send(c, m, n, 0);
    OK(wait_reply(c) == n && id_of(reply) == 0x4711 && rcode_of(reply) == 0, "an answer");
    OK(memcmp(reply + 12, m + 12, n - 12) == 0 && reply[2] == 0x81, "as the upstream gave it");
    OK(servers[0].nseen == 1 && servers[0].seen[0].len == n &&
           strncasecmp((char *)servers[0].seen[0].msg + 13, "www", 3) == 0 &&
           memcmp(servers[0].seen[0].msg + 13, m + 13, 11) != 0,
       "which, being on loopback, saw the query in another case");
    servers[0].rcode = DNS_NXDOMAIN;
    ask_fd(c, 1, "nowhere", 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == DNS_NXDOMAIN, "NXDOMAIN is an answer");
    OK(counts().queries == 2 && counts().answers == 2 && counts().failed == 0 &&
           counts().dropped == 0 && counts().tcp == 0,
       "counted");
    teardown();
}

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static size_t distinct(int *v, size_t n) {
    size_t d = n > 0;
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 1; i < n; i++)
        d += v[i] != v[i - 1];
    return d;
}

static void random_ids_and_ports(void) {
    enum { N = 1000 };
    static int ids[N], ports[N], pairs[N];
    size_t answered = 0, same = 0;
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    for (uint16_t i = 0; i < N; i++) {
        ask_fd(c, i, "random.example", 0);
        answered += wait_reply(c) > 0 && id_of(reply) == i;
    }
    for (size_t i = 0; i < N; i++) {
        uint16_t port = 0;
        (void)ip_from_sockaddr(&servers[0].seen[i].from, &port);
        ids[i] = servers[0].seen[i].id;
        ports[i] = port;
        pairs[i] = ids[i] ^ port << 8;
        same += ids[i] == (int)i;
    }
    OK(answered == N && servers[0].nseen == N, "1000 queries, 1000 answers");
    /* Of 65536 ids 1000 random ones are 992.4 different; fewer than 960 has no chance. */
    size_t di = distinct(ids, N), dp = distinct(ports, N), db = distinct(pairs, N);
    OK(di > 960, "different ids: %zu", di);
    OK(ids[N - 1] - ids[0] > 60000, "all over the range: %d to %d", ids[0], ids[N - 1]);
    /* Of 28232 ports: 982.6. */
    OK(dp > 940, "different ports: %zu", dp);
    OK(db > 990, "different together: %zu", db);
    OK(same < 5, "not the client's ids");
    teardown();
}

static void strangers_are_ignored(void) {
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    struct server *v = &servers[0];
    v->silent = true;
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    ask_fd(c, 7, "guess.example", 0);
    UNTIL(v->nseen == 1);
    uint16_t id = v->seen[0].id;
    server_answer(v, 0, v->udp.fd, (uint16_t)(id + 1));
    v->seen[0].msg[13] ^= 1;
    server_answer(v, 0, v->udp.fd, id);
    v->seen[0].msg[13] ^= 1;
    server_answer(v, 0, servers[1].udp.fd, id);
    uint16_t port = 0;
    AUTO_FD int other = bound(SOCK_DGRAM, &v->ip, &port);
    server_answer(v, 0, other, id);
    (void)sendto(v->udp.fd, "x", 1, 0, (struct sockaddr *)&v->seen[0].from, v->seen[0].from_len);
    (void)sendto(v->udp.fd, "", 0, 0, (struct sockaddr *)&v->seen[0].from, v->seen[0].from_len);
    settle();
    OK(received(c) == 0 && counts().answers == 0,
       "wrong id, question, address, port, and scraps: all ignored");
    server_answer(v, 0, v->udp.fd, id);
    OK(wait_reply(c) > 0 && id_of(reply) == 7 && rcode_of(reply) == 0, "the right one counts");
    server_answer(v, 0, v->udp.fd, id);
    settle();
    OK(received(c) == 0 && v->nseen == 1 && servers[1].nseen == 0, "once; nobody else was asked");
    teardown();
}

static void a_silent_one_is_passed_over(void) {
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    struct server *a = &servers[0], *b = &servers[1];
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    a->silent = true;
    ask_fd(c, 1, "one.example", 0);
    UNTIL(a->nseen == 1);
    pass(990);
    OK(b->nseen == 0 && received(c) == 0, "990 ms: the first has time left");
    pass(20);
    OK(wait_reply(c) > 0 && id_of(reply) == 1 && b->nseen == 1, "a second: the next is asked");
    ask_fd(c, 2, "two.example", 0);
    OK(wait_reply(c) > 0 && a->nseen == 1 && b->nseen == 2, "and first, for the next query");
    pass(9900);
    ask_fd(c, 3, "three.example", 0);
    OK(wait_reply(c) > 0 && a->nseen == 1, "for ten seconds");
    pass(200);
    a->silent = false;
    ask_fd(c, 4, "four.example", 0);
    OK(wait_reply(c) > 0 && a->nseen == 2 && b->nseen == 3, "then the first gets its chance");
    ask_fd(c, 5, "five.example", 0);
    OK(wait_reply(c) > 0 && a->nseen == 3 && b->nseen == 3, "and keeps it");
    teardown();
}

static void a_slow_one_is_still_heard(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct server *a = &servers[0];
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    a->silent = true;
    ask_fd(c, 1, "slow.example", 0);
    UNTIL(a->nseen == 1);
    pass(1010);
    UNTIL(a->nseen == 2);
    OK(a->seen[0].id != a->seen[1].id || memcmp(&a->seen[0].from, &a->seen[1].from, 8) != 0,
       "alone, it is asked again, from another socket");
    server_answer(a, 0, a->udp.fd, a->seen[0].id);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0, "its answer to the first still counts");
    server_answer(a, 1, a->udp.fd, a->seen[1].id);
    settle();
    OK(received(c) == 0 && counts().answers == 1, "the second is one too many");
    teardown();
}

static void refusals_go_on(int rcode) {
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    servers[0].rcode = servers[1].rcode = rcode;
    ask_fd(c, 1, "refuse.example", 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && servers[2].nseen == 1,
       "rcode %d of two: the third is asked", rcode);
    ask_fd(c, 2, "refuse.example", 0);
    OK(wait_reply(c) > 0 && servers[0].nseen == 2, "they are not held to be dead");
    servers[2].rcode = rcode;
    servers[2].size = 99;
    ask_fd(c, 3, "refuse.example", 0);
    OK(wait_reply(c) == 99 && rcode_of(reply) == rcode && servers[1].nseen == 3,
       "all say so: the last answer is passed on");
    OK(counts().failed == 0 && counts().answers == 3, "which is an answer");
    teardown();
}

static void a_closed_port(void) {
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    loop_unwatch(&servers[0].udp);
    fd_close(&servers[0].udp.fd);
    ask_fd(c, 1, "closed.example", 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && servers[1].nseen == 1,
       "port unreachable: the next one, with no time passing");
    ask_fd(c, 2, "closed.example", 0);
    OK(wait_reply(c) > 0 && servers[1].nseen == 2, "again");
    teardown();
}

static void all_are_dead(void) {
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    servers[0].silent = servers[1].silent = true;
    ask_fd(c, 9, "dead.example", 1232);
    UNTIL(servers[0].nseen == 1);
    for (int i = 0; i < 44; i++)
        pass(100);
    OK(received(c) == 0 && servers[0].nseen == 3 && servers[1].nseen == 2,
       "4.4 s: asked in turns: %zu, %zu", servers[0].nseen, servers[1].nseen);
    pass(110);
    OK(wait_reply(c) > 0 && id_of(reply) == 9 && rcode_of(reply) == DNS_SERVFAIL,
       "4.5 s: SERVFAIL");
    OK(reply[11] == 1 && counts().failed == 1 && counts().answers == 0, "with EDNS; counted");
    loop_unwatch(&servers[0].udp);
    loop_unwatch(&servers[1].udp);
    fd_close(&servers[0].udp.fd);
    fd_close(&servers[1].udp.fd);
    ask_fd(c, 10, "dead.example", 0);
    settle();
    OK(received(c) == 0, "two closed ports: not given up at once");
    pass(4000);
    pass(600);
    OK(wait_reply(c) > 0 && rcode_of(reply) == DNS_SERVFAIL && counts().failed == 2,
       "but by the deadline");
    teardown();
}

static void comes_back_in_time(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    struct server *v = &servers[0];
    uint16_t port = v->port;
    loop_unwatch(&v->udp);
    fd_close(&v->udp.fd);
    ask_fd(c, 1, "restart.example", 0);
    settle();
    v->udp.fd = bound(SOCK_DGRAM, &v->ip, &port);
    (void)loop_watch(&loop, &v->udp);
    pass(1010);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && counts().failed == 0,
       "a resolver that restarts costs a second, not an error");
    teardown();
}

static void duplicates(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct server *v = &servers[0];
    v->silent = true;
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    AUTO_FD int d = client(SOCK_DGRAM, "127.0.0.5");
    ask_fd(c, 1, "twice.example", 0);
    ask_fd(c, 1, "tWice.example", 0);
    settle();
    OK(v->nseen == 1, "the same again is not asked again");
    ask_fd(c, 2, "twice.example", 0);
    ask_fd(c, 1, "other.example", 0);
    ask_fd(d, 1, "twice.example", 0);
    UNTIL(v->nseen == 4);
    settle();
    OK(v->nseen == 4, "another id, question or port is: %zu", v->nseen);
    v->silent = false;
    for (size_t i = 0; i < 4; i++)
        server_answer(v, i, v->udp.fd, v->seen[i].id);
    UNTIL(counts().answers == 4);
    size_t n = 0;
    while (n < 3 && wait_reply(c) > 0)
        n++;
    OK(n == 3 && wait_reply(d) > 0, "all are answered");
    settle();
    OK(received(c) == 0 && received(d) == 0 && counts().answers == 4, "once each");
    ask_fd(c, 1, "twice.example", 0);
    OK(wait_reply(c) > 0 && v->nseen == 5, "once answered it may be asked anew");
    teardown();
}

/* A name for each: many equal ones from this machine would look like a circle. */
static void ask_many(int fd, uint16_t id) {
    char name[32];
    (void)snprintf(name, sizeof name, "many%d.example", id);
    ask_fd(fd, id, name, 0);
}

static void bounds(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct server *v = &servers[0];
    v->silent = true;
    int c[6];
    char address[32];
    for (int i = 0; i < 6; i++) {
        (void)snprintf(address, sizeof address, "127.0.1.%d", 1 + i / 2);
        c[i] = client(SOCK_DGRAM, address);
    }
    for (uint16_t i = 0; i < MAX_DNS_PER_CLIENT; i++) {
        ask_many(c[i % 2], i);
        UNTIL(v->nseen > i);
    }
    OK(v->nseen == MAX_DNS_PER_CLIENT && counts().dropped == 0, "256 of one address");
    ask_fd(c[1], 999, "many.example", 0);
    OK(wait_reply(c[1]) > 0 && id_of(reply) == 999 && rcode_of(reply) == DNS_SERVFAIL &&
           counts().dropped == 1,
       "the next one: SERVFAIL at once, counted");
    ask_fd(c[2], 1, "many.example", 0);
    UNTIL(v->nseen > MAX_DNS_PER_CLIENT);
    OK(v->nseen == MAX_DNS_PER_CLIENT + 1, "another address is served");
    server_answer(v, 0, v->udp.fd, v->seen[0].id);
    OK(wait_reply(c[0]) > 0, "one is answered");
    ask_fd(c[1], 1000, "many.example", 0);
    UNTIL(v->nseen > MAX_DNS_PER_CLIENT + 1);
    OK(v->nseen == MAX_DNS_PER_CLIENT + 2, "which makes room for one");
    for (int i = 0; i < 6; i++)
        fd_close(&c[i]);
    teardown();
}

static void bound_of_all(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct server *v = &servers[0];
    v->silent = true;
    int c[5];
    char address[32];
    size_t failed = 0;
    for (int i = 0; i < 5; i++) {
        (void)snprintf(address, sizeof address, "127.0.1.%d", 1 + i);
        c[i] = client(SOCK_DGRAM, address);
    }
    for (uint16_t i = 0; i < MAX_DNS_IN_FLIGHT; i++) {
        ask_many(c[i / MAX_DNS_PER_CLIENT], i);
        UNTIL(v->nseen > i);
    }
    OK(v->nseen == MAX_DNS_IN_FLIGHT && counts().dropped == 0, "1024 in flight");
    ask_fd(c[4], 1, "many.example", 0);
    OK(wait_reply(c[4]) > 0 && rcode_of(reply) == DNS_SERVFAIL && counts().dropped == 1,
       "the next one: SERVFAIL at once");
    for (int i = 0; i < 5; i++)
        pass(1000);
    OK(counts().failed == MAX_DNS_IN_FLIGHT, "all the others at their deadline: %llu",
       (unsigned long long)counts().failed);
    for (int i = 0; i < 4; i++)
        while (received(c[i]) > 0)
            failed += rcode_of(reply) == DNS_SERVFAIL;
    OK(failed == MAX_DNS_IN_FLIGHT, "and told so: %zu", failed);
    v->silent = false;
    ask_fd(c[4], 2, "again.example", 0);
    OK(wait_reply(c[4]) > 0 && rcode_of(reply) == 0, "then there is room");
    for (int i = 0; i < 5; i++)
        fd_close(&c[i]);
    teardown();
}

static void sizes(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    struct server *v = &servers[0];
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    v->size = 512;
    ask_fd(c, 1, "size.example", 0);
    OK(wait_reply(c) == 512 && !dns_is_truncated(reply), "512 bytes without EDNS");
    v->size = 513;
    ask_fd(c, 2, "size.example", 0);
    size_t n = wait_reply(c);
    OK(n == 30 && dns_is_truncated(reply) && rcode_of(reply) == 0 && id_of(reply) == 2,
       "513: empty, truncated");
    v->size = 1232;
    ask_fd(c, 3, "size.example", 1232);
    OK(wait_reply(c) == 1232 && !dns_is_truncated(reply), "1232 with EDNS that says so");
    v->size = 1233;
    ask_fd(c, 4, "size.example", 1232);
    OK(wait_reply(c) == 41 && dns_is_truncated(reply) && reply[11] == 1, "1233: not, with EDNS");
    v->size = 60000;
    ask_fd(c, 5, "size.example", 65535);
    OK(wait_reply(c) == 60000 && reply[59999] == 0xee, "60000");
    teardown();
}

static void odd_messages(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    static uint8_t m[5000];
    size_t n = query(m, 1, "odd.example", 1, 0);
    m[2] |= 0x80;
    (void)!send(c, m, n, 0);
    (void)!send(c, m, 5, 0);
    (void)!send(c, m, 0, 0);
    settle();
    OK(received(c) == 0 && counts().queries == 0, "answers and scraps are ignored");
    m[2] = 1 | 4 << 3;
    (void)!send(c, m, n, 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == DNS_NOTIMP, "NOTIFY: NOTIMP");
    m[2] = 1, m[5] = 2;
    (void)!send(c, m, n, 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == DNS_FORMERR, "two questions: FORMERR");
    /* 4096 bytes are taken: padded by the data of an OPT. */
    n = query(m, 2, "odd.example", 1, 1232);
    m[n - 2] = (uint8_t)((4096 - n) >> 8), m[n - 1] = (uint8_t)(4096 - n);
    (void)!send(c, m, 4096, 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && servers[0].nseen == 1, "4096 bytes: asked");
    m[n - 2] = (uint8_t)((4097 - n) >> 8), m[n - 1] = (uint8_t)(4097 - n);
    (void)!send(c, m, 4097, 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == DNS_FORMERR && servers[0].nseen == 1,
       "4097 bytes: FORMERR");
    teardown();
}

/* Upstream 0 is one that, as Docker's does, asks us again what we have asked it. */
static void circles(void) {
    setup("127.0.0.1", "127.0.0.11", "127.0.0.3", "");
    struct server *outer = &servers[0], *behind = &servers[1];
    outer->silent = true;
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    AUTO_FD int o = client(SOCK_DGRAM, "127.0.0.11");
    ask_fd(c, 1, "circle.example", 0);
    UNTIL(outer->nseen == 1);
    AUTO_FD int d = client(SOCK_DGRAM, "127.0.0.6");
    ask_fd(d, 2, "circle.example", 0);
    UNTIL(outer->nseen == 2);
    OK(outer->nseen == 2 && behind->nseen == 0, "another one who asks the same is no circle");
    struct seen back = outer->seen[0];
    dns_set_id(back.msg, 77);
    (void)!send(o, back.msg, back.len, 0);
    OK(wait_reply(o) > 0 && id_of(reply) == 77 && rcode_of(reply) == 0, "the circle is answered");
    OK(outer->nseen == 2 && behind->nseen == 1 && counts().looped == 1,
       "by the upstream behind it, counted");
    server_answer(outer, 0, outer->udp.fd, outer->seen[0].id);
    OK(wait_reply(c) > 0 && memcmp(reply + 13, "circle", 6) == 0, "and so the client");
    ask_fd(o, 78, "other.example", 0);
    UNTIL(outer->nseen == 3);
    OK(counts().looped == 1, "another question of theirs is an ordinary one");
    aim_at(1);
    UNTIL(outer->nseen == 5); /* two were in flight */
    const struct seen *last = &outer->seen[4];
    (void)!send(o, last->msg, last->len, 0);
    OK(wait_reply(o) > 0 && rcode_of(reply) == DNS_SERVFAIL && counts().looped == 2 &&
           counts().failed == 1,
       "with nobody behind: SERVFAIL at once");
    for (uint16_t i = 0; i < 40; i++)
        ask_fd(c, (uint16_t)(100 + i), "lower.example", 0);
    UNTIL(counts().looped > 2);
    settle();
    OK(outer->nseen == 5 + 16 && counts().looped == 2 + 24,
       "one that loses the mark goes round 16 times, not for ever");
    teardown();
}

static void stats(void) {
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    uint8_t m[600];
    ask_fd(c, 1, "a.example", 0);
    OK(wait_reply(c) > 0, "a query");
    servers[0].silent = true;
    ask_fd(c, 2, "b.example", 0);
    UNTIL(servers[0].nseen == 2);
    pass(1010);
    OK(wait_reply(c) > 0 && servers[1].nseen == 1, "one that fails over");
    size_t n = query(m, 5, "stats.pinnace", 16, 0);
    m[n - 1] = 3;
    (void)!send(c, m, n, 0);
    n = wait_reply(c);
    reply[n] = '\0';
    const char *text = (const char *)reply + n;
    while (text > (const char *)reply && strncmp(text, "queries=", 8) != 0)
        text--;
    OK(strncmp(text, "queries=3 answers=2 failed=0 dropped=0 tcp=0 looped=0", 53) == 0,
       "the counts: %.60s", text);
    const char *first = memmem(reply, n, "upstream 127.0.0.2 link=0 asked=2 failed=1 best=no", 50);
    const char *next = memmem(reply, n, "upstream 127.0.0.3 link=0 asked=1 failed=0 best=yes", 51);
    OK(first && next && first < next, "a string for each upstream, in order");
    n = query(m, 6, "version.bind", 16, 0);
    m[n - 1] = 3;
    (void)!send(c, m, n, 0);
    OK(wait_reply(c) > 0 && servers[1].nseen == 2, "other names of class CHAOS are forwarded");
    teardown();
}

static void aimed_anew(void) {
    setup("127.0.0.1", "127.0.0.2", "127.0.0.3", "");
    struct upstream second = upstream_of(&servers[1]);
    servers[0].silent = true;
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    aim_at(1);
    ask_fd(c, 3, "aim.example", 0);
    UNTIL(servers[0].nseen == 1);
    aim_at(1);
    settle();
    OK(servers[0].nseen == 1, "the same again changes nothing");
    forwarder_aim(fwd, &second, 1);
    OK(wait_reply(c) > 0 && id_of(reply) == 3 && servers[1].nseen == 1,
       "what is in flight is asked again at the new upstream, with no time passing");
    aim_at(1);
    ask_fd(c, 4, "aim.example", 0);
    UNTIL(servers[0].nseen == 2);
    for (int i = 0; i < 44; i++)
        pass(100);
    size_t before = servers[1].nseen;
    servers[1].silent = true;
    forwarder_aim(fwd, &second, 1);
    UNTIL(servers[1].nseen > before);
    pass(900);
    servers[1].silent = false;
    server_answer(&servers[1], before, servers[1].udp.fd, servers[1].seen[before].id);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0, "shortly before the deadline: it gets a second");
    aim_at(1);
    ask_fd(c, 5, "aim.example", 0);
    UNTIL(servers[0].nseen >= 6);
    forwarder_aim(fwd, NULL, 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == DNS_SERVFAIL, "no upstream any more: SERVFAIL");
    ask_fd(c, 6, "aim.example", 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == DNS_SERVFAIL, "also for new ones");
    teardown();
}

static void six(void) {
    uint16_t port = 0;
    struct ip one = ip_of("::1");
    int probe = bound(SOCK_DGRAM, &one, &port);
    if (probe < 0) {
        OK(true, "IPv6 # SKIP no ::1 here");
        return;
    }
    fd_close(&probe);
    setup("::1", "::1", "127.0.0.2", "");
    AUTO_FD int c = client(SOCK_DGRAM, "::1");
    ask_fd(c, 1, "six.example", 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && servers[0].nseen == 1, "an IPv6 upstream");
    servers[0].rcode = DNS_SERVFAIL;
    ask_fd(c, 2, "six.example", 0);
    OK(wait_reply(c) > 0 && rcode_of(reply) == 0 && servers[1].nseen == 1,
       "from it to one of IPv4");
    teardown();
}

static void listeners(void) {
    setup("127.0.0.1", "127.0.0.2", "", "");
    OK(forwarder_listen(fwd, -1, -1) == 0, "nothing to listen on is fine");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    OK(forwarder_listen(fwd, fd, -1) == -ENOTSOCK, "no socket is not");
    fd_close(&fd);
    OK(forwarder_listen(fwd, -1, -1) == 0 && forwarder_listen(fwd, -1, -1) == 0 &&
           forwarder_listen(fwd, -1, -1) == -ENOSPC,
       "four pairs at most");
    AUTO_FD int c = client(SOCK_DGRAM, "127.0.0.5");
    servers[0].silent = true;
    ask_fd(c, 1, "freed.example", 0);
    UNTIL(servers[0].nseen == 1);
    teardown(); /* with a query in flight: its descriptors must be gone */
    forwarder_free(NULL);
}

int main(void) {
    struct rlimit files = { 4096, 4096 };
    (void)setrlimit(RLIMIT_NOFILE, &files);
    log_init(-1, LOG_TEXT, LOG_ERROR);
    plain();
    random_ids_and_ports();
    strangers_are_ignored();
    a_silent_one_is_passed_over();
    a_slow_one_is_still_heard();
    refusals_go_on(DNS_SERVFAIL);
    refusals_go_on(DNS_REFUSED);
    refusals_go_on(DNS_NOTIMP);
    a_closed_port();
    all_are_dead();
    comes_back_in_time();
    duplicates();
    bounds();
    bound_of_all();
    sizes();
    odd_messages();
    circles();
    stats();
    aimed_anew();
    six();
    listeners();
    return tap_end();
}
