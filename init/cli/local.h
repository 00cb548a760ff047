/* local.h — files on this side, by the same worker that does those of the box: as careful with
 * links and names of an archive, and as whole or not at all.
 */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include "channel/files/worker.h"

struct local {
    pid_t pid;   /* 0: none */
    int control; /* owned, -1 */
    int data;    /* its content, to be read or written; owned, -1 */
    struct file_report report;
};

/* Begin, in a child; relative paths begin at the current directory. 0 once the content can flow, or
 * -errno. local_end() in any case. */
int local_begin(struct local *l, const struct file_req *r, struct err *e);

/* No more content flows: `whole`: what has gone in is all there is to it; else it is undone. 0, or
 * -errno with what the worker says of it. Once. */
int local_end(struct local *l, bool whole, struct err *e);

#endif
