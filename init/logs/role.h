/* role.h — role log: everything services say, to the console and to bounded files.
 *
 * PID 1 holds both ends of every service's pipe. The role copies what is in a pipe with
 * tee(2), writes it out, and only then takes it off the pipe; how far it got is kept in
 * memory shared with its successor. So killing it loses no line, and no service ever
 * sees SIGPIPE: it waits in write(2) until the next one reads.
 *
 * The role also looks for what log and notify probes wait for, since it reads it anyway.
 */
#ifndef LOGS_ROLE_H
#define LOGS_ROLE_H

#include <stddef.h>
#include <stdint.h>

struct log_unit {
    const char *name;
    int pipe_fd;       /* read end, non-blocking; -1: this unit has none */
    int notify_fd;     /* datagram socket; -1 */
    const char *regex; /* of its log probe, or NULL */
    int target;        /* enum log_target */
};

/* Bytes at the head of each pipe that are written out but not yet taken off it. In memory
 * that outlives the role (MAP_SHARED); one entry a unit. */
struct log_progress {
    uint32_t written[1];
};

struct log_role {
    int sock; /* to PID 1 */
    const struct log_unit *units;
    size_t n;
    const char *dir; /* for NAME.log; NULL: no files */
    struct log_progress *progress;
};

/* Runs until PID 1 says quit and the pipes are empty. The exit status. */
int log_role_run(void *role);

#endif
