/* command.h — the body of a request that has a command, up to 128 MiB: taken apart as it comes.
 * The command goes where what commands print goes, which is a file when it is long; the other
 * members are little, are kept, and parsed in the end.
 */
#ifndef CHANNEL_CLOUDFLARE_COMMAND_H
#define CHANNEL_CLOUDFLARE_COMMAND_H

#include "channel/cloudflare/cloudflare.h"
#include "channel/cloudflare/output.h"

/* Read the body, then call `whole` with all of it but the command's bytes: the member is there, and
 * empty. It takes what it wants of *command, and sets x->handler and x->ctx anew. What is no JSON
 * object is answered here. */
void cf_read_command(struct http_exchange *x,
                     void (*whole)(struct http_exchange *x, yyjson_val *body,
                                   struct cf_output *command));

#endif
