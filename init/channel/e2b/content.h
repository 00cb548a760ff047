/* content.h — what the routes of /files share. */
#ifndef CHANNEL_E2B_CONTENT_H
#define CHANNEL_E2B_CONTENT_H

#include "channel/e2b/e2b.h"

/* What the query says of a file, and for whom it is asked. */
struct content_ask {
    char path[PATH_MAX]; /* "" */
    bool has_path;
    char user[E2B_USER_TEXT]; /* who it is to be for, by name */
};

/* Take the query apart and look whether it may be done: by the access token, or because the address
 * is signed for `operation`, "read" or "write". False, and it has been answered. */
bool content_ask(struct http_exchange *x, struct content_ask *a, const char *operation);

/* A parameter of the query, where a plus is a blank, into out[cap]; "" where there is none. 1; 0;
 * -1, and it has been answered: it is too long or broken. */
int content_param(struct http_exchange *x, const char *key, char *out, size_t cap);

/* The answer to what has gone wrong with a task. */
void content_fail(struct http_exchange *x, const struct file_task *t, const char *user);

/* {"name":...,"path":...,"type":"file","metadata":{...}}: what is told of a file that was written.
 */
void content_entry(const struct file_entry *e, size_t index, struct text *out);

#endif
