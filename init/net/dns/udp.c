#include "net/dns/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

enum { UDP_CONTROL = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) };

/* Room for what one recvmmsg(2) brings. */
struct udp_batch {
    struct mmsghdr heads[DNS_UDP_BATCH];
    struct iovec parts[DNS_UDP_BATCH];
    struct sockaddr_storage from[DNS_UDP_BATCH];
    _Alignas(struct cmsghdr) uint8_t control[DNS_UDP_BATCH][UDP_CONTROL];
    uint8_t bytes[DNS_UDP_BATCH][DNS_UDP_QUERY_MAX];
};

struct udp_batch *udp_batch_new(void) {
    return calloc(1, sizeof(struct udp_batch));
}

static void prepare(struct udp_batch *b) {
    for (size_t i = 0; i < DNS_UDP_BATCH; i++) {
        b->parts[i] = (struct iovec){ b->bytes[i], sizeof b->bytes[i] };
        b->heads[i].msg_hdr = (struct msghdr){ .msg_name = &b->from[i],
                                               .msg_namelen = sizeof b->from[i],
                                               .msg_iov = &b->parts[i],
                                               .msg_iovlen = 1,
                                               .msg_control = b->control[i],
                                               .msg_controllen = sizeof b->control[i] };
    }
}

static struct ip ip_of_in6(const struct in6_addr *a) {
    struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = *a };
    struct sockaddr_storage sa = { 0 };
    memcpy(&sa, &in6, sizeof in6);
    return ip_from_sockaddr(&sa, NULL); /* a mapped one becomes IPv4, as the client's does */
}

/* Which address of ours was meant, by which link it came: 0 if the kernel does not say. It is
 * the only control message that we have asked for. */
static int read_pktinfo(struct msghdr *m, struct asker *who) {
    const struct cmsghdr *c = CMSG_FIRSTHDR(m);
    if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        who->to4 = info.ipi_spec_dst;
        who->to = ip_from_bytes(&info.ipi_spec_dst, sizeof info.ipi_spec_dst);
        return info.ipi_ifindex;
    }
    if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        memcpy(&who->to6, CMSG_DATA(c), sizeof who->to6);
        who->to = ip_of_in6(&who->to6.ipi6_addr);
        int link = (int)who->to6.ipi6_ifindex;
        if (!ip_is_link_local(&who->to))
            who->to6.ipi6_ifindex = 0; /* the route decides */
        return link;
    }
    return 0;
}

static void take(struct listener *l, struct mmsghdr *m, const uint8_t *bytes) {
    struct asker who = { .on = l, .addr_len = m->msg_hdr.msg_namelen };
    memcpy(&who.addr, m->msg_hdr.msg_name, who.addr_len);
    who.ip = ip_from_sockaddr(&who.addr, &who.port);
    int link = read_pktinfo(&m->msg_hdr, &who);
    /* A link that we were not told might be any; ask for none of them to be let in. */
    if (l->f->nrefused > 0 && (link == 0 || link_is_refused(l->f, link)))
        return;
    query_take(l->f, &who, bytes, m->msg_len, m->msg_hdr.msg_flags & MSG_TRUNC);
}

void udp_ready(struct source *s, uint32_t got) {
    struct listener *l = CONTAINER_OF(s, struct listener, udp);
    struct udp_batch *b = l->f->batch;
    (void)got;
    prepare(b);
    int n = recvmmsg(s->fd, b->heads, DNS_UDP_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++)
        take(l, &b->heads[i], b->bytes[i]);
}

int udp_reply(const struct asker *who, const uint8_t *msg, size_t len) {
    _Alignas(struct cmsghdr) uint8_t control[UDP_CONTROL] = { 0 };
    struct iovec part = { (void *)msg, len };
    struct sockaddr_storage to = who->addr;
    struct msghdr m = { .msg_name = &to,
                        .msg_namelen = who->addr_len,
                        .msg_iov = &part,
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof control };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (who->on->family == AF_INET) {
        struct in_pktinfo info = { .ipi_spec_dst = who->to4 };
        *c = (struct cmsghdr){ .cmsg_level = IPPROTO_IP,
                               .cmsg_type = IP_PKTINFO,
                               .cmsg_len = CMSG_LEN(sizeof info) };
        memcpy(CMSG_DATA(c), &info, sizeof info);
        m.msg_controllen = CMSG_SPACE(sizeof info);
    } else {
        *c = (struct cmsghdr){ .cmsg_level = IPPROTO_IPV6,
                               .cmsg_type = IPV6_PKTINFO,
                               .cmsg_len = CMSG_LEN(sizeof who->to6) };
        memcpy(CMSG_DATA(c), &who->to6, sizeof who->to6);
        m.msg_controllen = CMSG_SPACE(sizeof who->to6);
    }
    /* A full buffer is the client's to notice, as any loss on the way is. */
    return sendmsg(who->on->udp.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}
