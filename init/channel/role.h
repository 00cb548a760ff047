/* role.h — role channel: the box's HTTP server, and the parent of its jobs.
 *
 * PID 1 opened the listening sockets and holds them, and what it takes for jobs to outlive this
 * process: see svc/wire.h. docs/CHANNEL.md says what is served.
 */
#ifndef CHANNEL_ROLE_H
#define CHANNEL_ROLE_H

#include "base/limits.h"
#include "channel/e2b/settings.h"
#include "conf/conf.h"

/* Memory that all channels share, one after the other: what is in it outlives each of them. */
struct channel_shared {
    struct e2b_memory e2b;
    char jobs[MAX_JOBS][JOB_RECORD_BYTES];
};

struct channel_role {
    int sock; /* to PID 1 */
    const struct channel_conf *const *channels;
    const int *listen; /* of channels[i]; -1: it could not be opened */
    size_t nchannels;
    struct channel_shared *shared;
    const char *run_dir;    /* NULL: there is none */
    const char *log_dir;    /* NULL: no log files */
    const char *const *env; /* of jobs, before their own */
    uint64_t sigmask;       /* of jobs, as the box was started; the next two likewise */
    bool sigchld_ignored;
    struct rlimit nofile;
};

/* Runs until PID 1 says quit. The exit status. */
int channel_role_run(void *role);

#endif
