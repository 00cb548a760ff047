#include "channel/gate.h"

#include <errno.h>
#include <pwd.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "sys/file.h"

enum { MAX_TOKEN = 4096 }; /* bytes; a longer one in a file shuts the gate, in a request is wrong */

/* --- at start --------------------------------------------------------------------------------- */

static void digest(const char *token, size_t n, unsigned char out[32]) {
    SHA2_CTX c;
    SHA256Init(&c);
    SHA256Update(&c, (const unsigned char *)token, n);
    SHA256Final(out, &c);
}

static int read_token(struct gate *g, struct err *e) {
    const struct channel_conf *c = g->conf;
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    int rc = 0;
    if (c->token) {
        digest(c->token, strlen(c->token), g->token);
        return 0;
    }
    rc = file_read(c->token_file, MAX_TOKEN, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, "token-file");
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n == 0)
        return err_set(e, EINVAL, "token-file %s is empty: write a long random word into it",
                       c->token_file);
    digest(text, n, g->token);
    return 0;
}

static void find_users(struct gate *g) {
    for (char **u = g->conf->users; u && *u; u++) {
        unsigned uid = 0;
        bool number = parse_uint(*u, 0, UINT32_MAX - 1, &uid, NULL) == 0;
        const struct passwd *pw = number ? NULL : getpwnam(*u);
        if (!number && !pw)
            log_warn("channel", "[channel %s] users: there is no user '%s'", g->conf->name, *u);
        else if (g->nusers < MAX_GATE_USERS)
            g->users[g->nusers++] = number ? uid : pw->pw_uid;
        else
            log_warn("channel", "[channel %s] users: more than %d; '%s' is left out", g->conf->name,
                     MAX_GATE_USERS, *u);
    }
}

void gate_init(struct gate *g, struct channel *ch, const struct channel_conf *conf) {
    struct err e = { 0 };
    g->channel = ch;
    g->conf = conf;
    find_users(g);
    if (conf->auth == AUTH_TOKEN && read_token(g, &e) < 0) {
        log_error("channel", "[channel %s] %s; nobody may use it", conf->name, e.text);
        g->shut = true;
    }
}

/* --- a request -------------------------------------------------------------------------------- */

/* Every byte is looked at, whatever the earlier ones were. */
static bool equal_in_constant_time(const unsigned char *a, const unsigned char *b, size_t n) {
    unsigned char differ = 0;
    for (size_t i = 0; i < n; i++)
        differ |= a[i] ^ b[i];
    return differ == 0;
}

/* What follows the scheme of Authorization: Bearer TOKEN (RFC 6750 2.1). Of two such fields
 * somebody in between may have read the other one. */
static struct slice bearer(const struct http_exchange *x) {
    struct slice v = http_field(&x->head, "Authorization");
    static const char scheme[] = "bearer ";
    size_t n = sizeof scheme - 1;
    if (!v.s || v.n <= n || http_count(&x->head, "Authorization") > 1 ||
        !http_is_nocase((struct slice){ v.s, n }, scheme))
        return (struct slice){ NULL, 0 };
    return (struct slice){ v.s + n, v.n - n };
}

static bool has_token(const struct gate *g, const struct http_exchange *x) {
    struct slice token = bearer(x);
    unsigned char given[32];
    if (!token.s || token.n > MAX_TOKEN)
        return false;
    digest(token.s, token.n, given);
    return equal_in_constant_time(given, g->token, sizeof given);
}

static bool is_peer(const struct gate *g, const struct http_exchange *x) {
    struct ucred who;
    if (!http_peer(x, &who))
        return false;
    if (who.uid == 0 || who.uid == geteuid())
        return true;
    for (size_t i = 0; i < g->nusers; i++)
        if (g->users[i] == who.uid)
            return true;
    return false;
}

static bool origin_is_allowed(const struct gate *g, struct slice origin) {
    for (char **o = g->conf->origins; o && *o; o++)
        if (strcmp(*o, "*") == 0 || http_is(origin, *o))
            return true;
    return false;
}

/* --- a wrong token is answered late -------------------------------------------------------------
 */

struct denial {
    struct http_exchange *x;
    struct timer delay;
};

static struct gate *gate_of(const struct http_exchange *x) {
    return CONTAINER_OF(x->site, struct gate, site);
}

static void say_unauthorized(struct http_exchange *x) {
    http_add_field(x, "WWW-Authenticate", "Bearer");
    http_add_field(x, "Connection", "close");
    x->site->refuse(x, 401, "a token is needed: Authorization: Bearer TOKEN, and this is not it");
}

static void delay_over(struct timer *t) {
    say_unauthorized(CONTAINER_OF(t, struct denial, delay)->x);
}

static void denial_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct denial *d = x->ctx;
    gate_of(x)->denials--;
    timer_stop(&d->delay);
    free(d);
}

static const struct http_handler denial_handler = { .over = denial_over };

static void deny_later(struct gate *g, struct http_exchange *x) {
    struct denial *d = g->denials < MAX_GATE_DENIALS ? calloc(1, sizeof *d) : NULL;
    if (!d) {
        http_cut(x); /* so many at once are no mistakes */
        return;
    }
    *d = (struct denial){ .x = x, .delay.fire = delay_over };
    g->denials++;
    x->ctx = d;
    x->handler = &denial_handler;
    timer_arm(&g->channel->loop, &d->delay, span_ms(GATE_DENY_MS));
}

/* --- the decision
 * --------------------------------------------------------------------------------- */

static bool is_public(const struct http_exchange *x) {
    return http_is(x->head.path, "/livez") || http_is(x->head.path, "/readyz");
}

/* Other origins than those allowed are pages that a browser here happens to show. */
static bool admit_origin(struct gate *g, struct http_exchange *x) {
    struct slice origin = http_field(&x->head, "Origin");
    if (!origin.s)
        return true;
    if (!origin_is_allowed(g, origin) || http_count(&x->head, "Origin") > 1) {
        x->site->refuse(x, 403,
                        "requests from browsers are refused: [channel] origins says whose not");
        return false;
    }
    http_add_field(x, "Access-Control-Allow-Origin", "%.*s", (int)origin.n, origin.s);
    http_add_field(x, "Vary", "Origin");
    return true;
}

bool gate_admit(struct http_exchange *x) {
    struct gate *g = gate_of(x);
    if (!admit_origin(g, x))
        return false;
    if (is_public(x) || http_is(x->head.method, "OPTIONS") || g->conf->auth == AUTH_NONE)
        return true;
    if (g->shut) {
        x->site->refuse(x, 403, "the token of this channel could not be read; see pinnace's log");
        return false;
    }
    if (g->conf->auth == AUTH_PEER) {
        if (is_peer(g, x))
            return true;
        x->site->refuse(x, 403, "only root, pinnace's own user and [channel] users may ask");
        return false;
    }
    if (has_token(g, x))
        return true;
    if (http_field(&x->head, "Authorization").s)
        deny_later(g, x);
    else
        say_unauthorized(x);
    return false;
}

/* Fetch standard, "CORS-preflight request". The origin has been admitted before. */
void gate_preflight(struct http_exchange *x) {
    struct slice fields = http_field(&x->head, "Access-Control-Request-Headers");
    if (!http_field(&x->head, "Origin").s) {
        http_answer(x, 204, NULL, NULL, 0);
        return;
    }
    http_add_field(x, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
    if (fields.s)
        http_add_field(x, "Access-Control-Allow-Headers", "%.*s", (int)fields.n, fields.s);
    http_add_field(x, "Access-Control-Max-Age", "7200");
    http_answer(x, 204, NULL, NULL, 0);
}
