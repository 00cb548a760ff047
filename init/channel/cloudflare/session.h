/* session.h — sessions of the Cloudflare dialect: a name, where its commands run, and a shell that
 * stays between them.
 */
#ifndef CHANNEL_CLOUDFLARE_SESSION_H
#define CHANNEL_CLOUDFLARE_SESSION_H

#include <limits.h>

#include "channel/cloudflare/cloudflare.h"

#define CF_WORKSPACE "/workspace"

enum { CF_MAX_SESSIONS = 256 }; /* at once; 500 */

struct cf_session {
    struct link link; /* in cf_state.sessions */
    struct channel *channel;
    char id[CF_SESSION_TEXT];
    char *cwd;        /* where its shell begins; owned */
    const char **env; /* NAME=value, NULL-terminated, for all its commands; one block, owned */
    span timeout;     /* of its commands; SPAN_NEVER */
};

/* The session of a request, made if there is none of this id. NULL, and it has been answered. */
struct cf_session *cf_session_of(struct http_exchange *x, yyjson_val *body);
struct cf_session *cf_session_find(struct channel *ch, const char *id);

/* Where it is now: its shell's directory, or where that will begin. False: nobody can tell. */
bool cf_session_cwd(const struct cf_session *s, char out[PATH_MAX]);

/* `path` as the session's commands would find it: relative ones begin at its directory. The
 * session need not exist. False: longer than PATH_MAX. */
bool cf_session_path(struct channel *ch, const char *session_id, const char *path,
                     char out[PATH_MAX]);

#endif
