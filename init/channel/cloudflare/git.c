/* git.c — POST /api/git/checkout: git, two times, as commands of the session: clone, then which
 * branch it has come to. So both see what earlier commands have exported. It is the box's git that
 * is run; where there is none, that is said.
 */
#include "channel/cloudflare/git.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "channel/cloudflare/files.h"
#include "channel/cloudflare/frame.h"
#include "channel/cloudflare/launch.h"
#include "channel/cloudflare/output.h"
#include "channel/cloudflare/process.h"

enum {
    CLONE_S = 600,           /* until a clone is ended, where nothing is said */
    BRANCH_S = 30,           /* the same for the question after it */
    MAX_URL = 8192,          /* bytes of it; 400 */
    MAX_SHOWN = 4096,        /* bytes of what git has said that are told of a failure: the last */
    MAX_HEARD_GIT = 1 << 20, /* bytes of what it says that are looked at */
    MAX_BRANCH = 4096,       /* bytes of its name; 400 */
    /* Of the command: each byte of a word may need four. */
    COMMAND_BYTES = 4 * (MAX_URL + PATH_MAX + MAX_BRANCH) + 1024,
    EXIT_TIMED_OUT = 124, /* as timeout(1) */
    EXIT_NOT_FOUND = 127, /* as a shell */
};

struct checkout {
    struct http_exchange *x;
    char session[CF_SESSION_TEXT]; /* "": none */
    char *url, *branch, *dir;      /* owned; branch may be NULL */
    char *shown_dir;               /* as it is told; owned */
    int64_t depth;                 /* 0: all */
    span limit;
    bool cloned;
    struct cf_launch launch;
    struct cf_output command;
    struct job_reader reader;
    struct cf_output out, err;
};

/* --- answers ---------------------------------------------------------------------------------- */

/* The end of what git said, as text. */
static void last_words(const struct cf_output *o, char *buf, size_t cap) {
    uint64_t from = o->size >= cap ? o->size - (cap - 1) : 0;
    size_t n = cf_output_read(o, from, buf, cap - 1);
    buf[n] = '\0';
}

static void fail(struct checkout *c, int status, const char *words) {
    char buf[CF_ERROR];
    struct text t = TEXT(buf);
    cf_put(&t, "repository", c->url);
    cf_put(&t, "targetDir", c->shown_dir);
    cf_put_number(&t, "exitCode", status);
    cf_put(&t, "stderr", words);
    cf_fail(c->x, CF_GIT_OPERATION_FAILED, &t, "Failed to clone repository '%.1000s': %.4000s",
            c->url, words);
}

static void answer(struct checkout *c) {
    char branch[1024] = "", buf[6 * (MAX_URL + PATH_MAX + sizeof branch) + 256];
    struct text t = TEXT(buf);
    if (c->out.size > 0 && c->out.size < sizeof branch)
        last_words(&c->out, branch, sizeof branch);
    branch[strcspn(branch, "\r\n")] = '\0';
    cf_put(&t, "repoUrl", c->url);
    cf_put(&t, "branch", *branch || !c->branch ? branch : c->branch);
    cf_put(&t, "targetDir", c->shown_dir);
    cf_ok(c->x, &t);
}

/* --- commands --------------------------------------------------------------------------------- */

static void started(struct cf_launch *l, struct job *j, const char *why) {
    struct checkout *c = CONTAINER_OF(l, struct checkout, launch);
    if (j)
        job_attach(j, &c->reader, 0, true);
    else
        fail(c, 1, why);
}

/* It must not wait for somebody to type a password. */
static const char **make_env(void) {
    static const char no_prompt[] = "GIT_TERMINAL_PROMPT=0";
    const char **env = calloc(2, sizeof *env);
    if (env)
        env[0] = no_prompt;
    return env;
}

static void run(struct checkout *c, const struct text *command, span limit) {
    struct channel *ch = channel_of(c->x);
    cf_launch_release(&c->launch);
    cf_output_free(&c->command);
    cf_output_put(&c->command, command->buf, command->len);
    c->launch = (struct cf_launch){ .command = &c->command,
                                    .env = make_env(),
                                    .id = "cf-git",
                                    .alone = true,
                                    .limit_ms = span_to_ms(limit),
                                    .started = started,
                                    .channel = ch,
                                    .user = cf_user(c->x),
                                    .x = c->x };
    if (!c->launch.env || c->command.failed || command->cut)
        cf_no_memory(c->x, "a checkout");
    else
        cf_launch(&c->launch, *c->session ? cf_session_find(ch, c->session) : NULL);
}

static void clone(struct checkout *c) {
    char buf[COMMAND_BYTES];
    struct text t = TEXT(buf);
    text_add(&t, "\\command exec git -c http.lowSpeedLimit=1024 -c http.lowSpeedTime=30 clone "
                 "--filter=blob:none");
    if (c->branch) {
        text_add(&t, " --branch ");
        frame_quote(&t, c->branch);
    }
    if (c->depth > 0)
        text_add(&t, " --depth %lld", (long long)c->depth);
    text_add(&t, " -- ");
    frame_quote(&t, c->url);
    text_add(&t, " ");
    frame_quote(&t, c->dir);
    run(c, &t, c->limit);
}

static void ask_branch(struct checkout *c) {
    char buf[COMMAND_BYTES];
    struct text t = TEXT(buf);
    c->cloned = true;
    cf_output_free(&c->out);
    cf_output_free(&c->err);
    text_add(&t, "\\command exec git -C ");
    frame_quote(&t, c->dir);
    text_add(&t, " branch --show-current");
    run(c, &t, span_s(BRANCH_S));
}

static int status_of(const struct job_end *end) {
    return end->timed_out      ? EXIT_TIMED_OUT
           : !end->known       ? 1
           : end->how.signaled ? 128 + end->how.code
                               : end->how.code;
}

static void clone_failed(struct checkout *c, int status, bool timed_out) {
    char words[MAX_SHOWN];
    struct text t = TEXT(words);
    if (timed_out)
        text_add(&t, "it took longer than %lld ms and was ended\n",
                 (long long)span_to_ms(c->limit));
    if (status == EXIT_NOT_FOUND)
        text_add(&t, "git is not in this image: install it there\n");
    last_words(&c->err, words + t.len, sizeof words - t.len);
    fail(c, status, words);
}

static void job_over(struct checkout *c) {
    struct job *j = c->reader.job;
    int status = status_of(&j->end);
    bool timed_out = j->end.timed_out;
    job_detach(&c->reader);
    (void)job_forget(j);
    if (c->cloned)
        answer(c); /* also where git cannot say it: an empty repository has none */
    else if (status == 0)
        ask_branch(c);
    else
        clone_failed(c, status, timed_out);
}

static void never_ran(struct checkout *c) {
    const struct job *j = c->reader.job;
    char words[sizeof j->why];
    (void)snprintf(words, sizeof words, "%s", j->why);
    job_detach(&c->reader);
    fail(c, 126, words);
}

static void put(struct cf_output *o, const struct job_chunk *k) {
    if (o->size < MAX_HEARD_GIT)
        cf_output_put(o, k->bytes, k->n);
}

static void ready(struct job_reader *r) {
    struct checkout *c = CONTAINER_OF(r, struct checkout, reader);
    struct job_chunk k;
    if (r->job->state == JOB_STARTING)
        return;
    if (r->job->state == JOB_FAILED) {
        never_ran(c);
        return;
    }
    for (;;) {
        switch (job_read(r, &k)) {
        case JOB_READ_DATA:
            put(k.stream == RING_STDOUT ? &c->out : &c->err, &k);
            job_took(r, k.n);
            break;
        case JOB_READ_MISSED:
            break;
        case JOB_READ_END:
            job_over(c);
            return;
        default:
            return;
        }
    }
}

/* --- the request ------------------------------------------------------------------------------ */

/* Nobody waits for it any more. */
static void over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct checkout *c = x->ctx;
    if (c->reader.job)
        job_abandon(c->reader.job);
    job_detach(&c->reader);
    cf_launch_release(&c->launch);
    cf_output_free(&c->command);
    cf_output_free(&c->out);
    cf_output_free(&c->err);
    free(c->url);
    free(c->branch);
    free(c->dir);
    free(c->shown_dir);
    free(c);
}

static const struct http_handler handler = { .over = over };

/* /workspace/NAME: the URL's last part without .git. */
static void default_dir(const char *url, char out[PATH_MAX]) {
    size_t n = strcspn(url, "?#"), from;
    while (n > 0 && url[n - 1] == '/')
        n--;
    for (from = n; from > 0 && url[from - 1] != '/' && url[from - 1] != ':';)
        from--;
    size_t len = n - from;
    if (len > 4 && memcmp(url + n - 4, ".git", 4) == 0)
        len -= 4;
    bool usable = len > 0 && len < NAME_MAX && !(len <= 2 && url[from] == '.');
    (void)snprintf(out, PATH_MAX, "%s/%.*s", CF_WORKSPACE, usable ? (int)len : 10,
                   usable ? url + from : "repository");
}

/* False: out of memory, or it has been answered (*told). */
static bool take(struct checkout *c, yyjson_val *body, bool *told) {
    char dir[PATH_MAX];
    const char *url = cf_text(body, "repoUrl"), *branch = cf_text(body, "branch");
    const char *target = cf_text(body, "targetDir");
    int64_t ms = cf_number(body, "timeoutMs", 0, CF_MAX_TIMEOUT_MS, 0);
    default_dir(url, dir);
    *told = (target && *target && cf_path_fault(cf_bytes(body, "targetDir"))) ||
            (branch && strlen(branch) > MAX_BRANCH);
    if (*told) {
        const char *fault = cf_path_fault(cf_bytes(body, "targetDir"));
        bool of_dir = target && *target && fault;
        cf_refuse_member(c->x, of_dir ? "targetDir" : "branch",
                         of_dir ? "INVALID_PATH" : "INVALID_BRANCH",
                         of_dir ? fault : "Branch must not be longer than 4096 characters");
        return false;
    }
    c->shown_dir = strdup(target && *target ? target : dir);
    c->url = strdup(url);
    c->branch = branch && *branch ? strdup(branch) : NULL;
    c->depth = cf_number(body, "depth", 0, INT32_MAX, 0);
    c->limit = ms > 0 ? span_ms(ms) : span_s(CLONE_S);
    if (!c->shown_dir || !c->url || (branch && *branch && !c->branch) ||
        !cf_session_path(channel_of(c->x), c->session, c->shown_dir, dir))
        return false;
    c->dir = strdup(dir);
    return c->dir != NULL;
}

static bool has_url(struct http_exchange *x, yyjson_val *body) {
    struct slice url = cf_bytes(body, "repoUrl");
    if (url.n > 0 && url.n <= MAX_URL && !memchr(url.s, '\0', url.n))
        return true;
    cf_fail(x, CF_INVALID_GIT_URL, NULL,
            "repoUrl: the URL of a repository is needed, of at most "
            "8192 characters");
    return false;
}

void cf_git_checkout(struct http_exchange *x, yyjson_val *body) {
    bool told = false;
    body = cf_body(x, body);
    if (!body || !has_url(x, body))
        return;
    struct cf_session *s = NULL;
    if (!cf_session_for(x, body, &s))
        return;
    struct checkout *c = calloc(1, sizeof *c);
    if (!c) {
        cf_no_memory(x, "a checkout");
        return;
    }
    c->x = x;
    c->command = c->out = c->err = CF_OUTPUT_EMPTY;
    (void)snprintf(c->session, sizeof c->session, "%s", s ? s->id : "");
    c->reader.ready = ready;
    x->ctx = c;
    x->handler = &handler;
    if (take(c, body, &told))
        clone(c);
    else if (!told)
        cf_no_memory(x, "a checkout");
}
