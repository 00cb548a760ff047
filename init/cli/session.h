/* session.h — this process in a job's place: stdin, stdout, stderr, signals, the terminal's size,
 * and at the end its status. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/client.h"
#include "cli/terminal.h"

struct session_args {
    const char *host;        /* for requests beside the stream */
    const char *detach_keys; /* as in --detach-keys; NULL: ctrl-p,ctrl-q */
    bool input;              /* pass stdin on, where the job takes it */
    bool owner;              /* the job ends with the connection */
};

/* The fields of a request whose answer is a stream of frames; its upgrade is FRAME_PROTOCOL. */
#define SESSION_FIELDS "Accept: " FRAME_MEDIA_TYPE "\r\n"

/* Live the job's life until it ends, over a connection that was upgraded. The exit status: the
 * job's, 128+n for a signal, 124 when its time was over, CLI_CHANNEL when the connection was lost;
 * 0 after the detach keys. The terminal is as before when this returns. */
int session_run(struct client *c, const struct session_args *args);

/* What an ended job is as an exit status; `end` is its member of that name. */
int session_status(yyjson_val *end);

/* One frame of output to stdout or stderr, all of it. 0 or -errno. */
int session_print(int fd, const char *bytes, size_t n);

#endif
