/* top.h — every process of the box, and whose it is. In a fork: it reads /proc. */
#ifndef CHANNEL_TOP_H
#define CHANNEL_TOP_H

/* outflow_run; `channel` is a struct channel. {"processes":[...]}, see docs/openapi.yaml. */
int top_write(int fd, void *channel);

#endif
