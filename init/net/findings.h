/* findings.h — what was found, and what is or can be done about it: for logs and doctor. */
#ifndef NET_FINDINGS_H
#define NET_FINDINGS_H

#include <stddef.h>

#include "base/log.h"

enum { NET_MAX_FINDINGS = 32 };

struct net_finding {
    enum log_level level; /* LOG_WARN: repaired, or not in full; LOG_ERROR: cannot be repaired */
    char text[300];
};

struct findings {
    struct net_finding v[NET_MAX_FINDINGS];
    size_t n; /* further ones are dropped */
};

/* One more; the text is cut to its field. */
__attribute__((format(printf, 3, 4))) void findings_add(struct findings *f, enum log_level level,
                                                        const char *fmt, ...);

#endif
