/* git.h — POST /api/git/checkout. */
#ifndef CHANNEL_CLOUDFLARE_GIT_H
#define CHANNEL_CLOUDFLARE_GIT_H

#include "channel/cloudflare/cloudflare.h"

void cf_git_checkout(struct http_exchange *x, yyjson_val *body);

#endif
