/* ignored.h — what git ignores in a directory, asked of git itself, as a job.
 */
#ifndef CHANNEL_CLOUDFLARE_IGNORED_H
#define CHANNEL_CLOUDFLARE_IGNORED_H

#include "channel/cloudflare/cloudflare.h"

struct cf_ignored {
    /* The owner's. `fault`: why it is not known, in words; NULL: it is. */
    void (*done)(struct cf_ignored *g, const char *fault);
    const char **patterns; /* base/glob.h; one block, owned; NULL: nothing */
    size_t n;              /* of them */
    /* private */
    struct job_reader reader;
    char *heard; /* what git has said; owned */
    size_t nheard, cap;
    bool too_much;
    char error[256]; /* the beginning of what it said of an error */
    size_t nerror;
};

/* Begin; done() is called once, also before this returns. A directory that is in no repository
 * ignores nothing. */
void cf_ignored_begin(struct cf_ignored *g, struct channel *ch, const char *dir, const char *user);
void cf_ignored_stop(struct cf_ignored *g); /* idempotent; the zero value will do */

#endif
