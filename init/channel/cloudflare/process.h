/* process.h — processes of the Cloudflare dialect: jobs that have an id of theirs for a tag, and a
 * key that names their session.
 */
#ifndef CHANNEL_CLOUDFLARE_PROCESS_H
#define CHANNEL_CLOUDFLARE_PROCESS_H

#include "channel/cloudflare/cloudflare.h"

#define CF_SHELL_KEY   "cf-shell" /* job.key of a session's shell */
#define CF_EXEC_KEY    "cf-exec"  /* of a command without a session, which is no process */
#define CF_PROCESS_KEY "cf:"      /* of a process: what it begins with */

/* The key of a session's processes. */
void cf_process_key(const char *session, char out[JOB_TEXT]);
bool cf_is_process(const struct job *j);
/* The newest of this id; NULL. */
struct job *cf_process_find(struct channel *ch, const char *id);
/* The one that {id} names. NULL, and it has been answered. */
struct job *cf_process_of(struct http_exchange *x);
/* A session ends: end its processes. */
void cf_processes_end(struct channel *ch, const char *session);

/* How a job ended, as a shell says it: 128 and the signal; -1: nobody knows. */
int cf_exit_status(const struct job *j);
/* starting, running, completed, failed, killed, error */
const char *cf_process_status(const struct job *j);
/* The command as it was asked for, as far as it is kept; owned by the caller; NULL: no memory. */
char *cf_process_command(const struct job *j);

#endif
