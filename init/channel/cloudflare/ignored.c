#include "channel/cloudflare/ignored.h"

#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "base/grow.h"
#include "base/own.h"

enum {
    ASK_S = 60,           /* until git is ended */
    LIST_BYTES = 1 << 20, /* bytes of what it says; more is too much */
    EXIT_FATAL = 128,     /* of git: among other things, there is no repository */
};

/* --- patterns --------------------------------------------------------------------------------- */

/* A path from the directory on, and no pattern; its length. git ends directories with a slash. */
static size_t put_pattern(char *to, const char *path) {
    char *start = to;
    *to++ = '/';
    for (; *path; path++) {
        if (strchr("*?\\", *path))
            *to++ = '\\';
        *to++ = *path;
    }
    if (to[-1] == '/' && to > start + 1)
        to--;
    *to = '\0';
    return (size_t)(to - start);
}

/* Of texts with a NUL after each, which are `n`. Each needs twice its bytes at most, a slash and a
 * NUL. NULL: no memory. */
static const char **make_patterns(const char *texts, size_t size, size_t n, size_t *count) {
    const char **list = malloc((n + 1) * sizeof *list + 2 * size + 2 * n + 1);
    char *to = (char *)(list ? list + n + 1 : NULL);
    *count = 0;
    for (const char *p = texts; list && p < texts + size; p += strlen(p) + 1) {
        size_t len = put_pattern(to, p);
        if (len > GLOB_MAX) /* too long for a pattern: then it is kept */
            continue;
        list[(*count)++] = to;
        to += len + 1;
    }
    return list;
}

/* Why not, in words; NULL. */
static const char *take_list(struct cf_ignored *g) {
    size_t n = 0;
    for (size_t i = 0; i < g->nheard; i++)
        n += g->heard[i] == '\0';
    if (g->too_much || n > MAX_CF_IGNORED)
        return "git ignores more paths than can be left out: name them in excludes";
    if (n == 0 || g->heard[g->nheard - 1])
        return NULL;
    g->patterns = make_patterns(g->heard, g->nheard, n, &g->n);
    return g->patterns ? NULL : "out of memory for what git ignores";
}

/* --- the job ---------------------------------------------------------------------------------- */

static void hear(struct cf_ignored *g, const char *bytes, size_t n) {
    size_t need = g->nheard + n;
    g->too_much |= need > LIST_BYTES || !mem_grow(&g->heard, &g->cap, need, 1);
    if (g->too_much)
        return;
    memcpy(g->heard + g->nheard, bytes, n);
    g->nheard = need;
}

static void hear_error(struct cf_ignored *g, const char *bytes, size_t n) {
    size_t room = sizeof g->error - 1 - g->nerror;
    n = n < room ? n : room;
    memcpy(g->error + g->nerror, bytes, n);
    g->nerror += n;
    g->error[g->nerror] = '\0';
}

static void take_end(struct cf_ignored *g) {
    struct job *j = g->reader.job;
    struct job_end end = j->end;
    char words[sizeof g->error + 64];
    struct text t = TEXT(words);
    int code = end.known && !end.how.signaled ? end.how.code : -1;
    job_detach(&g->reader);
    (void)job_forget(j);
    text_add(&t, "git cannot say what it ignores: %s", g->nerror ? g->error : "it was ended");
    if (code == 0)
        g->done(g, take_list(g));
    else if (code == EXIT_FATAL && strstr(g->error, "not a git repository"))
        g->done(g, NULL);
    else
        g->done(g, words);
}

static void take_failure(struct cf_ignored *g) {
    char words[sizeof g->reader.job->why + 64];
    struct text t = TEXT(words);
    text_add(&t, "gitignore needs git in the image: %s", g->reader.job->why);
    job_detach(&g->reader);
    g->done(g, words);
}

static void ready(struct job_reader *r) {
    struct cf_ignored *g = CONTAINER_OF(r, struct cf_ignored, reader);
    struct job_chunk k;
    if (r->job->state == JOB_STARTING)
        return;
    if (r->job->state == JOB_FAILED) {
        take_failure(g);
        return;
    }
    enum job_read next;
    while ((next = job_read(r, &k)) == JOB_READ_DATA) {
        if (k.stream == RING_STDOUT)
            hear(g, k.bytes, k.n);
        else
            hear_error(g, k.bytes, k.n);
        job_took(r, k.n);
    }
    if (next == JOB_READ_END)
        take_end(g);
}

/* The directory may be somebody else's than whom git runs as: that is no danger for a list. */
void cf_ignored_begin(struct cf_ignored *g, struct channel *ch, const char *dir, const char *user) {
    const char *argv[] = { "git",         "-c",        "safe.directory=*",
                           "-C",          dir,         "ls-files",
                           "--others",    "--ignored", "--exclude-standard",
                           "--directory", "-z",        NULL };
    static const char *const env[] = { "LC_ALL=C", NULL };
    struct err e = { 0 };
    enum job_reason why;
    const struct job_spec spec = { .argv = argv,
                                   .env = env,
                                   .cwd = "/",
                                   .user = user,
                                   .tag = "cf-git",
                                   .key = "",
                                   .timeout = span_s(ASK_S),
                                   .kill_after = span_s(1) };
    g->reader.ready = ready;
    struct job *j = job_start(&ch->jobs, &spec, &why, &e);
    if (j)
        job_attach(j, &g->reader, 0, true);
    else
        g->done(g, e.text);
}

void cf_ignored_stop(struct cf_ignored *g) {
    if (g->reader.job)
        job_abandon(g->reader.job);
    job_detach(&g->reader);
    mem_release(&g->heard);
    mem_release(&g->patterns);
}
