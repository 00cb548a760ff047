#include "channel/native/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

/* --- members ---------------------------------------------------------------------------------- */

struct member {
    const char *name;
    int (*take)(struct job_ask *a, yyjson_val *v, struct err *e);
};

static int text_member(yyjson_val *v, const char *name, const char **out, struct err *e) {
    const char *s = yyjson_get_str(v);
    if (!s || strlen(s) != yyjson_get_len(v))
        return err_set(e, EINVAL, "%s: a text without NUL is needed", name);
    *out = s;
    return 0;
}

static int short_member(yyjson_val *v, const char *name, const char **out, struct err *e) {
    int rc = text_member(v, name, out, e);
    if (rc == 0 && yyjson_get_len(v) >= JOB_TEXT)
        return err_set(e, EINVAL, "%s: longer than %d bytes", name, JOB_TEXT - 1);
    return rc;
}

static int number_member(yyjson_val *v, const char *name, uint64_t max, uint64_t *out,
                         struct err *e) {
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) > max)
        return err_set(e, EINVAL, "%s: an integer from 0 to %llu is needed", name,
                       (unsigned long long)max);
    *out = yyjson_get_uint(v);
    return 0;
}

enum { SHELL_WORDS = 4 }; /* of a login shell: one more than of another */

/* Room for so many words, for those of a shell at least, and the NULL behind them. */
static int make_words(struct job_ask *a, size_t n, struct err *e) {
    mem_release(&a->words);
    a->spec.argv = a->words = calloc((n > SHELL_WORDS ? n : SHELL_WORDS) + 1, sizeof *a->words);
    return a->words ? 0 : err_set(e, ENOMEM, "argv: out of memory");
}

static int take_argv(struct job_ask *a, yyjson_val *v, struct err *e) {
    size_t i, n;
    yyjson_val *word;
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) == 0)
        return err_set(e, EINVAL, "argv: an array of at least one text is needed");
    if (yyjson_arr_size(v) > MAX_JOB_WORDS)
        return err_set(e, E2BIG, "argv: more than %d words; pass them in parts, or by stdin",
                       MAX_JOB_WORDS);
    int rc = make_words(a, yyjson_arr_size(v), e);
    yyjson_arr_foreach(v, i, n, word) {
        if (rc == 0)
            rc = text_member(word, "argv", &a->words[i], e);
    }
    if (rc == 0 && !a->words[0][0])
        return err_set(e, EINVAL, "argv: the first word is empty");
    return rc;
}

static int take_shell(struct job_ask *a, yyjson_val *v, struct err *e) {
    const char *text = NULL;
    int rc = text_member(v, "shell", &text, e);
    if (rc == 0)
        rc = make_words(a, SHELL_WORDS, e);
    if (rc < 0)
        return rc;
    a->words[0] = "/bin/sh";
    a->words[1] = "-c";
    a->words[2] = text;
    return 0;
}

/* bash where there is one, as a login shell; it comes after `shell`, see members[]; with argv it
 * is refused in the end. */
static int take_login(struct job_ask *a, yyjson_val *v, struct err *e) {
    if (!yyjson_is_bool(v))
        return err_set(e, EINVAL, "login: true or false is needed");
    if (!yyjson_get_bool(v) || !a->words)
        return 0;
    a->words[0] = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
    a->words[3] = a->words[2];
    a->words[2] = "-c";
    a->words[1] = "-l";
    return 0;
}

static int check_env(yyjson_val *key, yyjson_val *value, struct err *e) {
    const char *name = yyjson_get_str(key);
    if (!name[0] || strlen(name) != yyjson_get_len(key) || strchr(name, '='))
        return err_set(e, EINVAL, "env: a name must have no '=' and no NUL, and not be empty");
    if (yyjson_is_null(value))
        return 0;
    const char *text = NULL;
    return text_member(value, "env", &text, e);
}

static int take_env(struct job_ask *a, yyjson_val *v, struct err *e) {
    size_t i, n, bytes = 0;
    yyjson_val *key, *value;
    if (!yyjson_is_obj(v))
        return err_set(e, EINVAL, "env: an object is needed");
    if (yyjson_obj_size(v) > MAX_JOB_ENV)
        return err_set(e, E2BIG, "env: more than %d variables", MAX_JOB_ENV);
    yyjson_obj_foreach(v, i, n, key, value) {
        int rc = check_env(key, value, e);
        if (rc < 0)
            return rc;
        bytes += yyjson_get_len(key) + yyjson_get_len(value) + 2;
    }
    mem_release(&a->env);
    mem_release(&a->env_text);
    a->env = calloc(yyjson_obj_size(v) + 1, sizeof *a->env);
    a->env_text = malloc(bytes + 1);
    if (!a->env || !a->env_text)
        return err_set(e, ENOMEM, "env: out of memory");
    char *to = a->env_text;
    yyjson_obj_foreach(v, i, n, key, value) {
        a->env[i] = to;
        to = stpcpy(to, yyjson_get_str(key));
        if (!yyjson_is_null(value))
            to = stpcpy(stpcpy(to, "="), yyjson_get_str(value));
        to++;
    }
    a->spec.env = a->env;
    return 0;
}

static int take_stdin(struct job_ask *a, yyjson_val *v, struct err *e) {
    a->spec.stdin_pipe = yyjson_equals_str(v, "pipe");
    if (!a->spec.stdin_pipe && !yyjson_equals_str(v, "none"))
        return err_set(e, EINVAL, "stdin: \"pipe\" or \"none\" is needed");
    return 0;
}

static int take_pty(struct job_ask *a, yyjson_val *v, struct err *e) {
    uint64_t rows = 24, cols = 80;
    yyjson_val *r = yyjson_obj_get(v, "rows"), *c = yyjson_obj_get(v, "cols");
    if (yyjson_is_null(v))
        return 0;
    if (!yyjson_is_obj(v) || yyjson_obj_size(v) != (size_t)(r != NULL) + (size_t)(c != NULL))
        return err_set(e, EINVAL, "pty: an object with rows and cols is needed");
    if ((r && number_member(r, "pty.rows", UINT16_MAX, &rows, e) < 0) ||
        (c && number_member(c, "pty.cols", UINT16_MAX, &cols, e) < 0))
        return -e->code;
    a->spec.pty = true;
    a->spec.rows = (uint16_t)rows;
    a->spec.cols = (uint16_t)cols;
    return 0;
}

static int span_member(yyjson_val *v, const char *name, span *out, struct err *e) {
    uint64_t ms = 0;
    if (yyjson_is_null(v))
        return 0;
    int rc = number_member(v, name, (uint64_t)MAX_SPAN_DAYS * 86400000, &ms, e);
    if (rc == 0)
        *out = span_ms((int64_t)ms);
    return rc;
}

static int take_timeout(struct job_ask *a, yyjson_val *v, struct err *e) {
    int rc = span_member(v, "timeout_ms", &a->spec.timeout, e);
    return rc == 0 && a->spec.timeout.ns == 0
               ? err_set(e, EINVAL, "timeout_ms: 0 is none; leave it out for no limit")
               : rc;
}

static int take_kill_after(struct job_ask *a, yyjson_val *v, struct err *e) {
    return span_member(v, "kill_after_ms", &a->spec.kill_after, e);
}

static int take_keep(struct job_ask *a, yyjson_val *v, struct err *e) {
    uint64_t n = 0;
    int rc = number_member(v, "keep_output", MAX_JOB_OUTPUT, &n, e);
    a->spec.keep = (size_t)n;
    return rc;
}

static int take_detach(struct job_ask *a, yyjson_val *v, struct err *e) {
    a->detach = yyjson_get_bool(v);
    return yyjson_is_bool(v) ? 0 : err_set(e, EINVAL, "detach: true or false is needed");
}

static int take_cwd(struct job_ask *a, yyjson_val *v, struct err *e) {
    return text_member(v, "cwd", &a->spec.cwd, e);
}

static int take_user(struct job_ask *a, yyjson_val *v, struct err *e) {
    return text_member(v, "user", &a->spec.user, e);
}

static int take_tag(struct job_ask *a, yyjson_val *v, struct err *e) {
    return short_member(v, "tag", &a->spec.tag, e);
}

static int take_key(struct job_ask *a, yyjson_val *v, struct err *e) {
    return short_member(v, "key", &a->spec.key, e);
}

static const struct member members[] = {
    { "argv", take_argv },
    { "shell", take_shell },
    { "login", take_login },
    { "env", take_env },
    { "cwd", take_cwd },
    { "user", take_user },
    { "stdin", take_stdin },
    { "pty", take_pty },
    { "timeout_ms", take_timeout },
    { "kill_after_ms", take_kill_after },
    { "tag", take_tag },
    { "key", take_key },
    { "keep_output", take_keep },
    { "detach", take_detach },
};
enum { NMEMBERS = sizeof members / sizeof members[0] };

/* --- the whole -------------------------------------------------------------------------------- */

static int check_names(yyjson_val *body, struct err *e) {
    size_t i, n;
    yyjson_val *key, *value;
    const char *names[NMEMBERS];
    uint32_t seen = 0; /* bit n: members[n] */
    for (i = 0; i < NMEMBERS; i++)
        names[i] = members[i].name;
    yyjson_obj_foreach(body, i, n, key, value) {
        const char *name = yyjson_get_str(key), *near = NULL;
        uint32_t known = 0;
        for (size_t k = 0; k < NMEMBERS; k++)
            known |= strcmp(names[k], name) == 0 ? 1U << k : 0;
        if (known & seen)
            return err_set(e, EINVAL, "'%s' is there twice", name);
        seen |= known;
        near = known ? NULL : nearest(name, names, NMEMBERS);
        if (!known)
            return err_set(e, EINVAL, "'%.60s' is not a member of a job%s%s%s", name,
                           near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
    }
    return 0;
}

/* FNV-1a, 64 bit: that a key came with another request shows, it need not resist an enemy, who
 * could start jobs of his own. */
static uint64_t fingerprint(yyjson_val *body) {
    size_t n = 0;
    AUTO_FREE char *text = yyjson_val_write(body, 0, &n);
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; text && i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3;
    return h;
}

int job_ask_parse(struct job_ask *a, yyjson_val *body, bool detach, struct err *e) {
    *a = (struct job_ask){ .detach = detach };
    a->spec =
        (struct job_spec){ .tag = "", .key = "", .timeout = SPAN_NEVER, .kill_after = span_s(2) };
    if (!yyjson_is_obj(body))
        return err_set(e, EINVAL, "a JSON object is needed, with argv or shell at least");
    int rc = check_names(body, e);
    for (size_t i = 0; i < NMEMBERS && rc == 0; i++) {
        yyjson_val *v = yyjson_obj_get(body, members[i].name);
        rc = v ? members[i].take(a, v, e) : 0;
    }
    bool argv = yyjson_obj_get(body, "argv"), shell = yyjson_obj_get(body, "shell");
    if (rc == 0 && argv == shell)
        return err_set(e, EINVAL,
                       argv ? "argv and shell: only one of them" : "argv or shell is needed");
    if (rc == 0 && argv && yyjson_get_bool(yyjson_obj_get(body, "login")))
        return err_set(e, EINVAL, "login: is for shell, not for argv");
    if (a->spec.key[0])
        a->spec.key_hash = fingerprint(body);
    return rc;
}

void job_ask_release(struct job_ask *a) {
    mem_release(&a->words);
    mem_release(&a->env);
    mem_release(&a->env_text);
}

/* --- a job as JSON ---------------------------------------------------------------------------- */

static void end_json(const struct job_end *end, struct text *t) {
    if (!end->known)
        text_add(t, "{\"lost\":true");
    else if (end->how.signaled)
        text_add(t, "{\"signal\":%d,\"core\":%s", end->how.code, end->how.core ? "true" : "false");
    else
        text_add(t, "{\"exit\":%d", end->how.code);
    if (end->timed_out)
        text_add(t, ",\"timed_out\":true");
    if (end->oom)
        text_add(t, ",\"oom\":true");
    if (end->killed)
        text_add(t, ",\"killed\":true");
    if (end->how.has_usage)
        text_add(t, ",\"user_ms\":%lld,\"system_ms\":%lld,\"max_rss\":%lld",
                 (long long)span_to_ms(end->how.user), (long long)span_to_ms(end->how.system),
                 (long long)end->how.max_rss);
    text_add(t, "}");
}

void job_json(const struct job *j, instant now, struct text *t) {
    char id[JOB_ID_TEXT];
    bool ended = j->state == JOB_ENDED;
    text_add(t, "{\"id\":\"%s\",\"argv\":%s,\"tag\":", job_id_text(j, id), j->command);
    text_json(t, j->tag, strlen(j->tag));
    text_add(t, ",\"pid\":%d,\"state\":\"%s\",\"pty\":%s,\"stdin\":\"%s\"", (int)j->leader,
             ended ? "ended" : "running", j->pty ? "true" : "false",
             j->stdin_open   ? "open"
             : j->stdin_pipe ? "closed"
                             : "none");
    text_add(t, ",\"started_unix_ms\":%lld,\"ran_ms\":%lld", (long long)j->started_unix_ms,
             (long long)span_to_ms(instant_since(ended ? j->ended : now, j->started)));
    text_add(t,
             ",\"output\":{\"from\":%llu,\"to\":%llu},\"end\":", (unsigned long long)j->output.from,
             (unsigned long long)j->output.to);
    if (ended)
        end_json(&j->end, t);
    else
        text_add(t, "null");
    text_add(t, "}");
}
