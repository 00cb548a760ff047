/* dir.h — private directories below the run directory, for what shells are to read. */
#ifndef CHANNEL_CLOUDFLARE_DIR_H
#define CHANNEL_CLOUDFLARE_DIR_H

#include <sys/types.h>

#include "base/err.h"
#include "channel/channel.h"
#include "channel/cloudflare/output.h"
#include "http/head.h"

enum { CF_DIR_TEXT = 192 }; /* bytes of such a path */

/* Make one, for `uid`, which nobody else can look into. Its descriptor and path; or -errno. */
int cf_dir_make(struct channel *ch, uid_t uid, char path[CF_DIR_TEXT], struct err *e);
/* Write a file into it, anew. 0 or -errno. */
int cf_dir_write(int dir, uid_t uid, const char *name, const char *bytes, size_t n, struct err *e);
/* The same of a command, after what stands before it. */
int cf_dir_write_command(int dir, uid_t uid, const char *name, struct slice before,
                         const struct cf_output *command, struct err *e);
/* Remove it with all its files; *dir is closed. */
void cf_dir_remove(int *dir, const char *path);
/* Where they all are; false: nowhere. */
bool cf_dir_folder(const struct channel *ch, char path[CF_DIR_TEXT]);

#endif
