/* run.h — a command in a session's own shell: waits for those before it, runs, and is told of.
 *
 *     struct cf_run *r = cf_run_new(s);      // then its fields, and done
 *     cf_run_submit(r);                      // done() is called from the loop, never from within
 *     cf_run_leave(r);                       // or: nobody waits for it any more
 */
#ifndef CHANNEL_CLOUDFLARE_RUN_H
#define CHANNEL_CLOUDFLARE_RUN_H

#include "channel/cloudflare/output.h"
#include "channel/cloudflare/session.h"

enum cf_run_how {
    CF_RUN_DONE,      /* status is the command's */
    CF_RUN_TIMED_OUT, /* all that it has started is being killed */
    CF_RUN_ENDED,     /* the shell has, with `status`: the next command gets another one */
    CF_RUN_DELETED,   /* the session was */
    CF_RUN_FAILED,    /* it never ran: `why` */
};

struct cf_run {
    struct cf_session *session;
    const struct cf_output *command; /* lives until it has begun */
    bool is_question;                /* there is no command: print the shell's state */
    const char **env;                /* of this command only: NAME=value; owned, one block; NULL */
    char *cwd;                       /* of this command only; owned; NULL */
    span timeout;                    /* from its beginning; the session's where nothing is said */
    void (*done)(struct cf_run *r);  /* then it is given back */
    void *arg;

    enum cf_run_how how;
    int status; /* as a shell says it: 128 and the signal */
    struct cf_output out, err;
    char why[320];
    /* private */
    struct link link; /* in cf_shell.runs */
    uint64_t serial;
    struct cf_pipe *pipes[2];
    struct timer limit;    /* its timeout */
    struct timer patience; /* until what was to end it is taken to have failed */
    struct timer mute;     /* between looks, once there is no output any more */
    struct job_since began;
    bool limited;  /* FRAME_LIMIT is there */
    bool given_up; /* it has timed out */
    bool pressed;  /* and did not end for being asked */
    bool asked;    /* its shell has something to read, that says nothing */
};

/* NULL: no memory. */
struct cf_run *cf_run_new(struct cf_session *s);
/* Takes it. */
void cf_run_submit(struct cf_run *r);
/* Nobody waits for it any more: what has not begun is dropped, what runs goes on. */
void cf_run_leave(struct cf_run *r);
/* A file that a shell can read to be as the session's is; "": as it was at its beginning. Of a
 * question that is done. */
void cf_run_state(const struct cf_run *r, char out[PATH_MAX]);

/* What an earlier channel has left to be run: ask the shell for its state, once it is free; and the
 * time of the command that it may still be running is kept. */
void cf_run_resume(struct cf_run *r);

/* --- for shell.c ------------------------------------------------------------------------------ */

/* Begin, in a shell that is idle. False: `why`. */
bool cf_run_begin(struct cf_run *r);
/* Its shell has ended for that it had timed out: what is left of it is killed, if it stays. */
void cf_run_left(const struct cf_run *r, struct job *j);
/* It is over, in whatever way: tell, and free it. */
void cf_run_end(struct cf_run *r, enum cf_run_how how, int status);
/* The same, from the loop: nothing had to be run for that. */
void cf_run_end_soon(struct cf_run *r, enum cf_run_how how);

#endif
