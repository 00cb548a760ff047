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

static int read_token(struct gate *g, struct err *e) {
    const struct channel_conf *c = g->conf;
    AUTO_FREE char *text = NULL;
    size_t n = 0;
    int rc = 0;
    if (c->token && *c->token) {
        g->token = strdup(c->token);
        return g->token ? 0 : err_sys(e, ENOMEM, "keep the token");
    }
    rc = file_read(c->token_file, MAX_TOKEN, &text, &n, e);
    if (rc < 0)
        return err_wrap(e, "token-file");
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n == 0)
        return err_set(e, EINVAL, "token-file %s is empty: write a long random word into it",
                       c->token_file);
    text[n] = '\0';
    g->token = text;
    text = NULL;
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

static void digest(const char *bytes, size_t n, unsigned char out[32]) {
    SHA2_CTX c;
    SHA256Init(&c);
    SHA256Update(&c, (const unsigned char *)bytes, n);
    SHA256Final(out, &c);
}

/* Digests of one length, whose every byte is looked at, whatever the earlier ones were. */
bool gate_same(const char *secret, const char *given, size_t n) {
    unsigned char a[32], b[32], differ = 0;
    if (n > MAX_TOKEN)
        return false;
    digest(secret, strlen(secret), a);
    digest(given, n, b);
    for (size_t i = 0; i < sizeof a; i++)
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
    return token.s && g->token && gate_same(g->token, token.s, token.n);
}

static struct gate *gate_of(const struct http_exchange *x) {
    return CONTAINER_OF(x->site, struct gate, site);
}

const char *gate_token(const struct http_exchange *x) { return gate_of(x)->token; }

bool gate_shows_token(const struct http_exchange *x) {
    const struct gate *g = gate_of(x);
    return g->conf->auth != AUTH_TOKEN || has_token(g, x);
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

bool gate_origin(const struct http_exchange *x, bool any) {
    struct slice origin = http_field(&x->head, "Origin");
    char **o = gate_of(x)->conf->origins;
    if (http_count(&x->head, "Origin") > 1)
        return false;
    if (!o || !*o)
        return any;
    for (; *o; o++)
        if (strcmp(*o, "*") == 0 || http_is(origin, *o))
            return true;
    return false;
}

/* --- a wrong token is answered late ----------------------------------------------------------- */

struct denial {
    struct http_exchange *x;
    const char *message;
    struct timer delay;
};

static void delay_over(struct timer *t) {
    const struct denial *d = CONTAINER_OF(t, struct denial, delay);
    d->x->site->refuse(d->x, 401, d->message);
}

static void denial_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct denial *d = x->ctx;
    gate_of(x)->denials--;
    timer_stop(&d->delay);
    free(d);
}

static const struct http_handler denial_handler = { .over = denial_over };

void gate_deny(struct http_exchange *x, bool tried, const char *message) {
    struct gate *g = gate_of(x);
    http_add_field(x, "Connection", "close");
    if (!tried) {
        x->site->refuse(x, 401, message);
        return;
    }
    struct denial *d = g->denials < MAX_GATE_DENIALS ? calloc(1, sizeof *d) : NULL;
    if (!d) {
        http_cut(x); /* so many at once are no mistakes */
        return;
    }
    *d = (struct denial){ .x = x, .message = message, .delay.fire = delay_over };
    g->denials++;
    x->ctx = d;
    x->handler = &denial_handler;
    timer_arm(&g->channel->loop, &d->delay, span_ms(GATE_DENY_MS));
}

/* --- the decision ----------------------------------------------------------------------------- */

static bool is_public(const struct http_exchange *x) {
    return http_is(x->head.path, "/livez") || http_is(x->head.path, "/readyz");
}

/* Other origins than those allowed are pages that a browser here happens to show. */
static bool admit_origin(struct http_exchange *x) {
    struct slice origin = http_field(&x->head, "Origin");
    if (!origin.s)
        return true;
    if (!gate_origin(x, false)) {
        x->site->refuse(x, 403,
                        "requests from browsers are refused: [channel] origins says whose not");
        return false;
    }
    http_add_field(x, "Access-Control-Allow-Origin", "%.*s", (int)origin.n, origin.s);
    http_add_field(x, "Vary", "Origin");
    return true;
}

const char *gate_closed(const struct http_exchange *x) {
    const struct gate *g = gate_of(x);
    if (g->shut)
        return "the token of this channel could not be read; see pinnace's log";
    if (g->conf->auth == AUTH_PEER && !is_peer(g, x))
        return "only root, pinnace's own user and [channel] users may ask";
    return NULL;
}

bool gate_admit(struct http_exchange *x) {
    if (!admit_origin(x))
        return false;
    if (is_public(x) || http_is(x->head.method, "OPTIONS"))
        return true;
    const char *closed = gate_closed(x);
    if (closed)
        x->site->refuse(x, 403, closed);
    if (closed || gate_shows_token(x))
        return !closed;
    http_add_field(x, "WWW-Authenticate", "Bearer");
    gate_deny(x, http_field(&x->head, "Authorization").s != NULL,
              "a token is needed: Authorization: Bearer TOKEN, and this is not it");
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
