/* probe.h — "is it ready?", asked once, answered yes or no with a reason.
 *
 *     struct probe_spec spec;
 *     if (probe_parse(&spec, "tcp:127.0.0.1:5432", &e) < 0) ...
 *     int rc = probe_run(&spec, instant_add(instant_now(), span_s(5)), &e);
 *
 * A kind is one blocking function. It always runs in a process of its own (a fork
 * of PID 1, or `pinnace probe`), so it can neither block nor crash PID 1, and it
 * may use whatever libc offers. It waits for what it can wait for (a socket file
 * to appear, a port to open, an answer to come) until `deadline`, so that the
 * answer is known the moment it is true; it never outlives the deadline.
 */
#ifndef PROBES_PROBE_H
#define PROBES_PROBE_H

#include <stdbool.h>

#include "base/err.h"
#include "base/limits.h"
#include "base/time.h"

/* One row per kind: enumerator, name, argument as shown in help, what ready means. */
#define PROBE_KINDS(X)                                                                   \
    X(PROBE_EXEC, "exec", "CMD", "the command exits 0")                                  \
    X(PROBE_TCP, "tcp", "[HOST:]PORT", "the port accepts a connection")                  \
    X(PROBE_UNIX, "unix", "PATH", "the socket accepts a connection")                     \
    X(PROBE_HTTP, "http", "URL [status=200-399] [body~TEXT]", "the answer is as wanted") \
    X(PROBE_DOCKER, "docker", "[:SOCKET]", "the engine answers GET /_ping")              \
    X(PROBE_DNS, "dns", "NAME[@SERVER[:PORT]]", "the name resolves")                     \
    X(PROBE_FILE, "file", "PATH", "the file exists")                                     \
    X(PROBE_LOG, "log", "REGEX", "the service has printed a line that matches")          \
    X(PROBE_NOTIFY, "notify", "", "the service has sent READY=1 to its NOTIFY_SOCKET")

#define PROBE_ENUMERATOR(id, name, arg, help) id,
enum probe_kind { PROBE_KINDS(PROBE_ENUMERATOR) PROBE_NKINDS };
#undef PROBE_ENUMERATOR

struct probe_spec {
    enum probe_kind kind;
    char text[MAX_PROBE_SPEC];  /* as written, for messages */
    char arg[MAX_PROBE_SPEC];   /* after "kind:"; for http the URL alone */
    int status_min, status_max; /* http; 200..399 unless given */
    char body[MAX_PROBE_SPEC];  /* http body~; "" when not asked for */
};

/* Pure: check everything that can be checked without looking at the machine (host
 * and port form, URL, regex syntax, absolute paths), so that `pinnace check` finds
 * it. 0, or -EINVAL with a message that names what is allowed. */
int probe_parse(struct probe_spec *spec, const char *text, struct err *e);

/* One attempt. 0: yes. -errno: no, with the reason in `e`; -ETIMEDOUT when the
 * deadline passed. Blocks until `deadline` at the latest. log and notify cannot be
 * asked from outside of PID 1's own services: -EOPNOTSUPP. */
int probe_run(const struct probe_spec *spec, instant deadline, struct err *e);

/* True for kinds that wait inside one attempt (unix, docker, file, tcp): while
 * starting they get one long attempt instead of many short ones. */
bool probe_waits(enum probe_kind kind);

/* "exec", "tcp", ...; static. */
const char *probe_kind_name(enum probe_kind kind);

/* `pinnace probe SPEC [--timeout 5s]`; argv without the leading words. Prints a line
 * with the reason. Exit status: 0 yes, 1 no, 2 usage. */
int probe_main(int argc, char **argv);

#endif
