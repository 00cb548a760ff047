/* session.h — sessions of the Cloudflare dialect: a name, where its commands run, and a shell that
 * stays between them.
 */
#ifndef CHANNEL_CLOUDFLARE_SESSION_H
#define CHANNEL_CLOUDFLARE_SESSION_H

#include <limits.h>

#include "channel/cloudflare/cloudflare.h"
#include "channel/cloudflare/shell.h"

#define CF_WORKSPACE "/workspace"

enum {
    CF_MAX_SESSIONS = 256,       /* at once; 500 */
    CF_MAX_TIMEOUT_MS = 1 << 30, /* of a command; longer ones are that long */
};

struct cf_session {
    struct link link; /* in cf_state.sessions */
    struct channel *channel;
    char id[CF_SESSION_TEXT];
    char *cwd;        /* where its shell begins; owned */
    const char **env; /* NAME=value, NULL-terminated, for all its commands; one block, owned */
    span timeout;     /* of its commands; SPAN_NEVER */
    const char *user; /* whom they run as; NULL: as pinnace */
    uid_t uid;        /* the same */
    struct cf_shell shell;
};

struct cf_session_args {
    const char *id, *cwd;
    const char **env; /* becomes the session's, or is freed */
    span timeout;
    const char *user; /* lives as long as the channel */
};
/* NULL: no memory. */
struct cf_session *cf_session_new(struct channel *ch, const struct cf_session_args *a);
void cf_session_free(struct cf_session *s);
/* Write down, into its directory, what the next channel has to know of it. 0 or -errno. */
int cf_session_record(const struct cf_session *s, struct err *e);

/* The session of a request, made if there is none of this id. NULL, and it has been answered. */
struct cf_session *cf_session_of(struct http_exchange *x, yyjson_val *body);
/* The same for a command, where there need not be one: then *s is NULL. False, and it has been
 * answered. */
bool cf_session_for(struct http_exchange *x, yyjson_val *body, struct cf_session **s);
struct cf_session *cf_session_find(struct channel *ch, const char *id);

/* The variables that all commands are given; NULL-terminated. */
extern const char *const cf_least_env[];
/* The timeout of commands where nothing is said. */
span cf_default_timeout(const struct channel *ch);
/* Whom commands of this exchange run as; NULL: as pinnace. */
const char *cf_user(const struct http_exchange *x);
uid_t cf_uid(const char *user); /* may be NULL */
/* Where its shell begins: in the directory that was asked for, or, if that is none, at home. */
const char *cf_session_first_dir(const struct cf_session *s);

/* Where it is now: its shell's directory, or where that will begin. False: nobody can tell. */
bool cf_session_cwd(const struct cf_session *s, char out[PATH_MAX]);

/* `path` as the session's commands would find it: relative ones begin at its directory. The
 * session need not exist. False: longer than PATH_MAX. */
bool cf_session_path(struct channel *ch, const char *session_id, const char *path,
                     char out[PATH_MAX]);

#endif
