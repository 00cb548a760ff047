#include "conf/channel.h"

#include <errno.h>
#include <string.h>

#include "conf/options.h"

static bool is_unix(const struct listen_spec *l) {
    return l->kind == LISTEN_AUTO || l->kind == LISTEN_UNIX;
}

/* Paths and names are compared as they are written. */
static bool same_listen(const struct listen_spec *a, const struct listen_spec *b) {
    if (a->kind != b->kind || a->kind == LISTEN_NONE)
        return false;
    if (a->kind == LISTEN_TCP)
        return ip_equal(&a->ip, &b->ip) && a->port == b->port;
    return a->kind == LISTEN_VSOCK ? a->port == b->port : strcmp(a->text, b->text) == 0;
}

static bool is_given(const char *text) { return text && *text; }

static bool has_token(const struct channel_conf *ch) {
    return is_given(ch->token) || is_given(ch->token_file);
}

static int finish_token(const struct channel_conf *ch, struct err *e) {
    bool token = is_given(ch->token), file = is_given(ch->token_file);
    char var[MAX_NAME];
    env_name(var, sizeof var, ch->name);
    if (token && file)
        return err_set(e, EINVAL, "there is a token and a token-file; drop one of them");
    if (!token && !file)
        return err_set(e, EINVAL,
                       "whoever asks here must show a token: write token-file = PATH, or set "
                       "PINNACE_CHANNEL_%s_TOKEN; or write auth = none",
                       var);
    return 0;
}

int channel_finish(struct conf *c, size_t n, struct err *e) {
    struct channel_conf *ch = c->channels[n];
    const struct listen_spec *l = &ch->listen;
    if (l->kind == LISTEN_AUTO && strcmp(ch->name, "local") != 0)
        return err_set(e, EINVAL,
                       "it needs listen = unix:PATH, tcp:ADDRESS:PORT, vsock:PORT or fd:NAME");
    if (ch->user && strlen(ch->user) >= MAX_CHANNEL_USER)
        return err_set(e, EINVAL, "user: longer than %d bytes", MAX_CHANNEL_USER - 1);
    if (ch->auth == AUTH_AUTO)
        ch->auth = is_unix(l)                                     ? AUTH_PEER
                   : ch->dialect == DIALECT_E2B && !has_token(ch) ? AUTH_NONE
                                                                  : AUTH_TOKEN;
    if (l->kind == LISTEN_NONE)
        return 0;
    if (ch->auth == AUTH_PEER && (l->kind == LISTEN_TCP || l->kind == LISTEN_VSOCK))
        return err_set(
            e, EINVAL,
            "auth = peer is for unix sockets: elsewhere nobody says who asks; use token");
    for (size_t i = 0; i < n; i++)
        if (same_listen(l, &c->channels[i]->listen))
            return err_set(e, EINVAL, "[channel %s] listens there already", c->channels[i]->name);
    return ch->auth == AUTH_TOKEN ? finish_token(ch, e) : 0;
}
