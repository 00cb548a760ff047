#include "svc/environment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Every word of an engine's preset: it runs its own docker-init, which is not PID 1 here. */
static const char *const engine_extra[] = { "container=docker", "TINI_SUBREAPER=1", NULL };

/* PINNACE_CHANNEL_REMOTE_TOKEN=... */
static bool is_channel_token(const char *var) {
    static const char end[] = "_TOKEN";
    size_t n = strcspn(var, "=");
    return has_prefix(var, "PINNACE_CHANNEL_") && n >= sizeof end &&
           strncmp(var + n - (sizeof end - 1), end, sizeof end - 1) == 0;
}

static bool is_secret(const char *var) {
    return has_prefix(var, "PINNACE_TOKEN=") || is_channel_token(var);
}

void environment_drop_secrets(char **env) {
    char **to = env;
    for (char **v = env; *v; v++)
        if (!is_secret(*v))
            *to++ = *v;
    *to = NULL;
}

static bool is_left_out(const struct env_request *r, const char *var) {
    static const char *const always[] = { "NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=" };
    static const char *const listen[] = { "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=",
                                          "LISTEN_PIDFDID=" }; /* sd_listen_fds(3) */
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (has_prefix(var, always[i]))
            return true;
    bool inherits = r->kind == SVC_KIND_MAIN && !r->listen_taken;
    for (size_t i = 0; !inherits && i < sizeof listen / sizeof listen[0]; i++)
        if (has_prefix(var, listen[i]))
            return true;
    return is_secret(var) || (r->kind == SVC_KIND_ENGINE && has_prefix(var, "DOCKER_HOST="));
}

static size_t count(const char *const *list) {
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

/* Put `var` over a variable of the same name, or at the end; a mere name removes it. */
static void put(const char **env, size_t *n, const char *var) {
    size_t i = 0, len = strcspn(var, "=");
    while (i < *n && (strncmp(var, env[i], len) != 0 || env[i][len] != '='))
        i++;
    if (strchr(var, '=')) {
        env[i] = var;
        *n += i == *n;
    } else if (i < *n) {
        memmove(env + i, env + i + 1, (--*n - i) * sizeof *env);
    }
}

int environment_make(const struct env_request *r, const char ***out, struct err *e) {
    const char *const *extra = r->kind == SVC_KIND_ENGINE ? engine_extra : NULL;
    size_t most = count(r->base) + count(extra) + count(r->add) + 2;
    size_t notify = r->notify_path ? strlen(r->notify_path) + sizeof "NOTIFY_SOCKET=" : 0;
    const char **env = malloc(most * sizeof *env + notify);
    if (!env)
        return err_set(e, ENOMEM, "out of memory for the environment");
    size_t n = 0;
    for (const char *const *v = r->base; v && *v; v++)
        if (!is_left_out(r, *v))
            env[n++] = *v;
    for (const char *const *v = extra; v && *v; v++)
        put(env, &n, *v);
    for (const char *const *v = r->add; v && *v; v++)
        put(env, &n, *v);
    if (notify) {
        char *var = (char *)(env + most);
        (void)snprintf(var, notify, "NOTIFY_SOCKET=%s", r->notify_path);
        put(env, &n, var);
    }
    env[n] = NULL;
    *out = env;
    return 0;
}
