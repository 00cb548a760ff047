/* metrics.h — the box in the Prometheus text format, version 0.0.4. PURE. */
#ifndef CHANNEL_METRICS_H
#define CHANNEL_METRICS_H

#include "channel/channel.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_text(const struct channel *ch, struct text *t);

#endif
