/* PURE: our nf_tables rules as messages, and what the kernel tells of them.
 *
 * Numbers in attributes are big-endian. What is compared with bytes of a packet is in network
 * order; what the kernel keeps about it (mark, status) is in host order.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "netlink/nft.h"

enum { DNS_PORT = 53, DPORT_OFFSET = 2, DADDR_OFFSET_V4 = 16, DADDR_OFFSET_V6 = 24 };

static const uint8_t protocols[] = { IPPROTO_UDP, IPPROTO_TCP };

/* One table while it is built. */
struct build {
    struct nl_out *o;
    uint8_t family;
    const struct nft_dnat *dnat;
    const char (*outer)[16];
};

static void begin(struct nl_out *o, uint16_t type, uint16_t flags, uint8_t family) {
    struct nfgenmsg body = { .nfgen_family = family, .version = NFNETLINK_V0 };
    type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
    nl_begin(o, type, (uint16_t)(flags | NLM_F_ACK), &body, sizeof body);
}

/* Unlike the rest it asks for no answer: the messages in between have theirs. */
static void batch(struct nl_out *o, uint16_t type) {
    struct nfgenmsg body = { .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES) };
    nl_begin(o, type, 0, &body, sizeof body);
    nl_end(o);
}

static void table(struct build *b, uint16_t type, uint16_t flags) {
    begin(b->o, type, flags, b->family);
    nl_put_text(b->o, NFTA_TABLE_NAME, NFT_TABLE);
    nl_end(b->o);
}

static void chain(struct build *b, const char *name, uint32_t hook, int32_t priority) {
    begin(b->o, NFT_MSG_NEWCHAIN, NLM_F_CREATE, b->family);
    nl_put_text(b->o, NFTA_CHAIN_TABLE, NFT_TABLE);
    nl_put_text(b->o, NFTA_CHAIN_NAME, name);
    size_t at = nl_nest(b->o, NFTA_CHAIN_HOOK);
    nl_put_be32(b->o, NFTA_HOOK_HOOKNUM, hook);
    nl_put_be32(b->o, NFTA_HOOK_PRIORITY, (uint32_t)priority);
    nl_nest_end(b->o, at);
    nl_put_be32(b->o, NFTA_CHAIN_POLICY, NF_ACCEPT);
    nl_put_text(b->o, NFTA_CHAIN_TYPE, "nat");
    nl_end(b->o);
}

/* Expressions: each is an element with a name and nested data. */

struct expr {
    size_t element, data;
};

static struct expr expr(struct nl_out *o, const char *name) {
    struct expr x = { .element = nl_nest(o, NFTA_LIST_ELEM) };
    nl_put_text(o, NFTA_EXPR_NAME, name);
    x.data = nl_nest(o, NFTA_EXPR_DATA);
    return x;
}

static void expr_end(struct nl_out *o, struct expr x) {
    nl_nest_end(o, x.data);
    nl_nest_end(o, x.element);
}

static void put_value(struct nl_out *o, uint16_t type, const void *value, size_t len) {
    size_t at = nl_nest(o, type);
    nl_put(o, NFTA_DATA_VALUE, value, len);
    nl_nest_end(o, at);
}

/* Register 1 compared with a value. */
static void compare(struct nl_out *o, enum nft_cmp_ops op, const void *value, size_t len) {
    struct expr x = expr(o, "cmp");
    nl_put_be32(o, NFTA_CMP_SREG, NFT_REG_1);
    nl_put_be32(o, NFTA_CMP_OP, op);
    put_value(o, NFTA_CMP_DATA, value, len);
    expr_end(o, x);
}

static void load_meta(struct nl_out *o, enum nft_meta_keys key) {
    struct expr x = expr(o, "meta");
    nl_put_be32(o, NFTA_META_KEY, key);
    nl_put_be32(o, NFTA_META_DREG, NFT_REG_1);
    expr_end(o, x);
}

static void load_ct(struct nl_out *o, enum nft_ct_keys key) {
    struct expr x = expr(o, "ct");
    nl_put_be32(o, NFTA_CT_KEY, key);
    nl_put_be32(o, NFTA_CT_DREG, NFT_REG_1);
    expr_end(o, x);
}

static void load_payload(struct nl_out *o, enum nft_payload_bases base, uint32_t at, uint32_t len) {
    struct expr x = expr(o, "payload");
    nl_put_be32(o, NFTA_PAYLOAD_DREG, NFT_REG_1);
    nl_put_be32(o, NFTA_PAYLOAD_BASE, base);
    nl_put_be32(o, NFTA_PAYLOAD_OFFSET, at);
    nl_put_be32(o, NFTA_PAYLOAD_LEN, len);
    expr_end(o, x);
}

static void load_value(struct nl_out *o, enum nft_registers reg, const void *value, size_t len) {
    struct expr x = expr(o, "immediate");
    nl_put_be32(o, NFTA_IMMEDIATE_DREG, reg);
    put_value(o, NFTA_IMMEDIATE_DATA, value, len);
    expr_end(o, x);
}

static void count_packets(struct nl_out *o) { expr_end(o, expr(o, "counter")); }

/* Parts of our rules. */

static void not_from_outside(struct build *b) {
    for (size_t i = 0; i < MAX_OUTER_LINKS && b->outer[i][0]; i++) {
        char name[16] = { 0 }; /* compared with all its bytes (IFNAMSIZ) */
        memcpy(name, b->outer[i], strnlen(b->outer[i], sizeof name - 1));
        load_meta(b->o, NFT_META_IIFNAME);
        compare(b->o, NFT_CMP_NEQ, name, sizeof name);
    }
}

static void is_sent_to(struct build *b, const struct ip *ip, uint8_t protocol, uint16_t port) {
    uint32_t len = ip_bits(ip) / 8, at = len == 4 ? DADDR_OFFSET_V4 : DADDR_OFFSET_V6;
    port = htons(port);
    load_payload(b->o, NFT_PAYLOAD_NETWORK_HEADER, at, len);
    compare(b->o, NFT_CMP_EQ, ip->b, len);
    load_meta(b->o, NFT_META_L4PROTO);
    compare(b->o, NFT_CMP_EQ, &protocol, sizeof protocol);
    load_payload(b->o, NFT_PAYLOAD_TRANSPORT_HEADER, DPORT_OFFSET, sizeof port);
    compare(b->o, NFT_CMP_EQ, &port, sizeof port);
}

static void is_redirected_by_us(struct nl_out *o) {
    const uint32_t dnat = IPS_DST_NAT, zero = 0, mark = NFT_MARK;
    load_ct(o, NFT_CT_STATUS);
    struct expr x = expr(o, "bitwise");
    nl_put_be32(o, NFTA_BITWISE_SREG, NFT_REG_1);
    nl_put_be32(o, NFTA_BITWISE_DREG, NFT_REG_1);
    nl_put_be32(o, NFTA_BITWISE_LEN, sizeof dnat);
    put_value(o, NFTA_BITWISE_MASK, &dnat, sizeof dnat);
    put_value(o, NFTA_BITWISE_XOR, &zero, sizeof zero);
    expr_end(o, x);
    compare(o, NFT_CMP_NEQ, &zero, sizeof zero);
    load_ct(o, NFT_CT_MARK);
    compare(o, NFT_CMP_EQ, &mark, sizeof mark);
}

static void set_mark(struct nl_out *o) {
    const uint32_t mark = NFT_MARK;
    load_value(o, NFT_REG_1, &mark, sizeof mark);
    struct expr x = expr(o, "ct");
    nl_put_be32(o, NFTA_CT_KEY, NFT_CT_MARK);
    nl_put_be32(o, NFTA_CT_SREG, NFT_REG_1);
    expr_end(o, x);
}

static void redirect(struct build *b) {
    uint16_t port = htons(b->dnat->port);
    load_value(b->o, NFT_REG_1, b->dnat->to.b, ip_bits(&b->dnat->to) / 8);
    load_value(b->o, NFT_REG_2, &port, sizeof port);
    struct expr x = expr(b->o, "nat");
    nl_put_be32(b->o, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    nl_put_be32(b->o, NFTA_NAT_FAMILY, b->family);
    nl_put_be32(b->o, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
    nl_put_be32(b->o, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
    expr_end(b->o, x);
}

static size_t rule(struct build *b, const char *chain_name) {
    begin(b->o, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, b->family);
    nl_put_text(b->o, NFTA_RULE_TABLE, NFT_TABLE);
    nl_put_text(b->o, NFTA_RULE_CHAIN, chain_name);
    return nl_nest(b->o, NFTA_RULE_EXPRESSIONS);
}

static void rule_end(struct build *b, size_t at) {
    nl_nest_end(b->o, at);
    nl_end(b->o);
}

static void redirect_rules(struct build *b, const char *chain_name, bool incoming) {
    for (size_t i = 0; i < sizeof protocols; i++) {
        size_t at = rule(b, chain_name);
        if (incoming)
            not_from_outside(b);
        is_sent_to(b, &b->dnat->from, protocols[i], DNS_PORT);
        set_mark(b->o);
        count_packets(b->o);
        redirect(b);
        rule_end(b, at);
    }
}

static void masquerade_rules(struct build *b) {
    for (size_t i = 0; i < sizeof protocols; i++) {
        size_t at = rule(b, "post");
        is_redirected_by_us(b->o);
        is_sent_to(b, &b->dnat->to, protocols[i], b->dnat->port);
        count_packets(b->o);
        expr_end(b->o, expr(b->o, "masq"));
        rule_end(b, at);
    }
}

static void build_family(struct build *b) {
    /* Deleting what may not be there is an error; so it is made first. */
    table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    table(b, NFT_MSG_DELTABLE, 0);
    if (nft_rule_count(b->dnat) == 0)
        return;
    table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
    chain(b, "pre", NF_INET_PRE_ROUTING, NFT_PRIORITY_DNAT);
    redirect_rules(b, "pre", true);
    chain(b, "out", NF_INET_LOCAL_OUT, NFT_PRIORITY_DNAT);
    redirect_rules(b, "out", false);
    if (!b->dnat->masquerade)
        return;
    chain(b, "post", NF_INET_POST_ROUTING, NFT_PRIORITY_MASQUERADE);
    masquerade_rules(b);
}

void nft_build(struct nl_out *o, const struct nft_rules *r, unsigned families) {
    struct build v4 = { o, NFPROTO_IPV4, &r->v4, r->outer };
    struct build v6 = { o, NFPROTO_IPV6, &r->v6, r->outer };
    batch(o, NFNL_MSG_BATCH_BEGIN);
    if (families & NFT_V4)
        build_family(&v4);
    if (families & NFT_V6)
        build_family(&v6);
    batch(o, NFNL_MSG_BATCH_END);
}

size_t nft_rule_count(const struct nft_dnat *d) {
    if (ip_bits(&d->from) == 0)
        return 0;
    return sizeof protocols * (d->masquerade ? 3U : 2U);
}

/* Reading */

static bool text_is(const struct nlattr *a, const char *text) {
    size_t n = strlen(text), len = nl_attr_len(a);
    return strnlen(nl_attr_data(a), len) == n && memcmp(nl_attr_data(a), text, n) == 0;
}

/* The attribute of this type in a nested one; NULL. */
static const struct nlattr *find(const struct nlattr *in, uint16_t type) {
    const uint8_t *at = nl_attr_data(in), *end = at + nl_attr_len(in);
    for (const struct nlattr *a; (a = nl_attr_next(&at, end));)
        if (nl_attr_type(a) == type)
            return a;
    return NULL;
}

static void read_expr(const struct nlattr *element, struct nft_seen *out) {
    const struct nlattr *name = find(element, NFTA_EXPR_NAME);
    const struct nlattr *data = find(element, NFTA_EXPR_DATA);
    if (!name || !data)
        return;
    if (text_is(name, "counter")) {
        const struct nlattr *packets = find(data, NFTA_COUNTER_PACKETS);
        if (packets && nl_attr_len(packets) == sizeof out->packets) {
            memcpy(&out->packets, nl_attr_data(packets), sizeof out->packets);
            out->packets = be64toh(out->packets);
        }
    } else if (text_is(name, "nat")) {
        const struct nlattr *type = find(data, NFTA_NAT_TYPE);
        uint32_t v;
        if (type && nl_attr_u32(type, &v))
            out->dnat |= ntohl(v) == NFT_NAT_DNAT;
    }
}

bool nft_read_rule(const struct nlmsghdr *m, struct nft_seen *out) {
    struct nfgenmsg body;
    bool ours = false;
    const uint8_t *end, *at;
    *out = (struct nft_seen){ 0 };
    if (m->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE) ||
        m->nlmsg_len < NLMSG_HDRLEN + sizeof body)
        return false;
    memcpy(&body, (const uint8_t *)m + NLMSG_HDRLEN, sizeof body);
    out->family = body.nfgen_family;
    at = nl_attrs(m, sizeof body, &end);
    for (const struct nlattr *a; (a = nl_attr_next(&at, end));) {
        if (nl_attr_type(a) == NFTA_RULE_TABLE)
            ours = text_is(a, NFT_TABLE);
        if (nl_attr_type(a) != NFTA_RULE_EXPRESSIONS)
            continue;
        const uint8_t *x = nl_attr_data(a), *last = x + nl_attr_len(a);
        for (const struct nlattr *element; (element = nl_attr_next(&x, last));)
            read_expr(element, out);
    }
    return ours;
}
