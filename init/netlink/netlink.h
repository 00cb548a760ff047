/* netlink.h — one conversation with the kernel over netlink(7): requests, dumps, attributes.
 *
 * Blocking calls wait 2 s at most, so they belong into a fork or a role, never into PID 1.
 * What the kernel sends is walked with the same care as a stranger's bytes.
 */
#ifndef NETLINK_NETLINK_H
#define NETLINK_NETLINK_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A message, or a batch of several, while it is built. Never overflows: `cut` is set. */
struct nl_out {
    uint8_t *buf;
    size_t cap, len;
    size_t message; /* where the message being built begins */
    uint32_t seq;   /* of the next message */
    bool cut;
};
#define NL_OUT(array) ((struct nl_out){ .buf = (array), .cap = sizeof(array), .seq = 1 })

/* Begin a request with its fixed body (NULL: zeros), and end it (sets its length). */
void nl_begin(struct nl_out *o, uint16_t type, uint16_t flags, const void *body, size_t len);
void nl_end(struct nl_out *o);
/* Attributes of the message being built. Numbers in host order, and big-endian ones. */
void nl_put(struct nl_out *o, uint16_t type, const void *data, size_t len);
void nl_put_u32(struct nl_out *o, uint16_t type, uint32_t value);
void nl_put_be32(struct nl_out *o, uint16_t type, uint32_t value);
void nl_put_be16(struct nl_out *o, uint16_t type, uint16_t value);
void nl_put_text(struct nl_out *o, uint16_t type, const char *text); /* with its NUL */
/* A nested attribute: size_t at = nl_nest(o, TYPE); ...; nl_nest_end(o, at); */
size_t nl_nest(struct nl_out *o, uint16_t type);
void nl_nest_end(struct nl_out *o, size_t at);

/* PURE: walk messages and attributes. next: the following one that lies whole within
 * [*at, end), or NULL; *at moves on. */
const struct nlmsghdr *nl_next(const uint8_t **at, const uint8_t *end);
/* Body of a message behind a fixed header of `fixed` bytes: its attributes. */
const uint8_t *nl_attrs(const struct nlmsghdr *m, size_t fixed, const uint8_t **end);
const struct nlattr *nl_attr_next(const uint8_t **at, const uint8_t *end);
static inline uint16_t nl_attr_type(const struct nlattr *a) {
    return (uint16_t)(a->nla_type & ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER));
}
static inline const void *nl_attr_data(const struct nlattr *a) { return a + 1; }
static inline size_t nl_attr_len(const struct nlattr *a) { return a->nla_len - sizeof *a; }
bool nl_attr_u32(const struct nlattr *a, uint32_t *out); /* false: another length */

/* A socket of NETLINK_ROUTE or NETLINK_NETFILTER. The fd, which the caller owns, or -errno. */
int nl_open(int protocol);

/* Send what was built and take one acknowledgement for each message that asked for one
 * (NLM_F_ACK). 0; the first error the kernel answered, negative, with its words in `e` (may
 * be NULL); -ETIMEDOUT; -ENOBUFS when the batch was cut. */
int nl_transact(int fd, const struct nl_out *o, struct err *e);

/* Send one request, a dump or one for a single thing with NLM_F_ACK (which marks the end
 * then), and hand each message of the answer to `take`. A dump that the kernel marks as
 * interrupted (NLM_F_DUMP_INTR) is -EAGAIN: ask again. 0 or -errno. */
int nl_dump(int fd, const struct nl_out *o, void (*take)(void *arg, const struct nlmsghdr *m),
            void *arg);

/* A non-blocking socket that hears these multicast groups (numbers, not bits), 0-terminated. */
int nl_listen(int protocol, const int *groups);
/* Take all that waits there, and forget it. 1 when there was anything (also when the kernel
 * says it dropped some, ENOBUFS), 0 if not, -errno. */
int nl_drain(int fd);

#endif
