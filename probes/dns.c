/* dns:NAME[@SERVER[:PORT]] — ready when NAME has an A or AAAA record.
 *
 * We ask ourselves and not through libc, whose answer may come from /etc/hosts, a cache
 * or a search list: the question here is whether that server answers for that name.
 * RFC 1035, with its 4.2.1 (UDP) and 4.2.2 (TCP, when the answer was truncated).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/own.h"
#include "probes/attempt.h"
#include "probes/kinds.h"

#define RESOLV_CONF "/etc/resolv.conf"
enum {
    RESEND_MS = 1000,   /* a datagram may get lost */
    UNHURRIED_S = 5,    /* for each server, where there is no deadline */
    MAX_RESOLV = 16384, /* bytes of resolv.conf that are looked at */
};

struct question {
    char name[MAX_PROBE_HOST];
    const struct address *server;
    uint8_t query[DNS_QUERY_CAP];
    size_t len;
};

/* NAME alone leaves `server` empty. */
static int spec_split(const char *arg, char name[MAX_PROBE_HOST], struct endpoint *server,
                      struct err *e) {
    const char *at = strchr(arg, '@');
    size_t n = at ? (size_t)(at - arg) : strlen(arg);
    server->host[0] = '\0';
    if (n >= MAX_PROBE_HOST)
        return err_set(e, EINVAL, "dns name is longer than 253 bytes");
    memcpy(name, arg, n);
    name[n] = '\0';
    int rc = dns_name_check(name, e);
    if (rc < 0 || !at)
        return rc;
    return endpoint_parse(server, at + 1, "dns", DNS_PORT, HOST_LITERAL, e);
}

int check_dns(struct probe_spec *spec, const char *given, struct err *e) {
    char name[MAX_PROBE_HOST];
    struct endpoint server;
    (void)snprintf(spec->arg, sizeof spec->arg, "%s", given);
    return spec_split(given, name, &server, e);
}

static size_t read_resolv(char hosts[][MAX_PROBE_HOST]) {
    char text[MAX_RESOLV + 1];
    size_t len = 0;
    AUTO_FD int fd = open(RESOLV_CONF, O_RDONLY | O_CLOEXEC);
    ssize_t n = 1;
    while (fd >= 0 && n > 0 && len < MAX_RESOLV) {
        n = read(fd, text + len, MAX_RESOLV - len);
        len += n > 0 ? (size_t)n : 0;
    }
    text[len] = '\0';
    return resolv_nameservers(text, hosts, MAX_NAMESERVERS);
}

/* In the order of resolv.conf(5); none listed means the local one, as there. */
static size_t servers_find(struct address out[MAX_NAMESERVERS], const struct endpoint *server) {
    if (server->host[0])
        return address_literal(&out[0], server->host, server->port);
    char hosts[MAX_NAMESERVERS][MAX_PROBE_HOST];
    size_t found = 0, n = read_resolv(hosts);
    for (size_t i = 0; i < n; i++)
        found += address_literal(&out[found], hosts[i], DNS_PORT);
    return found > 0 ? found : address_literal(&out[0], "127.0.0.1", DNS_PORT);
}

static int take(const struct question *q, const uint8_t *msg, size_t n, struct dns_answer *out) {
    return dns_answer_parse(out, msg, n, q->query, q->len);
}

/* Pass over what is not for us: 0 with the answer, -ETIMEDOUT, or -errno. */
static int await_udp(int fd, const struct question *q, struct dns_answer *out, instant until) {
    uint8_t msg[MAX_PROBE_OUTPUT];
    do {
        int n = recv_some(fd, msg, sizeof msg, until);
        int rc = n < 0 ? n : take(q, msg, (size_t)n, out);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    } while (instant_before(instant_now(), until)); /* for strangers may flood us */
    return -ETIMEDOUT;
}

static int ask_udp(const struct question *q, struct dns_answer *out, instant until) {
    const struct sockaddr *to = (const struct sockaddr *)&q->server->sa;
    AUTO_FD int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, to, q->server->len) < 0)
        return -errno;
    int rc;
    do {
        if (send(fd, q->query, q->len, MSG_NOSIGNAL) < 0)
            return -errno;
        instant again = instant_add(instant_now(), span_ms(RESEND_MS));
        rc = await_udp(fd, q, out, instant_min(until, again));
    } while (rc == -ETIMEDOUT && instant_before(instant_now(), until));
    return rc;
}

static int recv_all(int fd, uint8_t *buf, size_t n, instant until) {
    for (size_t got = 0; got < n;) {
        int rc = recv_some(fd, buf + got, n - got, until);
        if (rc <= 0)
            return rc < 0 ? rc : -ECONNRESET;
        got += (size_t)rc;
    }
    return 0;
}

/* Messages have two bytes of length before them: RFC 1035 4.2.2. */
static int ask_tcp(const struct question *q, struct dns_answer *out, instant until) {
    uint8_t framed[2 + DNS_QUERY_CAP] = { (uint8_t)(q->len >> 8), (uint8_t)q->len };
    memcpy(framed + 2, q->query, q->len);
    AUTO_FD int fd = dial_any(q->server, 1, false, until, NULL);
    int rc = fd < 0 ? fd : send_all(fd, framed, q->len + 2, until);
    uint8_t msg[MAX_PROBE_OUTPUT] = { 0 };
    if (rc == 0)
        rc = recv_all(fd, msg, 2, until);
    if (rc < 0)
        return rc;
    size_t n = (size_t)msg[0] << 8 | msg[1];
    n = n < sizeof msg ? n : sizeof msg;
    rc = recv_all(fd, msg, n, until);
    if (rc < 0)
        return rc;
    rc = take(q, msg, n, out);
    return rc == 1 ? 0 : -EBADMSG;
}

static int ask(struct question *q, enum dns_type type, struct dns_answer *out, instant until) {
    uint16_t id;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        return -EIO;
    q->len = dns_query_build(q->query, id, q->name, type);
    int rc = ask_udp(q, out, until);
    return rc == 0 && out->truncated ? ask_tcp(q, out, until) : rc;
}

enum { RCODE_NXDOMAIN = 3 };

/* 0: it resolves. -ENOENT: the server knows that it does not. Else: ask the next one. */
static int ask_server(struct question *q, instant until, struct err *e) {
    static const enum dns_type types[] = { DNS_A, DNS_AAAA };
    char server[ADDRESS_TEXT], rcode[16];
    (void)address_text(q->server, server);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct dns_answer a = { 0 };
        int rc = ask(q, types[i], &a, until);
        if (rc == -ETIMEDOUT)
            return err_set(e, ETIMEDOUT, "ask %s for %s: no answer in time", server, q->name);
        if (rc == -EBADMSG)
            return err_set(e, EBADMSG, "ask %s for %s: malformed answer", server, q->name);
        if (rc < 0)
            return err_sys(e, -rc, "ask %s for %s", server, q->name);
        if (a.rcode != 0)
            return err_set(e, a.rcode == RCODE_NXDOMAIN ? ENOENT : EIO, "ask %s for %s: %s", server,
                           q->name, dns_rcode_text(a.rcode, rcode, sizeof rcode));
        if (a.records > 0)
            return 0;
    }
    return err_set(e, ENOENT, "ask %s for %s: no A or AAAA record", server, q->name);
}

/* A fair part of the time left, as `servers` are still to be asked. */
static instant share(instant deadline, size_t servers) {
    instant now = instant_now();
    if (instant_is_never(deadline))
        return instant_add(now, span_s(UNHURRIED_S));
    int64_t left = instant_since(deadline, now).ns;
    return instant_add(now, (span){ left / (int64_t)servers });
}

int probe_dns(const struct probe_spec *spec, instant deadline, struct err *e) {
    struct question q;
    struct endpoint server;
    struct address servers[MAX_NAMESERVERS];
    int rc = spec_split(spec->arg, q.name, &server, e);
    if (rc < 0)
        return rc;
    size_t n = servers_find(servers, &server);
    for (size_t i = 0; i < n; i++) {
        q.server = &servers[i];
        rc = ask_server(&q, i + 1 < n ? share(deadline, n - i) : deadline, e);
        if (rc == 0 || rc == -ENOENT)
            return rc;
    }
    return rc;
}
