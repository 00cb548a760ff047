/* service.h — pinnace's services as processes with a tag, their names: listed, and their logs
 * streamed to whoever connects to them. Starting and stopping them is not in the protocol.
 */
#ifndef CHANNEL_E2B_SERVICE_H
#define CHANNEL_E2B_SERVICE_H

#include "channel/e2b/process.h"

enum { SERVICES_BYTES = MAX_UNITS * 256 };
/* A ProcessInfo of each that runs, into the list; at most SERVICES_BYTES. */
void services_put(const struct channel *ch, struct text *t);

struct service_log;
/* Stream the log of the service that is named, what there is already if `replay`. It sends all
 * events, and ends the stream. NULL: there is none of this name or pid. */
struct service_log *service_log_begin(struct e2b_stream *s, const struct e2b_selector *which,
                                      bool replay);
void service_log_room(struct service_log *l);
void service_log_free(struct service_log *l); /* may be NULL */

#endif
