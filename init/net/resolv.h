/* resolv.h — PURE: resolv.conf(5), read and rewritten so that it can be put back.
 *
 * Our version of a file begins with a block of our own: a marked comment and the name servers
 * that answer for it. Each `nameserver` line of the original stands behind a mark, where it
 * stood. All else, search and options too, is as it was. So the file itself tells what it was,
 * even to a pinnace that was started after another one had been killed.
 */
#ifndef NET_RESOLV_H
#define NET_RESOLV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"
#include "base/limits.h"
#include "base/str.h"

enum { RESOLV_WORDS = 100 };

struct resolv {
    struct ip servers[MAX_UPSTREAMS]; /* the original ones, in order, each once */
    size_t n;
    size_t more;                                      /* servers past MAX_UPSTREAMS */
    size_t wrong;                                     /* nameserver lines whose address is none */
    bool ours;                                        /* begins with our block */
    struct ip by;                                     /* the first server of our block; none */
    char search[RESOLV_WORDS], options[RESOLV_WORDS]; /* of the last such line, cut; "" */
};

void resolv_parse(struct resolv *out, const char *text, size_t len);

/* The text with our block naming `by`, made from the original or from an older version of
 * ours. False, with out->cut set, when it does not fit. */
bool resolv_take(struct text *out, const char *text, size_t len, const struct ip *by);

/* The original, byte for byte, from a version of ours; any other text is copied. */
bool resolv_give_back(struct text *out, const char *text, size_t len);

#endif
