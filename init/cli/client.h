/* client.h — asking a running pinnace. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stddef.h>

#include "base/err.h"
#include "base/time.h"

struct answer {
    int status; /* of HTTP */
    char *body; /* NUL-terminated; inside `bytes` */
    size_t len;
    char *bytes; /* owned */
};

/* GET `path` from $PINNACE_HOST (unix:///path.sock) or the socket in the run directory.
 * Blocks until `deadline`. 0 or -errno; -ENOENT and -ECONNREFUSED: no pinnace there. */
int client_get(const char *path, instant deadline, struct answer *out, struct err *e);
void answer_free(struct answer *a);

#endif
