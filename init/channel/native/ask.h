/* ask.h — the JSON that starts a job, made into a job_spec. */
#ifndef CHANNEL_NATIVE_ASK_H
#define CHANNEL_NATIVE_ASK_H

#include <yyjson.h>

#include "base/str.h"
#include "channel/jobs/job.h"

struct job_ask {
    struct job_spec spec; /* its pointers go into the JSON document, and into these: */
    bool detach;
    const char **words; /* owned; NULL-terminated: spec.argv */
    const char **env;   /* owned */
    char *env_text;     /* owned */
};

/* 0 or -errno with a message that names the member. `detach` is what it is when nothing is said. To
 * be released also after a failure. */
int job_ask_parse(struct job_ask *a, yyjson_val *body, bool detach, struct err *e);
void job_ask_release(struct job_ask *a);

/* A job as JSON, docs/CHANNEL.md. */
void job_json(const struct job *j, instant now, struct text *t);
enum { JOB_JSON_MAX = 8192 }; /* bytes it never needs more than, without a NUL */

#endif
