/* channel.h — what has to hold for a [channel NAME] as a whole. */
#ifndef CONF_CHANNEL_H
#define CONF_CHANNEL_H

#include "conf/conf.h"

/* Check the nth channel, also against those before it, and decide what is left to `auto`. 0 or
 * -EINVAL with a message that does not name it. */
int channel_finish(struct conf *c, size_t n, struct err *e);

#endif
