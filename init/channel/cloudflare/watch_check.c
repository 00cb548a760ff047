/* watch_check.c — POST /api/watch/check: has anything changed since? A watch counts, for as long as
 * it is asked now and then.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/own.h"
#include "channel/cloudflare/session.h"
#include "channel/cloudflare/watch.h"

enum {
    VERSION = CF_WATCH_ID + 24,
    DESCRIBED = 1024 + MAX_CF_PATTERNS * (GLOB_MAX + 2), /* bytes of all but a path */
};

struct check {
    struct link link; /* in cf_state.checks */
    struct channel *channel;
    struct cf_watching w;
    struct timer idle;
    struct link waiting; /* requests that wait for it to be on */
    char *what;          /* what is watched, as one text; owned */
    char id[CF_WATCH_ID];
    uint64_t count; /* of events */
};

struct waiting {
    struct link link; /* in check.waiting */
    struct check *check;
    struct http_exchange *x;
    char *path;          /* as asked for; owned */
    char since[VERSION]; /* "": none */
};

/* --- its life --------------------------------------------------------------------------------- */

static void check_free(struct check *c) {
    cf_watching_stop(&c->w);
    timer_stop(&c->idle);
    list_remove(&c->link);
    free(c->what);
    free(c);
}

static void idle_over(struct timer *t) { check_free(CONTAINER_OF(t, struct check, idle)); }

/* Not from within a callback of its watch. */
static void free_soon(struct check *c) {
    list_remove(&c->link); /* nobody finds it any more */
    timer_arm(&c->channel->loop, &c->idle, (span){ 0 });
}

static struct check *find(struct channel *ch, const char *what) {
    struct link *all = &ch->cloudflare.checks;
    for (struct link *l = all->next; l != all; l = l->next) {
        struct check *c = CONTAINER_OF(l, struct check, link);
        if (strcmp(c->what, what) == 0)
            return c;
    }
    return NULL;
}

/* --- answers ---------------------------------------------------------------------------------- */

/* "unchanged", "changed"; else "resync", and *reason says why nobody knows. */
static const char *status_of(const struct check *c, const char *since, const char **reason) {
    char version[VERSION];
    size_t id = strlen(c->id), boot = (size_t)(strrchr(c->id, '-') - c->id) + 1;
    *reason = NULL;
    (void)snprintf(version, sizeof version, "%s:%" PRIu64, c->id, c->count);
    if (!*since || strcmp(since, version) == 0)
        return "unchanged";
    if (strncmp(since, c->id, id) == 0 && since[id] == ':')
        return "changed";
    *reason = strncmp(since, c->id, boot) == 0 ? "expired" : "restarted";
    return "resync";
}

static void answer(struct check *c, struct http_exchange *x, const char *since) {
    char buf[512], version[VERSION];
    struct text t = TEXT(buf);
    const char *reason;
    cf_put(&t, "status", status_of(c, since, &reason));
    (void)snprintf(version, sizeof version, "%s:%" PRIu64, c->id, c->count);
    cf_put(&t, "version", version);
    if (reason)
        cf_put(&t, "reason", reason);
    timer_arm(&c->channel->loop, &c->idle, span_s(CF_CHECK_S));
    cf_ok(x, &t);
}

static struct waiting *next_waiting(struct check *c) {
    if (list_empty(&c->waiting))
        return NULL;
    struct waiting *w = CONTAINER_OF(c->waiting.next, struct waiting, link);
    list_remove(&w->link);
    return w;
}

static void begun(struct cf_watching *w) {
    struct check *c = CONTAINER_OF(w, struct check, w);
    for (struct waiting *n; (n = next_waiting(c));)
        answer(c, n->x, n->since);
}

static bool event(struct cf_watching *w, const char *type, bool is_dir, struct slice path) {
    (void)type, (void)is_dir, (void)path;
    CONTAINER_OF(w, struct check, w)->count++;
    return true;
}

static void ended(struct cf_watching *w) {
    struct check *c = CONTAINER_OF(w, struct check, w);
    for (struct waiting *n; (n = next_waiting(c));)
        cf_watching_fail(n->x, w, n->path);
    free_soon(c);
}

/* --- requests --------------------------------------------------------------------------------- */

static void waiting_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct waiting *w = x->ctx;
    list_remove(&w->link);
    free(w->path);
    free(w);
}
static const struct http_handler waiting_handler = { .over = waiting_over };

/* All that makes one watch another, in one text; to be freed. */
static char *describe(const struct cf_watch_ask *a, const char *user) {
    size_t cap = strlen(a->absolute) + DESCRIBED;
    char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf)
        return NULL;
    text_add(&t, "%s\n%d %u %s", a->absolute, a->recursive, a->events, user ? user : "");
    for (const char **p = a->include; p && *p; p++)
        text_add(&t, "\n+%s", *p);
    for (const char **p = a->exclude; p && *p; p++)
        text_add(&t, "\n-%s", *p);
    return buf;
}

static struct check *check_new(struct channel *ch, const char *what) {
    struct check *c = calloc(1, sizeof *c);
    char *copy = c ? strdup(what) : NULL;
    if (!copy) {
        free(c);
        return NULL;
    }
    c->channel = ch;
    c->what = copy;
    c->w.begun = begun;
    c->w.event = event;
    c->w.ended = ended;
    c->idle.fire = idle_over;
    cf_watch_id(ch, c->id);
    list_init(&c->waiting);
    list_insert_before(&ch->cloudflare.checks, &c->link);
    timer_arm(&ch->loop, &c->idle, span_s(CF_CHECK_S));
    return c;
}

static bool wait_for(struct check *c, struct http_exchange *x, const char *path,
                     const char *since) {
    struct waiting *w = calloc(1, sizeof *w);
    if (w)
        w->path = strdup(path);
    if (!w || !w->path) {
        free(w);
        cf_no_memory(x, "a watch");
        return false;
    }
    w->x = x;
    w->check = c;
    (void)snprintf(w->since, sizeof w->since, "%s", since);
    list_insert_before(&c->waiting, &w->link);
    x->ctx = w;
    x->handler = &waiting_handler;
    return true;
}

static void check(struct http_exchange *x, const struct cf_watch_ask *a, const char *since) {
    struct channel *ch = channel_of(x);
    const char *user = cf_user(x);
    AUTO_FREE char *what = describe(a, user);
    struct check *c = what ? find(ch, what) : NULL;
    bool made = what && !c;
    if (c)
        lines_more(&c->w.lines); /* what has come in this turn */
    if (c && c->w.on) {
        answer(c, x, since);
        return;
    }
    if (made)
        c = check_new(ch, what);
    if (!c) {
        cf_no_memory(x, "a watch");
        return;
    }
    bool waits = wait_for(c, x, a->path, since);
    if (made && waits)
        cf_watching_begin(&c->w, ch, a, user);
    else if (made)
        free_soon(c);
}

void cf_watch_check(struct http_exchange *x, yyjson_val *body) {
    struct cf_watch_ask a;
    if (cf_watch_take(&a, x, body)) {
        yyjson_val *v = yyjson_obj_get(body, "since");
        const char *since = yyjson_get_str(v), *colon = since ? strrchr(since, ':') : NULL;
        bool none = !v || yyjson_is_null(v);
        if (!none && (!colon || colon == since || strlen(since) >= VERSION ||
                      strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1]))
            cf_refuse_member(x, "since", "INVALID_VERSION",
                             "a version is needed, as an earlier check has told it");
        else
            check(x, &a, none ? "" : since);
    }
    cf_watch_release(&a);
}
