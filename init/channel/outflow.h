/* outflow.h — an answer whose body a fork writes into a pipe: for what reads /proc or files, which
 * may block. The fork's exit status 0 says that the body is whole; else the connection is cut.
 */
#ifndef CHANNEL_OUTFLOW_H
#define CHANNEL_OUTFLOW_H

#include "channel/channel.h"

/* What the fork runs: write to `fd`; `arg` as it was given. Its exit status. */
typedef int outflow_run(int fd, void *arg);

/* Begin a 200 answer of this media type. False: out of something; nothing has been answered. `arg`
 * has to live only until this returns. Sets x->handler and x->ctx. */
bool outflow_begin(struct http_exchange *x, const char *type, outflow_run *run, void *arg);

/* In the fork: write all of it. False: the reader has gone. */
bool outflow_write(int fd, const char *bytes, size_t n);

#endif
