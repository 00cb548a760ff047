/* PURE: building netlink messages, and walking those of others. */
#include <arpa/inet.h>
#include <string.h>

#include "netlink/netlink.h"

_Static_assert(NLMSG_ALIGNTO == NLA_ALIGNTO, "messages and attributes are aligned alike");
_Static_assert(sizeof(struct nlattr) % NLA_ALIGNTO == 0, "no padding behind their headers");

/* `n` bytes and their padding, all zero; NULL when they do not fit, and for all that follow. */
static void *take_room(struct nl_out *o, size_t n) {
    size_t whole = NLMSG_ALIGN(n);
    if (o->cut || whole < n || whole > o->cap - o->len) {
        o->cut = true;
        return NULL;
    }
    uint8_t *p = o->buf + o->len;
    o->len += whole;
    memset(p, 0, whole);
    return p;
}

void nl_begin(struct nl_out *o, uint16_t type, uint16_t flags, const void *body, size_t len) {
    o->message = o->len;
    struct nlmsghdr *m = take_room(o, NLMSG_HDRLEN);
    if (!m)
        return;
    m->nlmsg_type = type;
    m->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
    m->nlmsg_seq = o->seq++;
    void *p = take_room(o, len);
    if (p && body)
        memcpy(p, body, len);
}

void nl_end(struct nl_out *o) {
    if (o->cut)
        return;
    struct nlmsghdr *m = (struct nlmsghdr *)(void *)(o->buf + o->message);
    m->nlmsg_len = (uint32_t)(o->len - o->message);
}

void nl_put(struct nl_out *o, uint16_t type, const void *data, size_t len) {
    if (len > UINT16_MAX - sizeof(struct nlattr))
        o->cut = true;
    struct nlattr *a = take_room(o, sizeof *a + len);
    if (!a)
        return;
    a->nla_type = type;
    a->nla_len = (uint16_t)(sizeof *a + len);
    if (len)
        memcpy(a + 1, data, len);
}

void nl_put_u32(struct nl_out *o, uint16_t type, uint32_t value) {
    nl_put(o, type, &value, sizeof value);
}

void nl_put_be32(struct nl_out *o, uint16_t type, uint32_t value) {
    value = htonl(value);
    nl_put(o, type, &value, sizeof value);
}

void nl_put_be16(struct nl_out *o, uint16_t type, uint16_t value) {
    value = htons(value);
    nl_put(o, type, &value, sizeof value);
}

void nl_put_text(struct nl_out *o, uint16_t type, const char *text) {
    nl_put(o, type, text, strlen(text) + 1);
}

size_t nl_nest(struct nl_out *o, uint16_t type) {
    size_t at = o->len;
    nl_put(o, (uint16_t)(type | NLA_F_NESTED), NULL, 0);
    return at;
}

void nl_nest_end(struct nl_out *o, size_t at) {
    if (!o->cut && o->len - at > UINT16_MAX)
        o->cut = true;
    if (o->cut)
        return;
    struct nlattr *a = (struct nlattr *)(void *)(o->buf + at);
    a->nla_len = (uint16_t)(o->len - at);
}

/* Past `len` bytes and their padding, which the last one may lack. */
static const uint8_t *after(const uint8_t *at, const uint8_t *end, size_t len) {
    size_t left = (size_t)(end - at), whole = NLMSG_ALIGN(len);
    return at + (whole < left ? whole : left);
}

const struct nlmsghdr *nl_next(const uint8_t **at, const uint8_t *end) {
    const struct nlmsghdr *m = (const void *)*at;
    size_t left = (size_t)(end - *at);
    if (left < sizeof *m || m->nlmsg_len < sizeof *m || m->nlmsg_len > left)
        return NULL;
    *at = after(*at, end, m->nlmsg_len);
    return m;
}

const uint8_t *nl_attrs(const struct nlmsghdr *m, size_t fixed, const uint8_t **end) {
    const uint8_t *p = (const uint8_t *)m;
    *end = p + m->nlmsg_len;
    return after(p, *end, NLMSG_HDRLEN + fixed);
}

const struct nlattr *nl_attr_next(const uint8_t **at, const uint8_t *end) {
    const struct nlattr *a = (const void *)*at;
    size_t left = (size_t)(end - *at);
    if (left < sizeof *a || a->nla_len < sizeof *a || a->nla_len > left)
        return NULL;
    *at = after(*at, end, a->nla_len);
    return a;
}

bool nl_attr_u32(const struct nlattr *a, uint32_t *out) {
    if (nl_attr_len(a) != sizeof *out)
        return false;
    memcpy(out, nl_attr_data(a), sizeof *out);
    return true;
}
