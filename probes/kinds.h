/* kinds.h — the kinds of probes, one file each. Only probe.c calls these.
 *
 * Each makes one attempt that ends by `deadline`: 0 or -errno with a reason.
 */
#ifndef PROBES_KINDS_H
#define PROBES_KINDS_H

#include "probes/probe.h"

typedef int probe_fn(const struct probe_spec *spec, instant deadline, struct err *e);

probe_fn probe_exec, probe_tcp, probe_unix, probe_http, probe_docker, probe_dns, probe_file;

/* Check `given`, the text after "kind:" ("" if there was no colon), and fill in what
 * belongs to the kind. Pure. 0, or -EINVAL with a message that names what is allowed. */
typedef int probe_check_fn(struct probe_spec *spec, const char *given, struct err *e);

probe_check_fn check_exec, check_tcp, check_unix, check_http, check_docker, check_dns, check_file;

#endif
