/* shell.h — a session's shell: a job, the directory of files by which it is driven, and what is to
 * be run in it.
 */
#ifndef CHANNEL_CLOUDFLARE_SHELL_H
#define CHANNEL_CLOUDFLARE_SHELL_H

#include <limits.h>

#include "channel/cloudflare/dir.h"
#include "channel/cloudflare/frame.h"
#include "channel/jobs/job.h"

struct cf_session;
struct cf_run;

enum {
    CF_STATES = 8
}; /* of its state as it was printed, kept for those who are about to read it */

struct cf_shell {
    struct job_reader reader; /* .job: the shell; NULL: none */
    struct job_input input;
    char dir[CF_DIR_TEXT];
    int dir_fd; /* -1: not made yet */
    bool bash;
    struct source control; /* the FIFO; fd -1: none */
    char heard[64];        /* of a line of it */
    size_t nheard;
    char *frame; /* on its way into the shell; owned; NULL */
    size_t frame_at, frame_len;
    struct link runs; /* struct cf_run; the first one is running if `busy` */
    bool busy;
    bool saved;                 /* the next shell begins with what this one has left */
    bool changed;               /* something has run since its state was printed, if ever */
    uint64_t states[CF_STATES]; /* serials of its printed states, the newest first; 0: none */
};

void cf_shell_init(struct cf_session *s);
/* End it, and whatever it has started; who waits is told. */
void cf_shell_end(struct cf_session *s);
/* Begin it, so that the first command need not wait for that. */
void cf_shell_warm(struct cf_session *s);
/* Take up one that an earlier channel has begun; its directory is set. False: it cannot be. */
bool cf_shell_resume(struct cf_session *s, struct job *j);
/* Where it is; false: there is none, or it cannot be told. */
bool cf_shell_cwd(const struct cf_shell *sh, char out[PATH_MAX]);
/* Run what waits, if it is idle. */
void cf_shell_next(struct cf_session *s);

#endif
