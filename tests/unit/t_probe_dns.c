#include "tests/unit/t_probe.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "probes/parse.h"

enum behaviour {
    SAY_A,
    SAY_AAAA,    /* no A */
    SAY_CNAME,   /* a CNAME and then A, with compressed names */
    SAY_NOTHING, /* NOERROR, no records */
    SAY_NXDOMAIN,
    SAY_SERVFAIL,
    SAY_OTHER,     /* rcode 9 */
    SAY_WRONG_ID,  /* first a wrong id, a wrong question and a query, then SAY_A */
    SAY_NOT_OURS,  /* only such ones */
    SAY_TRUNCATED, /* over UDP; all of it over TCP */
    SAY_CUT,       /* truncated over UDP; over TCP the connection ends in the middle */
    SAY_TXT,       /* a record of another type */
    SAY_GARBAGE,   /* records that do not fit */
    SAY_UPPER,     /* the question comes back in upper case */
    SAY_SILENT,
    SAY_LOST, /* the first datagram gets lost */
};

struct ns {
    int udp, tcp;
    enum behaviour say;
    struct shared *shared; /* count: queries; seen: the last one */
};

/* One record with a name that points to the question's. */
static size_t record(uint8_t *at, unsigned type, const void *data, size_t n) {
    const uint8_t head[] = { 0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)n };
    memcpy(at, head, sizeof head);
    memcpy(at + sizeof head, data, n);
    return sizeof head + n;
}

static size_t header(uint8_t *m, size_t n, unsigned flags, unsigned records) {
    m[2] = (uint8_t)(0x81 | flags >> 8);
    m[3] = (uint8_t)(0x80 | (flags & 15));
    m[7] = (uint8_t)records;
    return n;
}

static void upper(uint8_t *m, size_t n) {
    for (size_t i = 12; i < n - 4; i++)
        if (m[i] >= 'a' && m[i] <= 'z')
            m[i] = (uint8_t)(m[i] - 32);
}

/* Make the query of `n` bytes in `m` its own answer. */
static size_t reply(uint8_t *m, size_t n, enum behaviour say) {
    bool v6 = m[n - 3] == DNS_AAAA;
    static const uint8_t address[16] = { 10, 0, 0, 1 };
    static const uint8_t alias[] = { 5, 'a', 'l', 'i', 'a', 's', 0xc0, 12 };
    switch (say) {
    case SAY_AAAA:
        n = header(m, n, 0, v6);
        return v6 ? n + record(m + n, DNS_AAAA, address, 16) : n;
    case SAY_CNAME:
        n = header(m, n, 0, 2);
        n += record(m + n, 5, alias, sizeof alias);
        return n + record(m + n, v6 ? DNS_AAAA : DNS_A, address, v6 ? 16 : 4);
    case SAY_NOTHING:
        return header(m, n, 0, 0);
    case SAY_NXDOMAIN:
        return header(m, n, 3, 0);
    case SAY_SERVFAIL:
        return header(m, n, 2, 0);
    case SAY_OTHER:
        return header(m, n, 9, 0);
    case SAY_TXT:
        n = header(m, n, 0, 1);
        return n + record(m + n, 16, "\3abc", 4);
    case SAY_GARBAGE:
        n = header(m, n, 0, 3);
        return n + record(m + n, DNS_A, address, 4) - 1;
    case SAY_UPPER:
        upper(m, n);
        break;
    default:
        break;
    }
    n = header(m, n, 0, 1);
    return n + record(m + n, v6 ? DNS_AAAA : DNS_A, address, v6 ? 16 : 4);
}

struct peer {
    struct sockaddr_storage sa;
    socklen_t len;
};

static void send_to(struct ns *s, const struct peer *p, const uint8_t *m, size_t n) {
    (void)sendto(s->udp, m, n, 0, (const struct sockaddr *)&p->sa, p->len);
}

/* What a forger sends: everything right but one thing. */
static void send_wrong(struct ns *s, const struct peer *p, const uint8_t *query, size_t n) {
    static const size_t places[] = { 0, 1, 13, 2 };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        uint8_t m[1024];
        memcpy(m, query, n);
        size_t len = reply(m, n, SAY_NXDOMAIN);
        m[places[i]] ^= places[i] == 2 ? 0x80 : 1;
        send_to(s, p, m, len);
    }
    send_to(s, p, query, 3);
}

static void on_udp(struct ns *s) {
    uint8_t m[1024];
    struct peer p = { .len = sizeof p.sa };
    ssize_t got = recvfrom(s->udp, m, 512, 0, (struct sockaddr *)&p.sa, &p.len);
    if (got < 16)
        return;
    size_t n = (size_t)got;
    memcpy(s->shared->seen, m, n);
    bool lost = s->say == SAY_SILENT || (s->say == SAY_LOST && s->shared->count == 0);
    s->shared->count++;
    if (lost)
        return;
    if (s->say == SAY_WRONG_ID || s->say == SAY_NOT_OURS)
        send_wrong(s, &p, m, n);
    if (s->say == SAY_NOT_OURS)
        return;
    if (s->say == SAY_TRUNCATED || s->say == SAY_CUT)
        n = header(m, n, 0x200, 0);
    else
        n = reply(m, n, s->say);
    send_to(s, &p, m, n);
}

static void on_tcp(struct ns *s) {
    uint8_t m[1024];
    AUTO_FD int fd = accept(s->tcp, NULL, NULL);
    ssize_t got = read(fd, m, 514);
    if (got < 18)
        return;
    s->shared->count += 100;
    size_t n = reply(m + 2, (size_t)got - 2, SAY_A);
    m[0] = (uint8_t)(n >> 8);
    m[1] = (uint8_t)n;
    if (s->say == SAY_CUT)
        n -= 5;
    (void)!write(fd, m, 1); /* in pieces, as a network may */
    nap(span_ms(2));
    (void)!write(fd, m + 1, n + 1);
}

static void serve(void *arg) {
    struct ns *s = arg;
    for (;;) {
        struct pollfd p[2] = { { .fd = s->udp, .events = POLLIN },
                               { .fd = s->tcp, .events = POLLIN } };
        (void)poll(p, 2, -1);
        if (p[0].revents)
            on_udp(s);
        if (p[1].revents)
            on_tcp(s);
    }
}

static int bound_udp(const char *address, uint16_t port) {
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
    (void)inet_pton(AF_INET, address, &sa.sin_addr);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        fd_close(&fd);
    return fd;
}

static uint16_t port;
static struct ns ns;

static struct asked query(enum behaviour say, const char *name, span timeout) {
    char text[400];
    (void)snprintf(text, sizeof text, "dns:%s@127.0.0.1:%u", name, port);
    ns.say = say;
    ns.shared->count = 0;
    memset(ns.shared->seen, 0, sizeof ns.shared->seen);
    pid_t pid = server_start(serve, &ns);
    struct asked a = ask_probe(text, timeout);
    server_stop(pid);
    return a;
}

static void answers(void) {
    static const struct {
        enum behaviour say;
        const char *what;
        int rc, queries;
        const char *reason;
    } rows[] = {
        { SAY_A, "an A record", 0, 1, "" },
        { SAY_AAAA, "an AAAA record, asked for second", 0, 2, "" },
        { SAY_CNAME, "an alias", 0, 1, "" },
        { SAY_UPPER, "names are compared without case", 0, 1, "" },
        { SAY_WRONG_ID, "forged ones are passed over", 0, 1, "" },
        { SAY_TRUNCATED, "truncated: again over TCP", 0, 101, "" },
        { SAY_LOST, "a lost datagram is sent again", 0, 2, "" },
        { SAY_NOTHING, "no record", -ENOENT, 2, "for a.example: no A or AAAA record" },
        { SAY_TXT, "a record of another type", -ENOENT, 2, "no A or AAAA record" },
        { SAY_NXDOMAIN, "no such name", -ENOENT, 1, "for a.example: NXDOMAIN" },
        { SAY_SERVFAIL, "a failure", -EIO, 1, "SERVFAIL" },
        { SAY_OTHER, "an unnamed failure", -EIO, 1, "rcode 9" },
        { SAY_GARBAGE, "garbage", -EBADMSG, 1, "malformed answer" },
        { SAY_CUT, "TCP that ends early", -ECONNRESET, 101, "Connection reset" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asked a = query(rows[i].say, "a.example", span_s(5));
        if (!OK(a.rc == rows[i].rc && ns.shared->count == rows[i].queries &&
                    strstr(a.e.text, rows[i].reason),
                "%s: %s", rows[i].what, a.e.text))
            printf("# %d, %d queries\n", a.rc, ns.shared->count);
    }
}

static void timeouts(void) {
    struct asked a = query(SAY_SILENT, "a.example", span_ms(150));
    OK(on_time(a, span_ms(150)) && strstr(a.e.text, "no answer in time"), "silence: %s (%lld ms)",
       a.e.text, (long long)span_to_ms(a.took));
    a = query(SAY_NOT_OURS, "a.example", span_ms(150));
    OK(on_time(a, span_ms(150)), "forged ones only: %s (%lld ms)", a.e.text,
       (long long)span_to_ms(a.took));
    uint16_t closed = 0;
    AUTO_FD int fd = bound_tcp(&closed);
    OK(fd >= 0, "a port that nobody listens on");
    char text[64];
    (void)snprintf(text, sizeof text, "dns:a@127.0.0.1:%u", closed);
    a = ask_probe(text, span_s(5));
    OK(a.rc == -ECONNREFUSED && strstr(a.e.text, "Connection refused"), "nobody there: %s",
       a.e.text);
}

static void question(void) {
    static const char want[] = "\1\0\0\1\0\0\0\0\0\0\1a\7example\0\0\1\0\1";
    uint8_t ids[2][2];
    for (int i = 0; i < 2; i++) {
        (void)query(SAY_A, i ? "a.example." : "a.example", span_s(5));
        memcpy(ids[i], ns.shared->seen, 2);
        OK(memcmp(ns.shared->seen + 2, want, sizeof want - 1) == 0,
           "the query is as RFC 1035 has it%s", i ? ", with a dot at the end too" : "");
    }
    int same = 0;
    for (int i = 0; i < 4; i++) {
        memcpy(ids[0], ids[1], 2);
        (void)query(SAY_A, "a", span_s(5));
        memcpy(ids[1], ns.shared->seen, 2);
        same += memcmp(ids[0], ids[1], 2) == 0;
    }
    OK(same < 4, "ids differ");
}

static bool write_file(const char *path, const char *text) {
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* A network of our own, and a resolv.conf: port 53 is ours there. 0 or the failing step. */
static int own_world(const char *resolv) {
    char path[] = "/tmp/t_probe.XXXXXX";
    int flags = CLONE_NEWNS | CLONE_NEWNET | (geteuid() ? CLONE_NEWUSER : 0);
    if (unshare(flags) < 0)
        return 1;
    struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
    AUTO_FD int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    AUTO_FD int fd = mkstemp(path);
    int rc = 0;
    if (fd < 0 || ioctl(s, SIOCSIFFLAGS, &r) < 0 || !write_file(path, resolv))
        rc = 2;
    else if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
             mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0)
        rc = 3;
    (void)unlink(path);
    return rc;
}

/* 0 when all is as it should be; else which check was not. */
static int servers_in_order(struct ns *first, struct ns *second) {
    first->say = SAY_SILENT;
    second->say = SAY_A;
    pid_t a = server_start(serve, first), b = server_start(serve, second);
    struct asked r = ask_probe("dns:a.example", span_ms(600));
    int bad = r.rc != 0 || r.took.ns < span_ms(250).ns || r.took.ns > span_ms(400).ns ? 11 : 0;
    server_stop(a);
    first->say = SAY_NXDOMAIN;
    a = server_start(serve, first);
    r = ask_probe("dns:a.example", span_ms(600));
    bad = r.rc != -ENOENT || !strstr(r.e.text, "127.0.0.2:53") ? 12 : bad;
    server_stop(a);
    server_stop(b);
    fd_close(&first->udp);
    b = server_start(serve, second); /* anew, for the old one holds that socket as well */
    r = ask_probe("dns:a.example", span_ms(600));
    bad = r.rc != 0 || r.took.ns > span_ms(200).ns ? 13 : bad;
    server_stop(b);
    fd_close(&second->udp);
    r = ask_probe("dns:a.example", span_ms(600));
    return r.rc != -ECONNREFUSED ? 14 : bad;
}

static void resolv_conf(void) {
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int step = own_world("search example\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n");
        struct ns a = { .udp = bound_udp("127.0.0.2", 53), .tcp = -1, .shared = ns.shared };
        struct ns b = { .udp = bound_udp("127.0.0.3", 53), .tcp = -1, .shared = ns.shared };
        _exit(step ? step : servers_in_order(&a, &b));
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    OK(WIFEXITED(status) && WEXITSTATUS(status) == 0,
       "servers of resolv.conf: in order, the time shared, until one knows (%d)",
       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Every prefix of an answer, and every answer with one byte changed: no crash, no yes
 * from what is not ours. */
static void damaged(void) {
    uint8_t q[DNS_QUERY_CAP], m[1024];
    size_t len = dns_query_build(q, 0x1234, "a.example", DNS_A);
    memset(m, 0, sizeof m);
    memcpy(m, q, len);
    size_t n = reply(m, len, SAY_CNAME);
    struct dns_answer a;
    OK(dns_answer_parse(&a, m, n, q, len) == 1 && a.records == 1, "an answer");
    int bad = 0;
    for (size_t cut = 0; cut < n; cut++)
        bad += dns_answer_parse(&a, m, cut, q, len) == 1 && a.records > 0;
    OK(bad == 0, "no part of it is one");
    for (size_t i = 0; i < len; i++) {
        m[i] ^= 0x41;
        bool counted = i == 2 || i == 3 || (i >= 6 && i < 12); /* flags and counts */
        bad += !counted && dns_answer_parse(&a, m, n, q, len) != 0;
        m[i] ^= 0x41;
    }
    OK(bad == 0, "nor is one with another id or question");
    m[len] = 0x40;
    OK(dns_answer_parse(&a, m, n, q, len) == -EBADMSG, "a reserved kind of label");
}

int main(void) {
    ns.tcp = bound_tcp(&port);
    ns.udp = bound_udp("127.0.0.1", port);
    (void)listen(ns.tcp, 4);
    ns.shared = shared_new();
    if (!OK(ns.udp >= 0, "UDP and TCP on port %u", port))
        return 99;
    answers();
    timeouts();
    question();
    resolv_conf();
    damaged();
    shared_free(ns.shared);
    (void)close(ns.udp);
    (void)close(ns.tcp);
    return tap_end();
}
