/* session.c — sessions: made, found, listed, deleted. */
#include "channel/cloudflare/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/cloudflare/hold.h"
#include "channel/cloudflare/process.h"
#include "channel/cloudflare/terminal.h"
#include "channel/gate.h"
#include "sys/user.h"

void cf_state_init(struct channel *ch) {
    list_init(&ch->cloudflare.sessions);
    list_init(&ch->cloudflare.drains);
    list_init(&ch->cloudflare.checks);
    ch->cloudflare.scripts = -1;
    ch->cloudflare.serial = (uint64_t)cf_unix_ms() * 1000; /* another one than before a restart */
}

struct cf_session *cf_session_find(struct channel *ch, const char *id) {
    struct link *head = &ch->cloudflare.sessions;
    for (struct link *l = head->next; l != head; l = l->next) {
        struct cf_session *s = CONTAINER_OF(l, struct cf_session, link);
        if (strcmp(s->id, id) == 0)
            return s;
    }
    return NULL;
}

void cf_session_free(struct cf_session *s) {
    cf_shell_end(s);
    cf_processes_end(s->channel, s->id);
    cf_terminal_hang_up(s->channel, s->id);
    list_remove(&s->link);
    s->channel->cloudflare.nsessions--;
    free(s->cwd);
    free(s->env);
    free(s);
}

span cf_default_timeout(const struct channel *ch) {
    const char *text = cf_env_value(ch, "COMMAND_TIMEOUT_MS");
    char *end = NULL;
    long long ms = text ? strtoll(text, &end, 10) : 0;
    return ms > 0 && *end == '\0' && ms < CF_MAX_TIMEOUT_MS ? span_ms(ms) : SPAN_NEVER;
}

const char *cf_user(const struct http_exchange *x) {
    const char *user = CONTAINER_OF(x->site, struct gate, site)->conf->user;
    return user && *user ? user : NULL;
}

/* Of one that there is not, the shell will say so. */
uid_t cf_uid(const char *user) {
    struct identity id;
    return user && find_identity(user, &id) == 0 ? id.uid : geteuid();
}

struct cf_session *cf_session_new(struct channel *ch, const struct cf_session_args *a) {
    struct cf_state *all = &ch->cloudflare;
    struct cf_session *s = calloc(1, sizeof *s);
    char *dir = strdup(a->cwd);
    if (!s || !dir) {
        free(s);
        free(dir);
        free(a->env);
        return NULL;
    }
    s->channel = ch;
    (void)snprintf(s->id, sizeof s->id, "%s", a->id);
    s->cwd = dir;
    s->env = a->env;
    s->timeout = a->timeout;
    s->user = a->user;
    s->uid = cf_uid(s->user);
    cf_shell_init(s);
    list_insert_before(&all->sessions, &s->link);
    all->nsessions++;
    return s;
}

/* NULL, and it has been answered. */
static struct cf_session *session_make(struct http_exchange *x, const struct cf_session_args *a) {
    struct channel *ch = channel_of(x);
    if (ch->cloudflare.nsessions >= CF_MAX_SESSIONS) {
        free(a->env);
        cf_fail(x, CF_INTERNAL_ERROR, NULL,
                "there are %d sessions, and no more can be: delete some", CF_MAX_SESSIONS);
        return NULL;
    }
    struct cf_session *s = cf_session_new(ch, a);
    if (!s)
        cf_no_memory(x, "a session");
    return s;
}

/* What all commands are given (the package's own server sets the same). */
const char *const cf_least_env[] = { "SANDBOX_STARTED=true", "LANG=C.UTF-8", "LC_ALL=C.UTF-8",
                                     NULL };

struct cf_session *cf_session_of(struct http_exchange *x, yyjson_val *body) {
    char id[CF_SESSION_TEXT];
    struct channel *ch = channel_of(x);
    if (!cf_session_id(x, body, id))
        return NULL;
    struct cf_session *s = cf_session_find(ch, id);
    if (s)
        return s;
    struct cf_session_args a = { .id = id,
                                 .cwd = CF_WORKSPACE,
                                 .env = cf_env(x, NULL, cf_least_env),
                                 .timeout = cf_default_timeout(ch),
                                 .user = cf_user(x) };
    return a.env ? session_make(x, &a) : NULL;
}

bool cf_session_for(struct http_exchange *x, yyjson_val *body, struct cf_session **s) {
    char id[CF_SESSION_TEXT];
    *s = NULL;
    if (!cf_session_id(x, body, id))
        return false;
    if (strcmp(id, CF_NO_SESSION) == 0)
        return true;
    *s = cf_session_of(x, body);
    return *s != NULL;
}

/* --- where it is ------------------------------------------------------------------------------ */

static bool is_dir(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where a shell begins that was told to begin at `wanted`. */
static const char *first_dir(const struct channel *ch, const char *wanted) {
    const char *home = cf_env_value(ch, "HOME");
    return is_dir(wanted) ? wanted : home && is_dir(home) ? home : is_dir("/root") ? "/root" : "/";
}

const char *cf_session_first_dir(const struct cf_session *s) {
    return first_dir(s->channel, s->cwd);
}

bool cf_session_cwd(const struct cf_session *s, char out[PATH_MAX]) {
    if (cf_shell_cwd(&s->shell, out))
        return true;
    const char *dir = first_dir(s->channel, s->cwd);
    return snprintf(out, PATH_MAX, "%s", dir) < PATH_MAX;
}

bool cf_session_path(struct channel *ch, const char *session_id, const char *path,
                     char out[PATH_MAX]) {
    const struct cf_session *s = cf_session_find(ch, session_id);
    char dir[PATH_MAX] = "";
    if (*path == '/')
        return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    if (s && !cf_session_cwd(s, dir))
        return false;
    return snprintf(out, PATH_MAX, "%s/%s", s ? dir : first_dir(ch, CF_WORKSPACE), path) < PATH_MAX;
}

/* --- routes ----------------------------------------------------------------------------------- */

static const char *placement(const struct channel *ch) {
    return cf_env_value(ch, "CLOUDFLARE_PLACEMENT_ID");
}

static void made_id(char out[CF_SESSION_TEXT]) {
    unsigned char r[6] = { 0 };
    (void)getrandom(r, sizeof r, 0);
    (void)snprintf(out, CF_SESSION_TEXT, "session_%lld_%02x%02x%02x%02x%02x%02x",
                   (long long)cf_unix_ms(), r[0], r[1], r[2], r[3], r[4], r[5]);
}

static void created(struct http_exchange *x, char *kept) {
    size_t n = kept ? strlen(kept) : 0;
    struct text t = { .buf = kept, .cap = n + 1, .len = n };
    if (kept)
        cf_ok(x, &t);
    else
        cf_no_memory(x, "an answer");
}

static void create(struct http_exchange *x, yyjson_val *body, const char *id) {
    struct channel *ch = channel_of(x);
    char buf[6 * CF_SESSION_TEXT + 4096];
    struct text t = TEXT(buf);
    const char *cwd = cf_text(body, "cwd");
    int64_t ms = cf_number(body, "commandTimeoutMs", 0, CF_MAX_TIMEOUT_MS, 0);
    struct cf_session_args a = { .id = id,
                                 .cwd = cwd && *cwd ? cwd : CF_WORKSPACE,
                                 .env = cf_env(x, yyjson_obj_get(body, "env"), cf_least_env),
                                 .timeout = ms > 0 ? span_ms(ms) : cf_default_timeout(ch),
                                 .user = cf_user(x) };
    struct cf_session *s = a.env ? session_make(x, &a) : NULL;
    if (!s)
        return;
    cf_shell_warm(s);
    text_add(&t, "\"data\":{");
    cf_put(&t, "id", id);
    text_add(&t, "}");
    cf_put(&t, "containerPlacementId", placement(ch));
    cf_hold(x, HOLD_SESSIONS, created, strdup(t.buf));
}

void cf_session_create(struct http_exchange *x, yyjson_val *body) {
    struct channel *ch = channel_of(x);
    char id[CF_SESSION_TEXT], buf[6 * CF_SESSION_TEXT + 4096];
    struct text t = TEXT(buf);
    struct slice asked = cf_bytes(body, "id");
    if (!asked.n)
        made_id(id);
    else if (!cf_session_name(x, asked, id))
        return;
    if (!cf_session_find(ch, id)) {
        create(x, body, id);
        return;
    }
    cf_put(&t, "sessionId", id);
    cf_put(&t, "containerPlacementId", placement(ch));
    cf_fail(x, CF_SESSION_ALREADY_EXISTS, &t, "Session '%s' already exists", id);
}

void cf_session_list(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    struct link *head = &channel_of(x)->cloudflare.sessions;
    size_t cap = 64 + channel_of(x)->cloudflare.nsessions * (6 * CF_SESSION_TEXT + 4);
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf) {
        cf_no_memory(x, "a list of sessions");
        return;
    }
    text_add(&t, "\"data\":[");
    for (struct link *l = head->next; l != head; l = l->next) {
        const struct cf_session *s = CONTAINER_OF(l, struct cf_session, link);
        cf_comma(&t);
        text_json(&t, s->id, strlen(s->id));
    }
    text_add(&t, "]");
    cf_ok(x, &t);
}

void cf_session_delete(struct http_exchange *x, yyjson_val *body) {
    char buf[6 * CF_SESSION_TEXT + 64];
    struct text t = TEXT(buf);
    const char *id = cf_text(body, "sessionId");
    struct cf_session *s = id ? cf_session_find(channel_of(x), id) : NULL;
    if (!id || !*id) {
        cf_fail(x, CF_VALIDATION_FAILED, NULL, "Request validation failed: sessionId is needed");
        return;
    }
    if (strlen(id) < CF_SESSION_TEXT)
        cf_put(&t, "sessionId", id);
    if (!s) {
        cf_fail(x, CF_INTERNAL_ERROR, &t, "Session '%s' not found", id);
        return;
    }
    cf_session_free(s);
    cf_ok(x, &t);
}
