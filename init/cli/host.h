/* host.h — where a pinnace listens, as people write it, and the way there. */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include "base/time.h"
#include "probes/parse.h"

enum { HOST_TEXT = 300 };

enum host_kind { HOST_UNIX, HOST_TCP, HOST_VSOCK };

struct host {
    enum host_kind kind;
    char text[HOST_TEXT];     /* for messages: what was given, or the path of the socket */
    char path[UNIX_PATH_CAP]; /* UNIX; VSOCK by way of a VMM's socket, else "" */
    struct endpoint to;       /* TCP */
    unsigned cid, port;       /* VSOCK */
};

/* PURE. "unix:///path", "tcp://host:port", "tcp://[::1]:80", "vsock://3:1024", and
 * "vsock:///path:1024" for the vsock that Firecracker has as a unix socket; -EINVAL. */
int host_parse(struct host *out, const char *text, struct err *e);

/* `given` (--host), else $PINNACE_HOST, else the socket in the run directory: -ENOENT when there
 * is none. */
int host_find(struct host *out, const char *given, struct err *e);

/* Connect: a descriptor of the caller's. -ENOENT, -ECONNREFUSED: nobody is there; -EACCES;
 * -ETIMEDOUT; each told in words with what helps. */
int host_dial(const struct host *h, instant deadline, struct err *e);

#endif
