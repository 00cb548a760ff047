/* tcp:[HOST:]PORT — ready when the port accepts a connection. */
#include <stdio.h>

#include "base/own.h"
#include "probes/attempt.h"
#include "probes/kinds.h"

int check_tcp(struct probe_spec *spec, const char *given, struct err *e) {
    struct endpoint to;
    (void)snprintf(spec->arg, sizeof spec->arg, "%s", given);
    return endpoint_parse(&to, given, "tcp", 0, HOST_OPTIONAL, e);
}

int probe_tcp(const struct probe_spec *spec, instant deadline, struct err *e) {
    struct endpoint to;
    struct address all[MAX_PROBE_ADDRS];
    int n = endpoint_parse(&to, spec->arg, "tcp", 0, HOST_OPTIONAL, e);
    if (n == 0)
        n = address_find(all, &to, deadline, e);
    if (n < 0)
        return n;
    AUTO_FD int fd = dial_any(all, (size_t)n, true, deadline, e);
    return fd < 0 ? fd : 0;
}
