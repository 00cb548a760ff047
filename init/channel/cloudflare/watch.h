/* watch.h — POST /api/watch and /api/watch/check: what the two have in common. */
#ifndef CHANNEL_CLOUDFLARE_WATCH_H
#define CHANNEL_CLOUDFLARE_WATCH_H

#include "channel/cloudflare/files.h"
#include "channel/lines.h"

/* What is watched, as a request says it. */
struct cf_watch_ask {
    const char *path; /* as it was asked for */
    char absolute[PATH_MAX];
    bool recursive;
    unsigned events; /* bits of those that are told */
    const char **exclude,
        **include; /* NULL-terminated; the lists are owned, the texts the body's */
};
/* False, and it has been answered; in any case cf_watch_release(). */
bool cf_watch_take(struct cf_watch_ask *a, struct http_exchange *x, yyjson_val *body);
void cf_watch_release(struct cf_watch_ask *a);

/* A watch at work. Its worker writes a line for each event: a digit for its type, one that says
 * whether it is a directory, and the path as a JSON string. */
struct cf_watching {
    struct file_task task;
    struct lines lines;
    unsigned events;
    bool on, over;
    /* The owner's: it is on; an event (false: no room now, lines_more() then); it is over. */
    void (*begun)(struct cf_watching *w);
    bool (*event)(struct cf_watching *w, const char *type, bool is_dir, struct slice path);
    void (*ended)(struct cf_watching *w); /* w->task has a fault, unless what it watched is gone */
    /* private */
    bool finished, emptied;
};
/* Events were missed; it is told as a type. */
#define CF_WATCH_OVERFLOW "overflow"

/* Begin; what fails at once is told by ended() before this returns. */
void cf_watching_begin(struct cf_watching *w, struct channel *ch, const struct cf_watch_ask *a,
                       const char *user);
void cf_watching_stop(struct cf_watching *w); /* idempotent */
/* Answer what has kept it from being on. */
void cf_watching_fail(struct http_exchange *x, const struct cf_watching *w, const char *path);

/* Members that name a watch: "watch-BOOT-N". */
enum { CF_WATCH_ID = 48 };
void cf_watch_id(struct channel *ch, char out[CF_WATCH_ID]);

void cf_watch(struct http_exchange *x, yyjson_val *body);
void cf_watch_check(struct http_exchange *x, yyjson_val *body);

#endif
