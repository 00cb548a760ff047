#include "netlink/nft.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/own.h"

enum { ATTEMPTS = 3, REQUEST_BYTES = 128 };

static void begin(struct nl_out *o, uint16_t type, uint16_t flags, uint8_t family) {
    struct nfgenmsg body = { .nfgen_family = family, .version = NFNETLINK_V0 };
    type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    nl_begin(o, type, flags, &body, sizeof body);
}

static void take_generation(void *arg, const struct nlmsghdr *m) {
    *(bool *)arg |= m->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN);
}

enum nft_state nft_probe(void) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    struct nl_out o = NL_OUT(buf);
    bool told = false;
    AUTO_FD int fd = nl_open(NETLINK_NETFILTER);
    if (fd < 0) /* gVisor has no nfnetlink at all */
        return fd == -EPROTONOSUPPORT || fd == -EAFNOSUPPORT ? NFT_ABSENT : NFT_UNKNOWN;
    begin(&o, NFT_MSG_GETGEN, NLM_F_ACK, AF_UNSPEC);
    nl_end(&o);
    int rc = nl_dump(fd, &o, take_generation, &told);
    if (rc == 0)
        return told ? NFT_USABLE : NFT_UNKNOWN;
    if (rc == -EPERM || rc == -EACCES)
        return NFT_DENIED;
    /* EINVAL: nfnetlink knows no such subsystem, and could not load it either. */
    return rc == -EINVAL || rc == -EOPNOTSUPP ? NFT_ABSENT : NFT_UNKNOWN;
}

static bool is_no_family(int rc) { return rc == -EAFNOSUPPORT || rc == -EOPNOTSUPP; }

static int apply(const struct nft_rules *r, unsigned families, struct err *e) {
    _Alignas(struct nlmsghdr) uint8_t buf[NFT_BATCH];
    struct nl_out o = NL_OUT(buf);
    nft_build(&o, r, families);
    AUTO_FD int fd = nl_open(NETLINK_NETFILTER);
    if (fd < 0)
        return err_sys(e, -fd, "a netfilter socket");
    int rc = nl_transact(fd, &o, e);
    return rc < 0 ? err_wrap(e, "nf_tables") : 0;
}

/* Nothing is wanted, and the kernel does not know both families. */
static int remove_each(const struct nft_rules *none, struct err *e) {
    static const unsigned families[] = { NFT_V4, NFT_V6 };
    struct err why = { 0 };
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        int rc = apply(none, families[i], &why);
        if (rc < 0 && !is_no_family(rc)) {
            if (e)
                *e = why;
            return rc;
        }
    }
    return 0;
}

int nft_apply(const struct nft_rules *r, struct err *e) {
    unsigned wanted = (nft_rule_count(&r->v4) ? NFT_V4 : 0) | (nft_rule_count(&r->v6) ? NFT_V6 : 0);
    struct err why = { 0 };
    int rc = apply(r, NFT_BOTH, &why);
    if (is_no_family(rc) && wanted == 0)
        return remove_each(r, e);
    if (is_no_family(rc) && wanted != NFT_BOTH)
        rc = apply(r, wanted, &why);
    if (rc < 0 && e)
        *e = why;
    return rc;
}

int nft_remove(struct err *e) {
    static const struct nft_rules none;
    return nft_probe() == NFT_ABSENT ? 0 : nft_apply(&none, e);
}

struct tally {
    uint8_t family;
    size_t rules;
    uint64_t hits;
};

static void take_rule(void *arg, const struct nlmsghdr *m) {
    struct tally *t = arg;
    struct nft_seen seen;
    if (!nft_read_rule(m, &seen) || seen.family != t->family)
        return;
    t->rules++;
    t->hits += seen.dnat ? seen.packets : 0;
}

static int count_rules(int fd, struct tally *t) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    int rc = -EAGAIN;
    for (int i = 0; i < ATTEMPTS && rc == -EAGAIN; i++) {
        struct nl_out o = NL_OUT(buf);
        o.seq += (uint32_t)i; /* the rest of an interrupted answer is not taken for this one's */
        *t = (struct tally){ .family = t->family };
        begin(&o, NFT_MSG_GETRULE, NLM_F_DUMP, t->family);
        nl_put_text(&o, NFTA_RULE_TABLE, NFT_TABLE);
        nl_end(&o);
        rc = nl_dump(fd, &o, take_rule, t);
    }
    return rc;
}

static void take_table(void *arg, const struct nlmsghdr *m) {
    *(bool *)arg |= m->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE);
}

/* 1, 0 or -errno. */
static int has_table(int fd, uint8_t family) {
    _Alignas(struct nlmsghdr) uint8_t buf[REQUEST_BYTES];
    struct nl_out o = NL_OUT(buf);
    bool told = false;
    begin(&o, NFT_MSG_GETTABLE, NLM_F_ACK, family);
    nl_put_text(&o, NFTA_TABLE_NAME, NFT_TABLE);
    nl_end(&o);
    int rc = nl_dump(fd, &o, take_table, &told);
    return rc == -ENOENT || is_no_family(rc) ? 0 : rc < 0 ? rc : told;
}

/* Is one family's table as `d` wants it? 1, 0 or -errno. */
static int check_family(const struct nft_dnat *d, struct tally *t) {
    size_t wanted = nft_rule_count(d);
    AUTO_FD int fd = nl_open(NETLINK_NETFILTER);
    if (fd < 0)
        return fd;
    int rc = has_table(fd, t->family);
    if (rc <= 0 || wanted == 0)
        return rc < 0 ? rc : (rc > 0) == (wanted > 0);
    rc = count_rules(fd, t);
    return rc < 0 ? rc : t->rules == wanted;
}

int nft_check(const struct nft_rules *r, uint64_t *hits) {
    struct tally v4 = { .family = NFPROTO_IPV4 }, v6 = { .family = NFPROTO_IPV6 };
    int a = check_family(&r->v4, &v4), b = check_family(&r->v6, &v6);
    if (hits)
        *hits = v4.hits + v6.hits;
    return a < 0 ? a : b < 0 ? b : a && b;
}

int nft_listen(void) {
    static const int groups[] = { NFNLGRP_NFTABLES, 0 };
    return nl_listen(NETLINK_NETFILTER, groups);
}
