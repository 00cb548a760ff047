/* Netlink messages: built within any buffer, walked whatever they hold; and the conversation,
 * with the real kernel and with one whose answers are made up. */
#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/own.h"
#include "netlink/netlink.h"
#include "tests/unit/tap.h"

/* Two messages, the first with all kinds of attributes. */
static void build(struct nl_out *o) {
    const uint32_t body = 0x01020304;
    nl_begin(o, 100, NLM_F_ACK, &body, sizeof body);
    nl_put(o, 1, "abcde", 5);
    nl_put_u32(o, 2, 7);
    nl_put_be32(o, 3, 7);
    size_t outer = nl_nest(o, 4), inner = nl_nest(o, 5);
    nl_put_be16(o, 6, 53);
    nl_nest_end(o, inner);
    nl_put_text(o, 7, "x");
    nl_nest_end(o, outer);
    nl_end(o);
    nl_begin(o, 101, 0, NULL, 3);
    nl_end(o);
}

enum { FIRST = 16 + 4 + 12 + 8 + 8 + (4 + (4 + 8) + 8), WHOLE = FIRST + 16 + 4 };

static void builds(void) {
    _Alignas(4) uint8_t buf[256];
    memset(buf, 0xff, sizeof buf);
    struct nl_out o = NL_OUT(buf);
    build(&o);
    const uint8_t *at = buf, *end = buf + o.len, *a_at, *a_end;
    OK(!o.cut && o.len == WHOLE, "%zu bytes were built", o.len);
    const struct nlmsghdr *m = nl_next(&at, end);
    if (!OK(m && m->nlmsg_len == FIRST && m->nlmsg_type == 100 && m->nlmsg_seq == 1, "the first"))
        return;
    OK(m->nlmsg_flags == (NLM_F_REQUEST | NLM_F_ACK) && m->nlmsg_pid == 0, "is a request");
    a_at = nl_attrs(m, 4, &a_end);
    const struct nlattr *a = nl_attr_next(&a_at, a_end);
    OK(a && nl_attr_type(a) == 1 && nl_attr_len(a) == 5 &&
           memcmp(nl_attr_data(a), "abcde\0\0\0", 8) == 0,
       "bytes, padded with zeros");
    uint32_t v = 0;
    a = nl_attr_next(&a_at, a_end);
    OK(a && nl_attr_type(a) == 2 && nl_attr_u32(a, &v) && v == 7, "a number");
    a = nl_attr_next(&a_at, a_end);
    OK(a && memcmp(nl_attr_data(a), "\0\0\0\7", 4) == 0, "a big-endian number");
    a = nl_attr_next(&a_at, a_end);
    OK(a && a->nla_type == (4 | NLA_F_NESTED) && nl_attr_type(a) == 4 && nl_attr_len(a) == 20,
       "a nest");
    OK(!nl_attr_next(&a_at, a_end), "and no more");
    const uint8_t *in = nl_attr_data(a), *in_end = in + nl_attr_len(a);
    a = nl_attr_next(&in, in_end);
    OK(a && nl_attr_type(a) == 5 && nl_attr_len(a) == 8, "a nest in it");
    a = nl_attr_next(&in, in_end);
    OK(a && nl_attr_len(a) == 2 && strcmp(nl_attr_data(a), "x") == 0, "a text with its NUL");
    m = nl_next(&at, end);
    OK(m && m->nlmsg_type == 101 && m->nlmsg_seq == 2 && m->nlmsg_len == 20, "the second");
    OK(!nl_next(&at, end) && at == end, "the end");
}

static void stays_in_its_bounds(void) {
    int bad = 0;
    for (size_t cap = 0; cap <= WHOLE; cap++) {
        uint8_t *buf = malloc(cap + !cap); /* of the exact size, for the sanitizer's sake */
        struct nl_out o = { .buf = buf, .cap = cap, .seq = 1 };
        build(&o);
        bad += o.cut != (cap < WHOLE) || o.len > cap;
        free(buf);
    }
    OK(bad == 0, "cut in any buffer that is too small");
    static uint8_t big[1 << 18];
    static const uint8_t zeros[UINT16_MAX];
    struct nl_out o = NL_OUT(big);
    nl_begin(&o, 1, 0, NULL, 0);
    nl_put(&o, 1, zeros, UINT16_MAX - 3);
    OK(o.cut, "an attribute has 16 bits of length");
    o = (struct nl_out)NL_OUT(big);
    nl_begin(&o, 1, 0, NULL, 0);
    nl_put(&o, 1, zeros, UINT16_MAX - 4);
    OK(!o.cut && o.len == 16 + 65536, "the longest one");
    o = (struct nl_out)NL_OUT(big);
    nl_begin(&o, 1, 0, NULL, 0);
    size_t at = nl_nest(&o, 1);
    nl_put(&o, 1, zeros, 40000);
    nl_put(&o, 1, zeros, 40000);
    nl_nest_end(&o, at);
    OK(o.cut, "so has a nest");
    OK(nl_transact(-1, &o, NULL) == -ENOBUFS, "what was cut is not sent");
}

/* All attributes of all messages, and of nests; their number. */
static size_t walk_attrs(const uint8_t *at, const uint8_t *end, int depth) {
    size_t n = 0;
    for (const struct nlattr *a; (a = nl_attr_next(&at, end)); n++) {
        const uint8_t *in = nl_attr_data(a);
        if (in + nl_attr_len(a) > end)
            return 1000;
        if (depth < 4)
            n += walk_attrs(in, in + nl_attr_len(a), depth + 1);
    }
    return n;
}

static size_t walk(const uint8_t *at, size_t len, size_t *messages) {
    const uint8_t *end = at + len, *a_end;
    size_t n = 0;
    *messages = 0;
    for (const struct nlmsghdr *m; (m = nl_next(&at, end)); ++*messages) {
        const uint8_t *a = nl_attrs(m, 4, &a_end);
        n += walk_attrs(a, a_end, 0);
    }
    return n;
}

static void walks_what_is_whole(void) {
    _Alignas(4) uint8_t buf[256];
    struct nl_out o = NL_OUT(buf);
    size_t messages, bad = 0;
    build(&o);
    OK(walk(buf, o.len, &messages) >= 7 && messages == 2, "two messages");
    for (size_t len = 0; len < o.len; len++) {
        uint8_t *copy = malloc(len + !len);
        memcpy(copy, buf, len);
        (void)walk(copy, len, &messages);
        bad += messages != (len >= FIRST);
        free(copy);
    }
    OK(bad == 0, "a message that is cut off does not count");
    size_t runaway = 0;
    for (size_t i = 0; i < 200000; i++) {
        uint8_t *copy = malloc(o.len);
        memcpy(copy, buf, o.len);
        size_t where = i % o.len;
        copy[where] = (uint8_t)(i / o.len);
        copy[(where * 7 + i) % o.len] ^= (uint8_t)(i >> 3);
        runaway += walk(copy, o.len, &messages) >= 1000;
        free(copy);
    }
    OK(runaway == 0, "no attribute reaches past what holds it");
}

static void refuses_wrong_lengths(void) {
    for (uint16_t len = 0; len < 12; len++) {
        _Alignas(4) uint8_t buf[12] = { 0 };
        struct nlattr *a = (struct nlattr *)(void *)buf;
        const uint8_t *at = buf;
        uint32_t v = 9;
        a->nla_len = len;
        bool walked = nl_attr_next(&at, buf + 8) != NULL;
        OK(walked == (len >= 4 && len <= 8), "an attribute of length %d in 8 bytes: %d", len,
           walked);
        if (len >= 4)
            OK(nl_attr_u32(a, &v) == (len == 8) && v == (len == 8 ? 0 : 9), "a number of %d bytes",
               len - 4);
    }
    _Alignas(4) uint8_t buf[24] = { 0 };
    struct nlmsghdr *m = (struct nlmsghdr *)(void *)buf;
    const uint8_t *at, *end;
    for (uint32_t len = 16; len <= 24; len++) {
        m->nlmsg_len = len;
        at = nl_attrs(m, 6, &end);
        OK(at <= end && end == buf + len, "attributes behind 6 bytes of %u", len - 16);
    }
    at = buf;
    m->nlmsg_len = UINT32_MAX;
    OK(!nl_next(&at, buf + sizeof buf), "a length that wraps");
}

/* A kernel whose answers are made up: the other end of a pair. */

struct pair {
    int ours, theirs;
};

static struct pair pair(void) {
    int s[2];
    struct timeval soon = { .tv_usec = 20000 };
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, s) < 0)
        exit(1);
    (void)setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    return (struct pair){ s[0], s[1] };
}

static void pair_end(struct pair *p) {
    fd_close(&p->ours);
    fd_close(&p->theirs);
}

static void answer(struct pair *p, uint16_t type, uint16_t flags, uint32_t seq, int code) {
    _Alignas(4) uint8_t buf[64];
    struct nlmsgerr body = { .error = code };
    struct nl_out o = { .buf = buf, .cap = sizeof buf, .seq = seq };
    nl_begin(&o, type, 0, &body, sizeof body);
    ((struct nlmsghdr *)(void *)buf)->nlmsg_flags = flags;
    if (flags & NLM_F_ACK_TLVS)
        nl_put_text(&o, NLMSGERR_ATTR_MSG, "no such thing");
    nl_end(&o);
    (void)send(p->theirs, buf, o.len, 0);
}

static struct nl_out three(uint8_t *buf, size_t cap) {
    struct nl_out o = { .buf = buf, .cap = cap, .seq = 10 };
    for (int i = 0; i < 3; i++) {
        nl_begin(&o, 77, i == 1 ? 0 : NLM_F_ACK, NULL, 0);
        nl_end(&o);
    }
    return o;
}

static void takes_acknowledgements(void) {
    _Alignas(4) uint8_t buf[64], got[64];
    struct nl_out o = three(buf, sizeof buf);
    struct err e = { 0 };
    struct pair p = pair();
    answer(&p, NLMSG_ERROR, 0, 9, -EIO); /* to somebody else, or long ago */
    answer(&p, NLMSG_ERROR, 0, 13, -EIO);
    answer(&p, NLMSG_ERROR, 0, 10, 0);
    answer(&p, NLMSG_ERROR, 0, 12, 0);
    OK(nl_transact(p.ours, &o, &e) == 0 && e.code == 0, "two of three asked, and were answered");
    OK(recv(p.theirs, got, sizeof got, 0) == (ssize_t)o.len && memcmp(got, buf, o.len) == 0,
       "all of it was sent at once");
    answer(&p, NLMSG_ERROR, 0, 10, 0);
    OK(nl_transact(p.ours, &o, &e) == -ETIMEDOUT, "one answer is missing: %s", e.text);
    answer(&p, NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED, 11, -ENOENT);
    answer(&p, NLMSG_ERROR, 0, 12, -EPERM);
    OK(nl_transact(p.ours, &o, &e) == -ENOENT, "the first error counts, without other answers");
    OK(strcmp(e.text, "no such thing: No such file or directory") == 0, "%s", e.text);
    OK(recv(p.ours, got, sizeof got, MSG_DONTWAIT) < 0, "and nothing is left behind");
    answer(&p, NLMSG_ERROR, 0, 10, EIO);
    OK(nl_transact(p.ours, &o, &e) == -EBADMSG, "no error is positive");
    static uint8_t huge[70000];
    (void)send(p.theirs, huge, sizeof huge, 0);
    OK(nl_transact(p.ours, &o, &e) == -EMSGSIZE, "what does not fit is no answer: %s", e.text);
    pair_end(&p);
}

static void count(void *arg, const struct nlmsghdr *m) { *(int *)arg += m->nlmsg_type == 77; }

static void takes_dumps(void) {
    _Alignas(4) uint8_t buf[64];
    struct nl_out o = { .buf = buf, .cap = sizeof buf, .seq = 5 };
    int n = 0;
    struct pair p = pair();
    nl_begin(&o, 76, NLM_F_DUMP, NULL, 0);
    nl_end(&o);
    answer(&p, 77, 0, 4, 0);
    answer(&p, 77, 0, 5, 0);
    answer(&p, NLMSG_NOOP, 0, 5, 0);
    answer(&p, 77, 0, 5, 0);
    answer(&p, NLMSG_DONE, 0, 5, 0);
    OK(nl_dump(p.ours, &o, count, &n) == 0 && n == 2, "two messages of ours: %d", n);
    answer(&p, 77, NLM_F_DUMP_INTR, 5, 0);
    answer(&p, NLMSG_DONE, 0, 5, 0);
    OK(nl_dump(p.ours, &o, count, &n) == -EAGAIN, "a dump that was interrupted");
    answer(&p, NLMSG_DONE, 0, 5, -EBUSY);
    OK(nl_dump(p.ours, &o, count, &n) == -EBUSY, "one that ends with an error");
    answer(&p, NLMSG_ERROR, 0, 5, -EPERM);
    OK(nl_dump(p.ours, &o, count, &n) == -EPERM, "one that is refused");
    answer(&p, 77, 0, 5, 0);
    n = 0;
    OK(nl_dump(p.ours, &o, count, &n) == -ETIMEDOUT && n == 1, "one that has no end");
    pair_end(&p);
}

/* The real one. What is asked here needs no rights. */

static void see_loopback(void *arg, const struct nlmsghdr *m) {
    struct ifinfomsg info;
    if (m->nlmsg_type != RTM_NEWLINK || m->nlmsg_len < NLMSG_HDRLEN + sizeof info)
        return;
    memcpy(&info, (const char *)m + NLMSG_HDRLEN, sizeof info);
    *(int *)arg += info.ifi_index == 1;
}

static void talks_to_the_kernel(void) {
    _Alignas(4) uint8_t buf[64];
    struct ifinfomsg body = { 0 };
    struct nl_out o = NL_OUT(buf);
    AUTO_FD int fd = nl_open(NETLINK_ROUTE);
    int n = 0;
    OK(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC), "a socket");
    nl_begin(&o, RTM_GETLINK, NLM_F_DUMP, &body, sizeof body);
    nl_end(&o);
    OK(nl_dump(fd, &o, see_loopback, &n) == 0 && n == 1, "link 1 is in the list of links");
    o = (struct nl_out)NL_OUT(buf);
    body.ifi_index = 1;
    n = 0;
    nl_begin(&o, RTM_GETLINK, NLM_F_ACK, &body, sizeof body);
    nl_end(&o);
    OK(nl_dump(fd, &o, see_loopback, &n) == 0 && n == 1, "and can be asked for alone");
    o = (struct nl_out)NL_OUT(buf);
    body.ifi_index = INT32_MAX;
    nl_begin(&o, RTM_GETLINK, NLM_F_ACK, &body, sizeof body);
    nl_end(&o);
    struct err e = { 0 };
    OK(nl_dump(fd, &o, see_loopback, &n) == -ENODEV, "a link that is not there");
    OK(nl_transact(fd, &o, &e) == -ENODEV && e.code == ENODEV, "told in words: %s", e.text);
    o = (struct nl_out)NL_OUT(buf);
    nl_begin(&o, RTM_MAX + 100, NLM_F_DUMP, &body, sizeof body);
    nl_end(&o);
    OK(nl_dump(fd, &o, see_loopback, &n) == -EOPNOTSUPP, "what nobody knows");
    OK(nl_open(MAX_LINKS + 1) == -EPROTONOSUPPORT, "no such protocol");
    static const int groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_ROUTE, 0 };
    static const int wrong[] = { 30000, 0 };
    AUTO_FD int ears = nl_listen(NETLINK_ROUTE, groups);
    OK(ears >= 0 && (fcntl(ears, F_GETFL) & O_NONBLOCK) && (fcntl(ears, F_GETFD) & FD_CLOEXEC),
       "a socket that hears");
    OK(nl_drain(ears) >= 0, "and can be drained");
    OK(nl_listen(NETLINK_ROUTE, wrong) == -EINVAL, "no such group");
    OK(nl_drain(-1) == -EBADF, "nothing to drain");
}

static void drains(void) {
    struct pair p = pair();
    for (int i = 0; i < 8; i++)
        answer(&p, 77, 0, 1, 0);
    OK(nl_drain(p.ours) == 1, "something was there");
    OK(nl_drain(p.ours) == 0, "and is gone");
    pair_end(&p);
}

int main(void) {
    builds();
    stays_in_its_bounds();
    walks_what_is_whole();
    refuses_wrong_lengths();
    takes_acknowledgements();
    takes_dumps();
    drains();
    talks_to_the_kernel();
    return tap_end();
}
