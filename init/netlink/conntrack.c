#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include "base/own.h"
#include "netlink/nft.h"

int conntrack_flush(void) {
    _Alignas(struct nlmsghdr) uint8_t buf[128];
    struct nl_out o = NL_OUT(buf);
    /* Version 0 means connections of every family (ctnetlink_del_conntrack). */
    struct nfgenmsg body = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
    nl_begin(&o, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE, NLM_F_ACK, &body, sizeof body);
    /* Both: a kernel that did not filter would forget the connections of everybody. */
    nl_put_be32(&o, CTA_MARK, NFT_MARK);
    nl_put_be32(&o, CTA_MARK_MASK, UINT32_MAX);
    nl_end(&o);
    AUTO_FD int fd = nl_open(NETLINK_NETFILTER);
    if (fd < 0)
        return fd;
    int rc = nl_transact(fd, &o, NULL);
    return rc == -ENOENT ? 0 : rc;
}
