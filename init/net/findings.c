/* PURE: no I/O. */
#include "net/findings.h"

#include <stdarg.h>
#include <stdio.h>

void findings_add(struct findings *f, enum log_level level, const char *fmt, ...) {
    if (f->n == NET_MAX_FINDINGS)
        return;
    struct net_finding *new = &f->v[f->n++];
    new->level = level;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(new->text, sizeof new->text, fmt, ap);
    va_end(ap);
}
