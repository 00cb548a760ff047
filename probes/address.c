/* Names and addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "probes/attempt.h"

const char *address_text(const struct address *a, char buf[ADDRESS_TEXT]) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->sa.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)&a->sa;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        (void)snprintf(buf, ADDRESS_TEXT, "%s:%u", host, ntohs(v4->sin_port));
    } else {
        const struct sockaddr_in6 *v6 = (const void *)&a->sa;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        (void)snprintf(buf, ADDRESS_TEXT, "[%s]:%u", host, ntohs(v6->sin6_port));
    }
    return buf;
}

static bool literal_v6(struct address *out, const char *host, uint16_t port) {
    char bare[MAX_PROBE_HOST];
    (void)snprintf(bare, sizeof bare, "%.*s", (int)strcspn(host, "%"), host);
    const char *zone = strchr(host, '%');
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    if (inet_pton(AF_INET6, bare, &v6.sin6_addr) != 1)
        return false;
    if (zone)
        v6.sin6_scope_id = if_nametoindex(zone + 1);
    memcpy(&out->sa, &v6, sizeof v6);
    out->len = sizeof v6;
    return true;
}

bool address_literal(struct address *out, const char *host, uint16_t port) {
    memset(out, 0, sizeof *out);
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (inet_pton(AF_INET, host, &v4.sin_addr) != 1)
        return literal_v6(out, host, port);
    memcpy(&out->sa, &v4, sizeof v4);
    out->len = sizeof v4;
    return true;
}

/* What the forked look-up writes, at once: less than PIPE_BUF, so never in pieces. */
struct lookup {
    int code;        /* EAI_* */
    int system_code; /* errno, when code is EAI_SYSTEM */
    size_t n;
    struct address found[MAX_PROBE_ADDRS];
};
_Static_assert(sizeof(struct lookup) <= 4096, "one write to a pipe has to be atomic");

static void lookup_run(struct lookup *l, const struct endpoint *to) {
    char port[8];
    (void)snprintf(port, sizeof port, "%u", to->port);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
    l->code = getaddrinfo(to->host, port, &hints, &list);
    l->system_code = errno;
    for (struct addrinfo *i = list; i && l->n < MAX_PROBE_ADDRS; i = i->ai_next) {
        if (i->ai_addrlen > sizeof l->found[0].sa)
            continue;
        memcpy(&l->found[l->n].sa, i->ai_addr, i->ai_addrlen);
        l->found[l->n++].len = i->ai_addrlen;
    }
    if (list)
        freeaddrinfo(list);
}

static _Noreturn void lookup_child(int report, const struct endpoint *to) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct lookup l;
    memset(&l, 0, sizeof l);
    lookup_run(&l, to);
    _exit(write(report, &l, sizeof l) == (ssize_t)sizeof l ? 0 : 1);
}

static int lookup_take(int fd, pid_t pid, struct lookup *l, instant deadline) {
    int rc = await_fd(fd, POLLIN, deadline);
    ssize_t n = rc < 0 ? 0 : read(fd, l, sizeof *l);
    (void)kill(pid, SIGKILL); /* it has answered, or has to be stopped */
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (rc < 0)
        return rc;
    return n == (ssize_t)sizeof *l ? 0 : -EIO;
}

static int lookup(struct lookup *l, const struct endpoint *to, instant deadline, struct err *e) {
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_sys(e, errno, "pipe for looking up %s", to->host);
    AUTO_FD int rd = p[0];
    AUTO_FD int wr = p[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(e, errno, "fork for looking up %s", to->host);
    if (pid == 0)
        lookup_child(wr, to);
    fd_close(&wr);
    int rc = lookup_take(rd, pid, l, deadline);
    if (rc == -ETIMEDOUT)
        return err_set(e, ETIMEDOUT, "look up %s: no answer in time", to->host);
    if (rc < 0)
        return err_sys(e, -rc, "look up %s", to->host);
    if (l->code == EAI_SYSTEM)
        return err_sys(e, l->system_code ? l->system_code : EIO, "look up %s", to->host);
    if (l->code != 0 || l->n == 0)
        return err_set(e, ENOENT, "look up %s: %s", to->host,
                       l->code ? gai_strerror(l->code) : "it has no address");
    return 0;
}

int address_find(struct address out[MAX_PROBE_ADDRS], const struct endpoint *to, instant deadline,
                 struct err *e) {
    if (strcmp(to->host, "localhost") == 0) {
        (void)address_literal(&out[0], "127.0.0.1", to->port);
        (void)address_literal(&out[1], "::1", to->port);
        return 2;
    }
    if (address_literal(&out[0], to->host, to->port))
        return 1;
    struct lookup l;
    memset(&l, 0, sizeof l);
    int rc = lookup(&l, to, deadline, e);
    if (rc < 0)
        return rc;
    memcpy(out, l.found, l.n * sizeof *out);
    return (int)l.n;
}
