/* terminal.h — terminals of the Cloudflare dialect: one for each session, seen through WebSockets.
 */
#ifndef CHANNEL_CLOUDFLARE_TERMINAL_H
#define CHANNEL_CLOUDFLARE_TERMINAL_H

#include "channel/cloudflare/cloudflare.h"

/* GET /ws/pty */
void cf_terminal(struct http_exchange *x, yyjson_val *body);
/* The session is no more: hang up its terminal, if it has one. */
void cf_terminal_hang_up(struct channel *ch, const char *session_id);

#endif
