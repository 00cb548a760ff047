/* exec.c — `pinnace exec`: a command in the box, as if it ran here. `pinnace attach`: the same for
 * a job that runs already. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/native/frames.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/session.h"
#include "sys/file.h"

enum {
    CANNOT_EXECUTE = 126,
    NOT_FOUND = 127,
    MAX_ENV_FILE = 1 << 20, /* bytes; an error */
    MAX_ENV = MAX_JOB_ENV,  /* variables set on the command line and in files; an error */
    MAX_ENV_FILES = 16,     /* an error */
    ROWS = 24,              /* of a terminal of no known size */
    COLS = 80,
};

static int fail(const struct err *e) {
    (void)cli_fail(e);
    return CLI_CHANNEL;
}

/* --- the environment -------------------------------------------------------------------------- */

struct env {
    struct {
        const char *name, *value; /* value NULL: it is removed */
        size_t len;               /* of the name */
    } v[MAX_ENV];
    size_t n, bytes;
    char *files[MAX_ENV_FILES]; /* owned: what the values of files point into */
    size_t nfiles;
};

/* "NAME=value", or NAME to be passed on from here. The last one counts. */
static int env_set(struct env *env, const char *text, struct err *e) {
    size_t len = strcspn(text, "="), i = 0;
    const char *value = text[len] ? text + len + 1 : getenv(text);
    if (len == 0)
        return err_set(e, EINVAL, "'%.80s' has no name before the =", text);
    while (i < env->n && (env->v[i].len != len || memcmp(env->v[i].name, text, len) != 0))
        i++;
    if (i == MAX_ENV)
        return err_set(e, E2BIG, "more than %d variables", MAX_ENV);
    env->v[i].name = text;
    env->v[i].len = len;
    env->v[i].value = value;
    env->n += i == env->n;
    env->bytes += 6 * (len + (value ? strlen(value) : 4)) + 8; /* what JSON needs at most */
    return 0;
}

/* Lines as docker has them: blank ones and those with '#' do not count; no quotes, no export. */
static int env_read(struct env *env, const char *path, struct err *e) {
    size_t len;
    char *rest = NULL, *line;
    if (env->nfiles == MAX_ENV_FILES)
        return err_set(e, E2BIG, "more than %d files", MAX_ENV_FILES);
    if (file_read(path, MAX_ENV_FILE, &rest, &len, e) < 0)
        return -e->code;
    env->files[env->nfiles++] = rest;
    if (strlen(rest) != len)
        return err_set(e, EINVAL, "%s has NUL bytes in it", path);
    while ((line = strsep(&rest, "\n")) != NULL) {
        line += strspn(line, " \t");
        size_t n = strlen(line);
        if (n > 0 && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (*line && *line != '#' && env_set(env, line, e) < 0)
            return err_wrap(e, "%s", path);
    }
    return 0;
}

static int env_collect(struct env *env, const struct args *a, struct err *e) {
    const char *term = getenv("TERM"), *text;
    size_t at = 0, file_at = 0;
    if (args_has(a, "tty") && term && *term && env_set(env, "TERM", e) < 0)
        return -e->code;
    while ((text = args_next(a, "env-file", &file_at)) != NULL)
        if (env_read(env, text, e) < 0)
            return err_wrap(e, "--env-file");
    while ((text = args_next(a, "env", &at)) != NULL)
        if (env_set(env, text, e) < 0)
            return err_wrap(e, "--env");
    return 0;
}

/* --- the request ------------------------------------------------------------------------------ */

/* JSON is Unicode: another byte would come out as another one. */
static int add_text(struct text *t, const char *s, size_t n, struct err *e) {
    if (!utf8_is_valid(s, n))
        return err_set(e, EILSEQ, "'%.80s' is not UTF-8, and cannot be sent", s);
    text_json(t, s, n);
    return 0;
}

static int add_argv(struct text *t, const struct args *a, struct err *e) {
    text_add(t, "\"argv\":");
    for (int i = 0; i < a->nwords; i++) {
        text_add(t, i ? "," : "[");
        if (add_text(t, a->words[i], strlen(a->words[i]), e) < 0)
            return -e->code;
    }
    text_add(t, "]");
    return 0;
}

static int add_env(struct text *t, const struct env *env, struct err *e) {
    text_add(t, ",\"env\":{");
    for (size_t i = 0; i < env->n; i++) {
        const char *value = env->v[i].value;
        text_add(t, i ? "," : "");
        if (add_text(t, env->v[i].name, env->v[i].len, e) < 0)
            return -e->code;
        text_add(t, ":");
        if (!value)
            text_add(t, "null");
        else if (add_text(t, value, strlen(value), e) < 0)
            return -e->code;
    }
    text_add(t, "}");
    return 0;
}

static int add_options(struct text *t, const struct args *a, struct err *e) {
    static const char *const texts[][2] = {
        { "user", "user" }, { "workdir", "cwd" }, { "tag", "tag" }, { "key", "key" }
    };
    span timeout = SPAN_NEVER;
    uint16_t rows = 0, cols = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *value = args_value(a, texts[i][0]);
        if (!value)
            continue;
        text_add(t, ",\"%s\":", texts[i][1]);
        if (add_text(t, value, strlen(value), e) < 0)
            return -e->code;
    }
    if (args_has(a, "interactive"))
        text_add(t, ",\"stdin\":\"pipe\"");
    if (args_has(a, "tty")) {
        (void)terminal_size(&rows, &cols);
        text_add(t, ",\"pty\":{\"rows\":%u,\"cols\":%u}", rows ? rows : ROWS, cols ? cols : COLS);
    }
    if (args_span(a, "timeout", &timeout, e) < 0)
        return -e->code;
    if (!span_is_never(timeout))
        text_add(t, ",\"timeout_ms\":%lld", (long long)span_to_ms(timeout));
    return 0;
}

/* malloc'd JSON, as large as it needs to be at most. */
static int make_request(const struct args *a, struct env *env, char **out, struct err *e) {
    size_t cap = 4096 + env->bytes;
    if (a->nwords > MAX_JOB_WORDS)
        return err_set(e, E2BIG,
                       "%d words are more than the %d of a command in a box: pass them "
                       "in parts, as xargs does, or by stdin",
                       a->nwords, MAX_JOB_WORDS);
    for (int i = 0; i < a->nwords; i++)
        cap += 6 * strlen(a->words[i]) + 4;
    for (size_t i = 0; i < a->ngiven; i++)
        cap += a->given[i].value ? 6 * strlen(a->given[i].value) : 0;
    *out = malloc(cap);
    if (!*out)
        return err_set(e, ENOMEM, "out of memory");
    struct text t = { .buf = *out, .cap = cap };
    text_add(&t, "{");
    if (add_argv(&t, a, e) < 0 || add_env(&t, env, e) < 0 || add_options(&t, a, e) < 0)
        return -e->code;
    text_add(&t, "}");
    return 0;
}

/* --- the verbs -------------------------------------------------------------------------------- */

/* As a shell says that a command could not be executed. */
static int status_of_refusal(const char *reason) {
    static const char *const here[] = { "permission", "bad_cwd", "unknown_user", "bad_format" };
    if (strcmp(reason, "not_found") == 0)
        return NOT_FOUND;
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        if (strcmp(reason, here[i]) == 0)
            return CANNOT_EXECUTE;
    return CLI_CHANNEL;
}

static int refused(struct client *c, const struct err *e) {
    (void)cli_fail(e);
    return c ? status_of_refusal(c->reason) : CLI_CHANNEL;
}

static int run_detached(const struct args *a, const char *json) {
    struct err e = { 0 };
    AUTO_CLIENT struct client *c = client_open(a->host, client_soon(), &e);
    AUTO_FREE char *body = NULL;
    if (!c || client_post(c, "/v1/jobs", json, &e) < 0 || client_check(c, &e) < 0 ||
        http_client_whole(&c->http, MAX_JSON_REPLY, &body, &e) < 0)
        return refused(c, &e);
    yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
    (void)puts(json_str(yyjson_doc_get_root(doc), "id"));
    yyjson_doc_free(doc);
    return CLI_OK;
}

/* The command may take its time to begin (a large binary, a slow file system), and then to end. */
static int run_stream(const struct args *a, const struct http_request *r, bool input, bool owner) {
    struct err e = { 0 };
    AUTO_CLIENT struct client *c = client_open(a->host, client_soon(), &e);
    struct session_args session = {
        .host = a->host, .detach_keys = args_value(a, "detach-keys"), .input = input, .owner = owner
    };
    if (c)
        c->http.deadline = INSTANT_NEVER;
    if (!c || client_ask(c, r, &e) < 0 || client_check(c, &e) < 0)
        return refused(c, &e);
    if (c->http.head.status != 101) {
        (void)err_set(&e, EPROTO, "pinnace at %s does not speak " FRAME_PROTOCOL, c->host.text);
        return fail(&e);
    }
    return session_run(c, &session);
}

static int check_terminal(const struct args *a, struct err *e) {
    struct detach_keys keys;
    const char *text = args_value(a, "detach-keys");
    if (text && detach_parse(&keys, text, e) < 0)
        return err_wrap(e, "--detach-keys");
    return 0;
}

int verb_exec(const struct args *a) {
    static const char fields[] = "Content-Type: application/json\r\n" SESSION_FIELDS;
    AUTO_FREE struct env *env = calloc(1, sizeof *env);
    AUTO_FREE char *json = NULL;
    struct err e = { 0 };
    bool input = args_has(a, "interactive"), detach = args_has(a, "detach");
    if (check_terminal(a, &e) < 0)
        return cli_usage(a, "%s", e.text);
    if (args_has(a, "tty") && input && !detach && !isatty(0))
        return cli_usage(a, "-t with -i wants a terminal as standard input");
    int rc = env ? env_collect(env, a, &e) : err_set(&e, ENOMEM, "out of memory");
    if (rc == 0)
        rc = make_request(a, env, &json, &e);
    while (env && env->nfiles > 0)
        free(env->files[--env->nfiles]);
    if (rc < 0)
        return fail(&e);
    struct http_request r = { .method = "POST",
                              .target = "/v1/exec",
                              .fields = fields,
                              .upgrade = FRAME_PROTOCOL,
                              .body = json,
                              .length = strlen(json) };
    return detach ? run_detached(a, json) : run_stream(a, &r, input, true);
}

int verb_attach(const struct args *a) {
    char target[TARGET_TEXT];
    struct text t = TEXT(target);
    struct err e = { 0 };
    if (check_terminal(a, &e) < 0)
        return cli_usage(a, "%s", e.text);
    text_add(&t, "/v1/jobs");
    target_add(&t, NULL, a->words[0]);
    text_add(&t, "/attach");
    if (args_has(a, "from"))
        target_add(&t, "from", args_value(a, "from"));
    struct http_request r = {
        .method = "GET", .target = target, .fields = SESSION_FIELDS, .upgrade = FRAME_PROTOCOL
    };
    return run_stream(a, &r, !args_has(a, "no-stdin"), false);
}
