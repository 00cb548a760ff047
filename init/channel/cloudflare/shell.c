#include "channel/cloudflare/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "channel/cloudflare/pipe.h"
#include "channel/cloudflare/process.h"
#include "channel/cloudflare/run.h"
#include "channel/shell.h"

enum { NOISE_BYTES = 16 << 10 }; /* of what a shell itself prints: nobody reads it */

static struct cf_session *session_of(struct cf_shell *sh) {
    return CONTAINER_OF(sh, struct cf_session, shell);
}

static struct cf_run *first_run(const struct cf_shell *sh) {
    return list_empty(&sh->runs) ? NULL : CONTAINER_OF(sh->runs.next, struct cf_run, link);
}

/* --- frames on their way ---------------------------------------------------------------------- */

static void feed(struct cf_shell *sh) {
    struct job *j = sh->reader.job;
    while (j && sh->frame_at < sh->frame_len) {
        ssize_t n = job_write(j, sh->frame + sh->frame_at, sh->frame_len - sh->frame_at);
        if (n < 0)
            return; /* its end is about to be told */
        if (n == 0) {
            job_await_room(j, &sh->input);
            return;
        }
        sh->frame_at += (size_t)n;
    }
    sh->frame_at = sh->frame_len = 0;
}

static void feed_on(struct job_input *in) { feed(CONTAINER_OF(in, struct cf_shell, input)); }

/* --- what it says ----------------------------------------------------------------------------- */

/* A print of its state is new: the oldest of the earlier ones goes. */
static void state_printed(struct cf_shell *sh, uint64_t serial) {
    uint64_t oldest = sh->states[CF_STATES - 1];
    char name[32];
    (void)snprintf(name, sizeof name, "state.%" PRIu64, oldest);
    if (oldest)
        (void)unlinkat(sh->dir_fd, name, 0);
    memmove(sh->states + 1, sh->states, sizeof sh->states - sizeof sh->states[0]);
    sh->states[0] = serial;
    sh->changed = false;
}

static void run_over(struct cf_shell *sh, struct cf_run *r, int status) {
    struct cf_session *s = session_of(sh);
    if (r->is_question)
        state_printed(sh, r->serial);
    else
        sh->changed = true;
    sh->busy = false;
    cf_run_end(r, CF_RUN_DONE, status);
    cf_shell_next(s);
}

/* "SERIAL STATUS"; others are of nobody who still waits. */
static void take_line(struct cf_shell *sh, const char *line) {
    char *end;
    struct cf_run *r = first_run(sh);
    uint64_t serial = strtoull(line, &end, 10);
    if (sh->busy && r && r->serial == serial && *end == ' ')
        run_over(sh, r, (int)strtol(end, NULL, 10));
}

static void take_heard(struct cf_shell *sh) {
    char *end;
    sh->heard[sh->nheard] = '\0';
    while ((end = memchr(sh->heard, '\n', sh->nheard))) {
        char line[sizeof sh->heard];
        size_t n = (size_t)(end - sh->heard);
        memcpy(line, sh->heard, n);
        line[n] = '\0';
        sh->nheard -= n + 1;
        memmove(sh->heard, end + 1, sh->nheard + 1);
        take_line(sh, line);
    }
    if (sh->nheard == sizeof sh->heard - 1) /* no line of ours is so long */
        sh->nheard = 0;
}

static void control_ready(struct source *src, uint32_t got) {
    (void)got;
    struct cf_shell *sh = CONTAINER_OF(src, struct cf_shell, control);
    for (ssize_t n = 1; n > 0;) {
        n = read(src->fd, sh->heard + sh->nheard, sizeof sh->heard - 1 - sh->nheard);
        sh->nheard += n > 0 ? (size_t)n : 0;
        take_heard(sh);
    }
}

/* --- its end ---------------------------------------------------------------------------------- */

static void let_go(struct cf_shell *sh) {
    job_forgo_room(&sh->input);
    job_detach(&sh->reader);
    sh->frame_at = sh->frame_len = sh->nheard = 0;
    sh->changed = false;
    memset(sh->states, 0, sizeof sh->states);
}

/* One that gave a command up leaves its state to the next. */
static bool has_saved(const struct cf_shell *sh) {
    struct stat st;
    return fstatat(sh->dir_fd, FRAME_SAVED, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0;
}

static void shell_ended(struct cf_shell *sh) {
    struct cf_session *s = session_of(sh);
    struct job *j = sh->reader.job;
    struct cf_run *r = sh->busy ? first_run(sh) : NULL;
    bool failed = j->state == JOB_FAILED;
    int status = cf_exit_status(j);
    if (r && failed)
        (void)snprintf(r->why, sizeof r->why, "%s", j->why);
    if (r && r->given_up)
        cf_run_left(r, j);
    let_go(sh);
    sh->busy = false;
    sh->saved = sh->changed = r && r->given_up && has_saved(sh);
    if (r)
        cf_run_end(r, failed ? CF_RUN_FAILED : CF_RUN_ENDED, status);
    cf_shell_next(s);
}

static void job_news(struct job_reader *reader) {
    struct cf_shell *sh = CONTAINER_OF(reader, struct cf_shell, reader);
    struct job_chunk c;
    enum job_read got;
    while ((got = job_read(reader, &c)) == JOB_READ_DATA || got == JOB_READ_MISSED)
        job_took(reader, c.n);
    if (got == JOB_READ_END)
        shell_ended(sh);
}

/* --- its beginning ---------------------------------------------------------------------------- */

/* Variables that a session's shell may have come without. */
static int write_dump(struct cf_session *s, const struct frame_shell *f, struct err *e) {
    const char *const *env = s->channel->role->env;
    size_t cap = frame_size(env, NULL) + frame_size(s->env, NULL);
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf)
        return err_sys(e, ENOMEM, "begin a shell");
    frame_put_dump(&t, f, env, s->env);
    int rc = cf_dir_write(s->shell.dir_fd, s->uid, FRAME_DUMP, t.buf, t.len, e);
    t.len = 0;
    frame_put_save(&t, f);
    return rc < 0 ? rc : cf_dir_write(s->shell.dir_fd, s->uid, FRAME_SAVE, t.buf, t.len, e);
}

static int open_control(struct cf_session *s, struct err *e) {
    struct cf_shell *sh = &s->shell;
    sh->control.fd = cf_fifo_open(sh->dir_fd, FRAME_CONTROL, s->uid);
    int rc = sh->control.fd < 0 ? sh->control.fd : loop_watch(&s->channel->loop, &sh->control);
    return rc < 0 ? err_sys(e, -rc, "make a pipe for a shell") : 0;
}

static int make_dir(struct cf_session *s, struct err *e) {
    struct cf_shell *sh = &s->shell;
    if (sh->dir_fd >= 0)
        return 0;
    const struct frame_shell f = { .dir = sh->dir, .bash = sh->bash };
    sh->dir_fd = cf_dir_make(s->channel, s->uid, sh->dir, e);
    if (sh->dir_fd < 0)
        return sh->dir_fd;
    int rc = write_dump(s, &f, e);
    if (rc == 0)
        rc = cf_session_record(s, e);
    return rc < 0 ? rc : open_control(s, e);
}

static int write_first(struct cf_session *s, struct err *e) {
    struct cf_shell *sh = &s->shell;
    const struct frame_shell f = { .dir = sh->dir, .bash = sh->bash };
    size_t cap = frame_size(NULL, s->cwd);
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf)
        return err_sys(e, ENOMEM, "begin a shell");
    frame_put_first(&t, &f, s->cwd, sh->saved);
    return cf_dir_write(sh->dir_fd, s->uid, FRAME_FIRST, t.buf, t.len, e);
}

/* Shells that have ended are of no use, unless they have left somebody behind: jobs that others
 * want to see are to be kept in their place. */
static void forget_ended(struct channel *ch) {
    for (struct link *l = ch->jobs.all.next, *next; l != &ch->jobs.all; l = next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        next = l->next;
        if (j->state == JOB_ENDED && strcmp(j->key, CF_SHELL_KEY) == 0 && kill(-j->leader, 0) < 0)
            (void)job_forget(j);
    }
}

static const char *name_of(const struct cf_shell *sh) {
    const char *slash = strrchr(sh->dir, '/');
    return slash ? slash + 1 : "";
}

/* All that this session has had, with what they have started. */
static void end_jobs(struct cf_session *s) {
    struct link *all = &s->channel->jobs.all;
    const char *name = name_of(&s->shell);
    for (struct link *l = all->next; l != all; l = l->next) {
        struct job *j = CONTAINER_OF(l, struct job, link);
        if (strcmp(j->key, CF_SHELL_KEY) != 0 || strcmp(j->tag, name) != 0)
            continue;
        if (j->state == JOB_ENDED)
            (void)job_signal(j, SIGKILL, JOB_TREE);
        else
            job_abandon(j);
    }
}

static int start_job(struct cf_session *s, struct err *e) {
    struct cf_shell *sh = &s->shell;
    const char *bash = shell_bash();
    const char *argv[] = { bash ? bash : "/bin/sh", bash ? "--norc" : NULL, NULL };
    enum job_reason why;
    struct job_spec spec = { .argv = argv,
                             .env = s->env,
                             .cwd = cf_session_first_dir(s),
                             .user = s->user,
                             .tag = name_of(sh),
                             .key = CF_SHELL_KEY,
                             .stdin_pipe = true,
                             .timeout = SPAN_NEVER,
                             .keep = NOISE_BYTES };
    forget_ended(s->channel);
    struct job *j = job_start(&s->channel->jobs, &spec, &why, e);
    if (!j)
        return -EAGAIN;
    job_attach(j, &sh->reader, 0, false);
    return 0;
}

/* 0: there is one, though it may be about to fail. */
static int begin(struct cf_session *s, struct err *e) {
    struct cf_shell *sh = &s->shell;
    if (sh->reader.job)
        return 0;
    if (!sh->frame)
        sh->frame = malloc(FRAME_TEXT);
    if (!sh->frame)
        return err_sys(e, ENOMEM, "begin a shell");
    int rc = make_dir(s, e);
    if (rc == 0)
        rc = write_first(s, e);
    if (rc == 0)
        rc = start_job(s, e);
    if (rc < 0)
        return rc;
    const struct frame_shell f = { .dir = sh->dir, .bash = sh->bash };
    struct text t = { .buf = sh->frame, .cap = FRAME_TEXT };
    frame_first(&t, &f);
    sh->frame_len = t.len;
    return 0;
}

void cf_shell_warm(struct cf_session *s) {
    struct err e = { 0 };
    if (begin(s, &e) == 0)
        feed(&s->shell);
}

/* Whatever it is still running ends first: then it is asked for its state. */
bool cf_shell_resume(struct cf_session *s, struct job *j) {
    struct cf_shell *sh = &s->shell;
    struct err e;
    sh->frame = malloc(FRAME_TEXT);
    struct cf_run *r = cf_run_new(s);
    if (!sh->frame || !r || open_control(s, &e) < 0) {
        if (r)
            cf_run_leave(r);
        cf_session_free(s);
        return false;
    }
    job_attach(j, &sh->reader, -1, false);
    sh->frame_len = 1; /* to end what may have been written in part */
    sh->frame[0] = '\n';
    sh->changed = true;
    r->is_question = true;
    cf_run_resume(r);
    return true;
}

/* --- one after the other ---------------------------------------------------------------------- */

/* Of a run that only asks for the state: is it known? */
static bool is_known(const struct cf_shell *sh, const struct cf_run *r) {
    return r->is_question && !sh->changed;
}

static void begin_run(struct cf_session *s, struct cf_run *r) {
    struct cf_shell *sh = &s->shell;
    struct err e = { 0 };
    if (begin(s, &e) < 0) {
        (void)snprintf(r->why, sizeof r->why, "%s", e.text);
        cf_run_end_soon(r, CF_RUN_FAILED);
        return;
    }
    if (cf_run_begin(r))
        feed(sh);
    else
        cf_run_end_soon(r, CF_RUN_FAILED);
}

void cf_shell_next(struct cf_session *s) {
    struct cf_shell *sh = &s->shell;
    struct cf_run *r = first_run(sh);
    if (sh->busy || !r)
        return;
    sh->busy = true;
    if (is_known(sh, r))
        cf_run_end_soon(r, CF_RUN_DONE);
    else
        begin_run(s, r);
}

void cf_shell_init(struct cf_session *s) {
    struct cf_shell *sh = &s->shell;
    list_init(&sh->runs);
    sh->bash = shell_bash() != NULL;
    if (!sh->bash && !s->channel->cloudflare.told_no_bash)
        log_warn("channel", "there is no bash in this image, which commands for Cloudflare's "
                            "sandboxes are written for: /bin/sh runs them instead");
    s->channel->cloudflare.told_no_bash |= !sh->bash;
    sh->dir_fd = sh->control.fd = -1;
    sh->control.want = EPOLLIN;
    sh->control.ready = control_ready;
    sh->reader.ready = job_news;
    sh->input.room = feed_on;
}

void cf_shell_end(struct cf_session *s) {
    struct cf_shell *sh = &s->shell;
    if (sh->dir_fd >= 0)
        end_jobs(s);
    let_go(sh);
    sh->busy = false;
    for (struct cf_run *r; (r = first_run(sh));)
        cf_run_end(r, CF_RUN_DELETED, -1);
    loop_unwatch(&sh->control);
    fd_close(&sh->control.fd);
    cf_dir_remove(&sh->dir_fd, sh->dir);
    mem_release(&sh->frame);
}

bool cf_shell_cwd(const struct cf_shell *sh, char out[PATH_MAX]) {
    char path[64];
    const struct job *j = sh->reader.job;
    if (!j || j->state != JOB_RUNNING || j->reaped)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/cwd", (int)j->pid);
    ssize_t n = readlink(path, out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
    if (n <= 0 || *out != '/')
        return false;
    if (has_suffix(out, " (deleted)")) /* or it is called so: this is its name in any case */
        (void)strcpy(out, path);
    return true;
}
