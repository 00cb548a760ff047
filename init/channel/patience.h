/* patience.h — how long a job waits for a client that reads too slowly. A slow one slows it down,
 * as a pipe would. One that has stopped reading does so only for a while: then the job goes on, and
 * the client misses something.
 */
#ifndef CHANNEL_PATIENCE_H
#define CHANNEL_PATIENCE_H

#include "channel/jobs/job.h"

struct patience {
    struct job_reader *reader; /* lossless, until it is over */
    struct timer timer;
};

void patience_init(struct patience *p, struct job_reader *r);
/* The client has taken something (`moved`), or there is no room for more (`full`). */
void patience_watch(struct patience *p, bool moved, bool full);
void patience_stop(struct patience *p);

#endif
