#include "netlink/netlink.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/own.h"

enum {
    ANSWER_BYTES = 65536, /* the kernel fills at most 32 KiB at a time (netlink_dump) */
    WAIT_SECONDS = 2,
    LISTEN_BYTES = 1 << 20, /* of notifications that wait to be heard */
    DRAIN_ROUNDS = 4096     /* in a storm, drain returns and is called again */
};

static int open_socket(int protocol, int flags) {
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol);
    return fd < 0 ? -errno : fd;
}

int nl_open(int protocol) {
    AUTO_FD int fd = open_socket(protocol, 0);
    if (fd < 0)
        return fd;
    struct timeval limit = { .tv_sec = WAIT_SECONDS };
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0)
        return -errno;
    /* Wishes, which an older kernel may refuse: reasons as text, without our message repeated;
     * and dumps that take their filters at their word (4.20). */
    const int on = 1;
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    (void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
    return fd_take(&fd);
}

static int send_all(int fd, const struct nl_out *o) {
    if (o->cut)
        return -ENOBUFS;
    ssize_t n;
    do
        n = send(fd, o->buf, o->len, 0); /* without an address it is for the kernel */
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    return (size_t)n == o->len ? 0 : -EMSGSIZE;
}

/* One datagram of the kernel's. Its length; -ETIMEDOUT after the socket's time limit, or at
 * once with MSG_DONTWAIT. What other processes send is passed over. */
static ssize_t receive(int fd, uint8_t *buf, size_t cap, int flags) {
    for (;;) {
        struct sockaddr_nl from = { 0 };
        struct iovec part = { .iov_base = buf, .iov_len = cap };
        struct msghdr m = {
            .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1
        };
        ssize_t n = recvmsg(fd, &m, flags);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (m.msg_flags & MSG_TRUNC)
            return -EMSGSIZE;
        if (from.nl_pid == 0)
            return n;
    }
}

/* The number in an NLMSG_ERROR or NLMSG_DONE: 0 or -errno. */
static int error_of(const struct nlmsghdr *m) {
    int code = 0;
    if (m->nlmsg_len < NLMSG_HDRLEN + sizeof code)
        return m->nlmsg_type == NLMSG_ERROR ? -EBADMSG : 0;
    memcpy(&code, (const uint8_t *)m + NLMSG_HDRLEN, sizeof code);
    return code > 0 ? -EBADMSG : code;
}

/* What the kernel says about it in words (NLMSGERR_ATTR_MSG), or "". */
static void words_of(const struct nlmsghdr *m, char *out, size_t cap) {
    size_t fixed = sizeof(struct nlmsgerr);
    const uint8_t *end, *at;
    const struct nlattr *a;
    out[0] = '\0';
    if (!(m->nlmsg_flags & NLM_F_ACK_TLVS) || m->nlmsg_len < NLMSG_HDRLEN + fixed)
        return;
    if (!(m->nlmsg_flags & NLM_F_CAPPED)) { /* our message lies in between */
        struct nlmsghdr ours;
        memcpy(&ours, (const uint8_t *)m + NLMSG_HDRLEN + sizeof(int), sizeof ours);
        if (ours.nlmsg_len < sizeof ours || ours.nlmsg_len > m->nlmsg_len)
            return;
        fixed += ours.nlmsg_len - sizeof ours;
    }
    for (at = nl_attrs(m, fixed, &end); (a = nl_attr_next(&at, end));)
        if (nl_attr_type(a) == NLMSGERR_ATTR_MSG) {
            size_t n = strnlen(nl_attr_data(a), nl_attr_len(a));
            n = n < cap ? n : cap - 1;
            memcpy(out, nl_attr_data(a), n);
            out[n] = '\0';
        }
}

struct answers {
    uint32_t first, last; /* sequence numbers that are ours */
    size_t wanted, taken;
    int rc; /* the first error */
    struct err *e;
};

static struct answers expect(const struct nl_out *o, struct err *e) {
    struct answers w = { .first = UINT32_MAX, .e = e };
    const uint8_t *at = o->buf, *end = o->buf + o->len;
    for (const struct nlmsghdr *m; (m = nl_next(&at, end));) {
        w.first = m->nlmsg_seq < w.first ? m->nlmsg_seq : w.first;
        w.last = m->nlmsg_seq;
        w.wanted += (m->nlmsg_flags & NLM_F_ACK) != 0;
    }
    return w;
}

static void count_answers(struct answers *w, const uint8_t *at, const uint8_t *end) {
    for (const struct nlmsghdr *m; (m = nl_next(&at, end));) {
        if (m->nlmsg_type != NLMSG_ERROR || m->nlmsg_seq < w->first || m->nlmsg_seq > w->last)
            continue;
        int rc = error_of(m);
        w->taken += rc == 0;
        if (rc == 0 || w->rc < 0)
            continue;
        char words[200];
        words_of(m, words, sizeof words);
        w->rc = rc;
        if (words[0])
            (void)err_sys(w->e, -rc, "%s", words);
        else
            (void)err_set(w->e, -rc, "%s", strerror(-rc));
    }
}

int nl_transact(int fd, const struct nl_out *o, struct err *e) {
    _Alignas(struct nlmsghdr) uint8_t buf[ANSWER_BYTES];
    struct answers w = expect(o, e);
    int rc = send_all(fd, o);
    if (rc < 0)
        return err_sys(e, -rc, "asking the kernel");
    while (w.rc == 0 && w.taken < w.wanted) {
        ssize_t n = receive(fd, buf, sizeof buf, 0);
        if (n < 0)
            return err_sys(e, (int)-n, "the kernel's answer");
        count_answers(&w, buf, buf + n);
    }
    /* After an error the other answers are there already, or never come. */
    while (w.rc < 0 && receive(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
        ;
    return w.rc;
}

struct dump {
    uint32_t seq;
    bool done, interrupted;
    int rc;
    void (*take)(void *arg, const struct nlmsghdr *m);
    void *arg;
};

static void take_answers(struct dump *d, const uint8_t *at, const uint8_t *end) {
    for (const struct nlmsghdr *m; !d->done && (m = nl_next(&at, end));) {
        if (m->nlmsg_seq != d->seq)
            continue;
        d->interrupted |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        d->done = m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR;
        if (d->done)
            d->rc = error_of(m);
        else if (m->nlmsg_type >= NLMSG_MIN_TYPE)
            d->take(d->arg, m);
    }
}

int nl_dump(int fd, const struct nl_out *o, void (*take)(void *arg, const struct nlmsghdr *m),
            void *arg) {
    _Alignas(struct nlmsghdr) uint8_t buf[ANSWER_BYTES];
    struct dump d = { .seq = expect(o, NULL).last, .take = take, .arg = arg };
    int rc = send_all(fd, o);
    if (rc < 0)
        return rc;
    while (!d.done) {
        ssize_t n = receive(fd, buf, sizeof buf, 0);
        if (n < 0)
            return (int)n;
        take_answers(&d, buf, buf + n);
    }
    return d.rc == 0 && d.interrupted ? -EAGAIN : d.rc;
}

int nl_listen(int protocol, const int *groups) {
    AUTO_FD int fd = open_socket(protocol, SOCK_NONBLOCK);
    if (fd < 0)
        return fd;
    const int bytes = LISTEN_BYTES; /* past the machine's limit where that is allowed */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    struct sockaddr_nl self = { .nl_family = AF_NETLINK };
    if (bind(fd, (const struct sockaddr *)&self, sizeof self) < 0)
        return -errno;
    for (; *groups; groups++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, groups, sizeof *groups) < 0)
            return -errno;
    return fd_take(&fd);
}

int nl_drain(int fd) {
    uint8_t byte; /* the rest of each datagram is dropped by the kernel */
    int any = 0;
    for (int i = 0; i < DRAIN_ROUNDS; i++) {
        ssize_t n = recv(fd, &byte, sizeof byte, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN)
            return any;
        if (n < 0 && errno != ENOBUFS && errno != EINTR)
            return -errno;
        any |= n >= 0 || errno == ENOBUFS;
    }
    return any;
}
