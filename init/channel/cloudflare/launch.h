/* launch.h — a command in a shell of its own, a job, which begins as the session's shell is now.
 */
#ifndef CHANNEL_CLOUDFLARE_LAUNCH_H
#define CHANNEL_CLOUDFLARE_LAUNCH_H

#include "channel/cloudflare/hold.h"
#include "channel/cloudflare/session.h"

struct cf_run;

struct cf_launch {
    struct cf_session *session;       /* NULL: none, or it has started: the session may go then */
    char session_id[CF_SESSION_TEXT]; /* "": none */
    const struct cf_output *command;  /* lives until it has started */
    const char **env;                 /* of this command only; owned, one block; NULL */
    char *cwd;                        /* owned; NULL: the session's */
    char id[JOB_TEXT];                /* of its process */
    bool alone;                       /* no process to be listed */
    int64_t limit_ms;                 /* until all of it is killed; 0: never */
    /* Called once, from the loop, or without a session from within cf_launch(): the job, which
     * is starting and has to be attached to now; NULL: `why`. */
    void (*started)(struct cf_launch *l, struct job *j, const char *why);
    bool deleted; /* why: the session was */
    /* private */
    struct channel *channel;
    const char *user;
    struct http_exchange *x;
    struct cf_run *run;  /* that asks the shell for its state */
    struct cf_wait wait; /* for the box, where no session was made that has waited */
};

/* What a body says of its command: env (NULL: none) and cwd (NULL: none), owned by the caller.
 * False, and it has been answered: there is no command, or it is no text; or one of these. */
bool cf_take_around(struct http_exchange *x, yyjson_val *body, const char ***env, char **cwd);
/* False, and it has been answered: there is none. */
bool cf_has_command(struct http_exchange *x, const struct cf_output *command);

/* Take what the body of a request asks for: env, cwd, and processId or a new one; the command is
 * set. False, and it has been answered; then and in the end, cf_launch_release(). */
bool cf_launch_take(struct cf_launch *l, struct http_exchange *x, yyjson_val *body);
/* Go: after the commands that the session (NULL: none) has been given before. */
void cf_launch(struct cf_launch *l, struct cf_session *session);
/* If it has not started, it will not. */
void cf_launch_release(struct cf_launch *l);

#endif
