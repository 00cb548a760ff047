/* nft.h — our own nf_tables table, spoken over netlink: no nft, no iptables, no library.
 *
 * The table is called `pinnace`, one in family ip and one in ip6 where needed; nothing else
 * in the kernel is touched, and each change is one transaction: create, delete, create.
 * Sources: linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h.
 */
#ifndef NETLINK_NFT_H
#define NETLINK_NFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/limits.h"
#include "netlink/netlink.h"

#define NFT_TABLE "pinnace"

/* What the kernel says when asked for the generation of its rules (NFT_MSG_GETGEN). No trace
 * is left, unlike by running iptables. */
enum nft_state {
    NFT_UNKNOWN, /* some other error */
    NFT_USABLE,
    NFT_DENIED, /* EPERM: no CAP_NET_ADMIN over this network namespace */
    NFT_ABSENT  /* no nf_tables in this kernel */
};
enum nft_state nft_probe(void);

/* DNS that is sent to `from`, port 53, UDP and TCP, goes to `to`, port `port`:
 * in prerouting (what containers send; not what comes in from outside) and in output. */
struct nft_dnat {
    struct ip from, to; /* of one family */
    uint16_t port;
    bool masquerade; /* `to` is another host: our own address has to be the source */
};

struct nft_rules {
    struct nft_dnat v4, v6;          /* `from` none: no table of that family */
    char outer[MAX_OUTER_LINKS][16]; /* names of links whose incoming queries are left alone; "" */
};

enum {
    NFT_MARK = 0x1057, /* ct mark of the connections that our rules have redirected */
    /* Docker's chains are at -100 and 100: the lowest number that sets a mapping wins. */
    NFT_PRIORITY_DNAT = -110,
    NFT_PRIORITY_MASQUERADE = 90,
};

/* PURE: the batch that makes the tables of these families be exactly this; no table for a
 * family without rules. `o` needs NFT_BATCH bytes. */
enum { NFT_V4 = 1, NFT_V6 = 2, NFT_BOTH = NFT_V4 | NFT_V6, NFT_BATCH = 16384 };
void nft_build(struct nl_out *o, const struct nft_rules *r, unsigned families);

/* PURE: how many rules that makes in the table of one family. */
size_t nft_rule_count(const struct nft_dnat *d);

/* PURE: one message of a dump of rules. False when it is none of our table. */
struct nft_seen {
    uint8_t family;
    bool dnat;        /* it redirects */
    uint64_t packets; /* it has counted */
};
bool nft_read_rule(const struct nlmsghdr *m, struct nft_seen *out);

/* Make it so; tables that exist are replaced in the same transaction. A family that is not
 * wanted need not be known to the kernel. 0 or -errno. */
int nft_apply(const struct nft_rules *r, struct err *e);

/* Remove our tables; none is fine, and so is no nf_tables. 0 or -errno. */
int nft_remove(struct err *e);

/* Are both tables there, or not there, as `r` wants, with as many rules as nft_build makes?
 * 1 or 0, -errno. *hits (may be NULL): packets our DNAT rules have counted. */
int nft_check(const struct nft_rules *r, uint64_t *hits);

/* A socket that becomes readable when any nf_tables rules change, by whomever (also by
 * nft_apply); nl_drain() it. Needs CAP_NET_ADMIN. */
int nft_listen(void);

/* Forget the connections with NFT_MARK, so that clients which keep their source port follow a
 * changed target: one IPCTNL_MSG_CT_DELETE with a mark filter; others stay. None is fine. */
int conntrack_flush(void);

#endif
