/* top.h — every process of the box, and whose it is. In a fork: it reads /proc. */
#ifndef CHANNEL_TOP_H
#define CHANNEL_TOP_H

#include "channel/channel.h"

/* Begin to answer with {"processes":[...]}, see docs/openapi.yaml. False: out of something; nothing
 * has been answered. */
bool top_begin(struct http_exchange *x);

#endif
