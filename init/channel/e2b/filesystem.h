/* filesystem.h — what the two halves of filesystem.Filesystem share. */
#ifndef CHANNEL_E2B_FILESYSTEM_H
#define CHANNEL_E2B_FILESYSTEM_H

#include "channel/e2b/rpc.h"

/* How Connect names what went wrong. */
enum e2b_code e2b_fault_code(const struct file_task *t);

/* {"name":...,...} as a member: ,"entry":{...}. */
void e2b_put_entry(struct text *t, const struct file_entry *e);

/* ,"metadata":{...} of file_entry.xattrs; nothing where there are none. */
void e2b_put_metadata(struct text *t, const char *xattrs);

#endif
