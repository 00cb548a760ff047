/* pipe.h — FIFOs by which a session's shell and the channel talk. */
#ifndef CHANNEL_CLOUDFLARE_PIPE_H
#define CHANNEL_CLOUDFLARE_PIPE_H

#include "channel/channel.h"
#include "channel/cloudflare/output.h"

enum {
    CF_MAX_DRAINS = 512
}; /* pipes of those who print on after their command; the oldest is
    * closed */

/* What a command prints, into *into. */
struct cf_pipe;

struct cf_pipe_args {
    int dir;
    const char *name; /* of the FIFO that is made there */
    uid_t uid;        /* whose it is */
    struct cf_output *into;
    const char *hide;         /* a text to be taken out; NULL: none */
    void (*ended)(void *arg); /* everybody who had it open has closed it; not after its done */
    void *arg;
};
/* NULL: errno says why. */
struct cf_pipe *cf_pipe_new(struct channel *ch, const struct cf_pipe_args *a);
/* Has everybody who had it open closed it? Not before the first one has opened it. */
bool cf_pipe_ended(const struct cf_pipe *p);
/* The command is over: take what it has printed. Whoever is left and goes on printing is read from
 * to nowhere, until it ends. *p is NULL then. */
void cf_pipe_done(struct cf_pipe **p);
/* Print on, to nowhere; nothing more goes into *into. */
void cf_pipe_ignore(struct cf_pipe *p);

/* One that an earlier channel has made: read from it to nowhere. */
void cf_pipe_resume(struct channel *ch, int dir, const char *name);

/* A FIFO for messages, made anew or there already; read and write, non-blocking. The descriptor, or
 * -errno. */
int cf_fifo_open(int dir, const char *name, uid_t uid);

#endif
