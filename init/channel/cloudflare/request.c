/* request.c — what a request says. */
#include <stdlib.h>
#include <string.h>

#include "channel/cloudflare/cloudflare.h"
#include "channel/gate.h"

yyjson_val *cf_body(struct http_exchange *x, yyjson_val *body) {
    if (yyjson_is_obj(body))
        return body;
    x->site->refuse(x, 400, body ? "a JSON object is needed" : "it is empty");
    return NULL;
}

const char *cf_text(yyjson_val *body, const char *name) {
    return yyjson_get_str(yyjson_obj_get(body, name));
}

struct slice cf_bytes(yyjson_val *body, const char *name) {
    yyjson_val *v = yyjson_obj_get(body, name);
    return (struct slice){ yyjson_get_str(v), yyjson_get_len(v) };
}

bool cf_flag(yyjson_val *body, const char *name, bool otherwise) {
    yyjson_val *v = yyjson_obj_get(body, name);
    return yyjson_is_bool(v) ? yyjson_get_bool(v) : otherwise;
}

int64_t cf_number(yyjson_val *body, const char *name, int64_t min, int64_t max, int64_t otherwise) {
    yyjson_val *v = yyjson_obj_get(body, name);
    if (!yyjson_is_num(v))
        return otherwise;
    double n = yyjson_get_num(v);
    return n <= (double)min ? min : n >= (double)max ? max : (int64_t)n;
}

/* --- variables -------------------------------------------------------------------------------- */

/* POSIX.1-2017, 3.235 "Name": what a shell can set. */
static bool is_name(const char *s, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool letter = (s[i] | 32) >= 'a' && (s[i] | 32) <= 'z';
        if (!letter && s[i] != '_' && (i == 0 || s[i] < '0' || s[i] > '9'))
            return false;
    }
    return n > 0;
}

/* What it needs: bytes of its text. SIZE_MAX, and it has been answered. */
static size_t env_bytes(struct http_exchange *x, yyjson_val *map, size_t *count) {
    yyjson_val *key, *value;
    size_t i, n, bytes = 0;
    yyjson_obj_foreach(map, i, n, key, value) {
        const char *text = yyjson_get_str(value);
        if (yyjson_is_null(value))
            continue;
        if (!is_name(yyjson_get_str(key), yyjson_get_len(key)) || !text ||
            strlen(text) != yyjson_get_len(value)) {
            cf_fail(x, CF_COMMAND_EXECUTION_ERROR, NULL,
                    "Invalid environment variable name or value: '%.60s'", yyjson_get_str(key));
            return SIZE_MAX;
        }
        bytes += yyjson_get_len(key) + yyjson_get_len(value) + 2;
        ++*count;
    }
    return bytes;
}

const char **cf_env(struct http_exchange *x, yyjson_val *map, const char *const *least) {
    yyjson_val *key, *value;
    size_t i, n, at = 0, count = 0;
    size_t bytes = env_bytes(x, map, &count);
    while (bytes != SIZE_MAX && least && least[at])
        at++;
    const char **env = bytes == SIZE_MAX ? NULL : malloc((at + count + 1) * sizeof *env + bytes);
    if (!env) {
        if (bytes != SIZE_MAX)
            cf_no_memory(x, "environment variables");
        return NULL;
    }
    if (at > 0)
        memcpy(env, least, at * sizeof *env);
    char *text = (char *)(env + at + count + 1);
    yyjson_obj_foreach(map, i, n, key, value) {
        if (yyjson_is_null(value))
            continue;
        env[at++] = text;
        text = stpcpy(stpcpy(stpcpy(text, yyjson_get_str(key)), "="), yyjson_get_str(value)) + 1;
    }
    env[at] = NULL;
    return env;
}

const char *cf_env_value(const struct channel *ch, const char *name) {
    size_t n = strlen(name);
    for (const char *const *e = ch->role->env; *e; e++)
        if (strncmp(*e, name, n) == 0 && (*e)[n] == '=')
            return *e + n + 1;
    return NULL;
}

/* --- its session ------------------------------------------------------------------------------ */

static struct slice bearer(const struct http_exchange *x) {
    static const char scheme[] = "bearer ";
    size_t n = sizeof scheme - 1;
    struct slice v = http_field(&x->head, "Authorization");
    bool ours = v.s && v.n > n && http_is_nocase((struct slice){ v.s, n }, scheme);
    return ours && !gate_token(x) ? (struct slice){ v.s + n, v.n - n } : (struct slice){ NULL, 0 };
}

static bool is_blank(const char *s) { return s[strspn(s, " \t\r\n\f\v")] == '\0'; }

bool cf_session_name(struct http_exchange *x, struct slice id, char out[CF_SESSION_TEXT]) {
    bool fits = id.n < CF_SESSION_TEXT && !memchr(id.s, '\0', id.n);
    if (fits) {
        memcpy(out, id.s, id.n);
        out[id.n] = '\0';
    }
    if (fits && !is_blank(out))
        return true;
    cf_fail(x, CF_INTERNAL_ERROR, NULL,
            "the session's id is blank, has a NUL, or is longer than %d bytes: name another",
            CF_SESSION_TEXT - 1);
    return false;
}

bool cf_session_id(struct http_exchange *x, yyjson_val *body, char out[CF_SESSION_TEXT]) {
    struct slice id = cf_bytes(body, "sessionId");
    if (!id.n)
        id = bearer(x);
    if (!id.n)
        id = http_field(&x->head, "X-Session-Id");
    if (id.n)
        return cf_session_name(x, id, out);
    int rc = http_param(x, "session", out, CF_SESSION_TEXT);
    if (rc == 0 || !*out)
        rc = http_param(x, "sessionId", out, CF_SESSION_TEXT);
    if (rc == 0 || (rc > 0 && !*out))
        (void)strcpy(out, CF_DEFAULT_SESSION);
    return rc >= 0 || cf_session_name(x, (struct slice){ "", 0 }, out);
}
