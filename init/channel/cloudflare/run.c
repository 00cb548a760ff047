/* run.c — one command in a session's shell. */
#include "channel/cloudflare/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/cloudflare/pipe.h"

enum {
    TERM_MS = 5000, /* from TERM to KILL of what has timed out */
    KILL_MS = 1000, /* from that to the end of the shell, which is still not free */
    MUTE_MS = 1000, /* between two looks at a shell whose command has no output any more */
};

static struct loop *loop_of(const struct cf_run *r) { return &r->session->channel->loop; }
static struct cf_shell *shell_of(const struct cf_run *r) { return &r->session->shell; }

struct cf_run *cf_run_new(struct cf_session *s) {
    struct cf_run *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->session = s;
    r->timeout = s->timeout;
    r->out = r->err = CF_OUTPUT_EMPTY;
    return r;
}

static void run_free(struct cf_run *r) {
    timer_stop(&r->limit);
    timer_stop(&r->patience);
    timer_stop(&r->mute);
    list_remove(&r->link);
    for (int i = 0; i < 2; i++)
        cf_pipe_done(&r->pipes[i]);
    cf_output_free(&r->out);
    cf_output_free(&r->err);
    free(r->env);
    free(r->cwd);
    free(r);
}

void cf_run_leave(struct cf_run *r) {
    const struct cf_shell *sh = shell_of(r);
    r->done = NULL;
    if (!sh->busy || sh->runs.next != &r->link) {
        run_free(r);
        return;
    }
    for (int i = 0; i < 2; i++)
        if (r->pipes[i])
            cf_pipe_ignore(r->pipes[i]);
    cf_output_free(&r->out);
    cf_output_free(&r->err);
}

static void tell(struct cf_run *r, enum cf_run_how how) {
    void (*done)(struct cf_run *) = r->done;
    r->how = how;
    r->done = NULL;
    if (done)
        done(r);
}

/* --- its time --------------------------------------------------------------------------------- */

/* Of a command that has closed its output, or sent it elsewhere, the shell reads nothing until it
 * is over. One that reads but says no status never will (`set -n`, for one). */
static void look_at_mute(struct timer *t) {
    struct cf_run *r = CONTAINER_OF(t, struct cf_run, mute);
    struct job *j = shell_of(r)->reader.job;
    if (!j)
        return;
    if (r->asked && job_unread(j) == 0) {
        (void)job_signal(j, SIGKILL, JOB_LEADER);
        return;
    }
    if (!r->asked)
        (void)job_write(j, "\n", 1);
    r->asked = true;
    timer_arm(loop_of(r), t, span_ms(MUTE_MS));
}

/* Those that a shell has left behind which gave their command up, and that have not heeded TERM. */
struct left {
    struct timer timer;
    struct job_reader reader; /* so that the job stays */
    struct job_since since;
};

static void kill_left(struct timer *t) {
    struct left *l = CONTAINER_OF(t, struct left, timer);
    (void)job_signal_since(l->reader.job, SIGKILL, l->since);
    job_detach(&l->reader);
    free(l);
}

static void no_news(struct job_reader *r) { (void)r; }

void cf_run_left(const struct cf_run *r, struct job *j) {
    struct left *l = kill(-j->leader, 0) == 0 ? calloc(1, sizeof *l) : NULL;
    if (!l)
        return;
    l->timer.fire = kill_left;
    l->reader.ready = no_news;
    l->since = r->began;
    job_attach(j, &l->reader, -1, false);
    timer_arm(loop_of(r), &l->timer, span_ms(TERM_MS));
}

static void press(struct timer *t) {
    struct cf_run *r = CONTAINER_OF(t, struct cf_run, patience);
    struct job *j = shell_of(r)->reader.job;
    if (!j)
        return;
    if (r->pressed) { /* the shell itself is what does not end */
        (void)job_signal(j, SIGKILL, JOB_LEADER);
        return;
    }
    r->pressed = true;
    (void)job_signal_since(j, SIGKILL, r->began);
    timer_arm(loop_of(r), t, span_ms(KILL_MS));
}

/* The shell is to give up the command, once what it waits for has ended; and that is told to. */
static void time_over(struct timer *t) {
    struct cf_run *r = CONTAINER_OF(t, struct cf_run, limit);
    struct job *j = shell_of(r)->reader.job;
    r->given_up = true;
    (void)unlinkat(shell_of(r)->dir_fd, FRAME_SAVED, 0);
    for (int i = 0; i < 2; i++)
        if (r->pipes[i])
            cf_pipe_ignore(r->pipes[i]);
    if (j) {
        (void)job_signal(j, FRAME_ABORT, JOB_LEADER);
        (void)job_signal_since(j, SIGTERM, r->began);
        timer_arm(loop_of(r), &r->patience, span_ms(TERM_MS));
    }
    tell(r, CF_RUN_TIMED_OUT);
}

/* Both streams have ended, so in most cases the command has. */
static void stream_ended(void *run) {
    struct cf_run *r = run;
    bool both =
        r->pipes[0] && r->pipes[1] && cf_pipe_ended(r->pipes[0]) && cf_pipe_ended(r->pipes[1]);
    if (both)
        timer_arm(loop_of(r), &r->mute, span_ms(MUTE_MS));
}

/* --- its beginning ---------------------------------------------------------------------------- */

static void numbered(char out[32], const char *name, uint64_t serial) {
    (void)snprintf(out, 32, "%s.%" PRIu64, name, serial);
}

static int open_pipes(struct cf_run *r, struct err *e) {
    static const char *const names[] = { "out", "err" };
    const struct cf_shell *sh = shell_of(r);
    char dir[CF_DIR_TEXT + 1];
    struct text d = TEXT(dir);
    text_add(&d, "%s/", sh->dir); /* so that messages begin with "bash: " */
    for (int i = 0; i < 2; i++) {
        char name[32];
        numbered(name, names[i], r->serial);
        struct cf_pipe_args a = { .dir = sh->dir_fd,
                                  .name = name,
                                  .uid = r->session->uid,
                                  .hide = i == 0 || d.cut ? NULL : dir,
                                  .into = !r->done ? NULL
                                          : i == 0 ? &r->out
                                                   : &r->err,
                                  .ended = stream_ended,
                                  .arg = r };
        r->pipes[i] = cf_pipe_new(r->session->channel, &a);
        if (!r->pipes[i])
            return err_sys(e, errno, "make a pipe for a command");
    }
    return 0;
}

static int write_apart(struct cf_run *r, const struct frame_shell *f, struct err *e) {
    const struct cf_shell *sh = shell_of(r);
    size_t cap = frame_size(r->env, r->cwd);
    AUTO_FREE char *buf = malloc(cap);
    struct text t = { .buf = buf, .cap = cap };
    if (!buf)
        return err_sys(e, ENOMEM, "write a command's variables");
    frame_put_before(&t, f, r->env, r->cwd);
    int rc = cf_dir_write(sh->dir_fd, r->session->uid, FRAME_BEFORE, t.buf, t.len, e);
    t.len = 0;
    frame_put_after(&t, f, r->env, r->cwd);
    return rc < 0 ? rc : cf_dir_write(sh->dir_fd, r->session->uid, FRAME_AFTER, t.buf, t.len, e);
}

static int write_files(struct cf_run *r, const struct frame_shell *f, struct err *e) {
    const struct cf_shell *sh = shell_of(r);
    int rc = cf_dir_write_command(sh->dir_fd, r->session->uid, f->bash ? FRAME_BASH : FRAME_SH,
                                  (struct slice){ "", 0 }, r->command, e);
    return rc == 0 && (r->env || r->cwd) ? write_apart(r, f, e) : rc;
}

/* For the next channel, should this one end before the command does: when, and who was there when
 * it began. Without it that would run for as long as it likes. */
static void record_limit(struct cf_run *r) {
    char buf[96];
    struct text t = TEXT(buf);
    struct err e;
    text_add(&t, "%" PRId64 " %" PRIu64 " %d\n", instant_add(loop_of(r)->now, r->timeout).ns,
             r->began.ticks, (int)r->began.last);
    r->limited = cf_dir_write(shell_of(r)->dir_fd, geteuid(), FRAME_LIMIT, t.buf, t.len, &e) == 0;
}

void cf_run_resume(struct cf_run *r) {
    char text[96] = "", *end = text;
    AUTO_FD int fd =
        openat(shell_of(r)->dir_fd, FRAME_LIMIT, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    r->timeout = SPAN_NEVER;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
        read(fd, text, sizeof text - 1) > 0) {
        int64_t left = strtoll(text, &end, 10) - loop_of(r)->now.ns;
        r->began.ticks = strtoull(end, &end, 10);
        r->began.last = (pid_t)strtol(end, &end, 10);
        r->timeout = left > span_ms(1).ns ? (span){ left } : span_ms(1);
        r->limited = true;
    }
    cf_run_submit(r);
}

bool cf_run_begin(struct cf_run *r) {
    struct cf_shell *sh = shell_of(r);
    const struct frame_shell f = { .dir = sh->dir, .bash = sh->bash };
    struct err e = { 0 };
    struct text t = { .buf = sh->frame, .cap = FRAME_TEXT, .len = sh->frame_len };
    r->serial = ++r->session->channel->cloudflare.serial;
    if (r->is_question) {
        frame_dump(&t, &f, r->serial);
    } else if (write_files(r, &f, &e) < 0 || open_pipes(r, &e) < 0) {
        (void)snprintf(r->why, sizeof r->why, "%s", e.text);
        return false;
    } else {
        frame_run(&t, &f, r->serial, r->env || r->cwd, r->cwd);
    }
    if (t.cut) {
        (void)snprintf(r->why, sizeof r->why, "the directory's path is too long");
        return false;
    }
    sh->frame_len = t.len;
    r->limit.fire = time_over;
    r->patience.fire = press;
    r->mute.fire = look_at_mute;
    if (span_is_never(r->timeout))
        return true;
    if (!r->limited) {
        r->began = job_now();
        record_limit(r);
    }
    timer_arm(loop_of(r), &r->limit, r->timeout);
    return true;
}

/* --- its end ---------------------------------------------------------------------------------- */

static void remove_files(struct cf_run *r) {
    char name[32];
    if (r->limited)
        (void)unlinkat(shell_of(r)->dir_fd, FRAME_LIMIT, 0);
    for (int i = 0; r->serial && !r->is_question && i < 2; i++) {
        cf_pipe_done(&r->pipes[i]);
        numbered(name, i == 0 ? "out" : "err", r->serial);
        (void)unlinkat(shell_of(r)->dir_fd, name, 0);
    }
}

void cf_run_end(struct cf_run *r, enum cf_run_how how, int status) {
    timer_stop(&r->limit);
    timer_stop(&r->patience);
    timer_stop(&r->mute);
    list_remove(&r->link);
    remove_files(r);
    r->status = status;
    tell(r, how);
    run_free(r);
}

static void end_now(struct timer *t) {
    struct cf_run *r = CONTAINER_OF(t, struct cf_run, limit);
    struct cf_session *s = r->session;
    s->shell.busy = false;
    cf_run_end(r, r->how, -1);
    cf_shell_next(s);
}

void cf_run_end_soon(struct cf_run *r, enum cf_run_how how) {
    r->how = how;
    r->limit.fire = end_now;
    timer_arm(loop_of(r), &r->limit, span_ms(0));
}

void cf_run_submit(struct cf_run *r) {
    list_insert_before(&shell_of(r)->runs, &r->link);
    cf_shell_next(r->session);
}

void cf_run_state(const struct cf_run *r, char out[PATH_MAX]) {
    const struct cf_shell *sh = shell_of(r);
    *out = '\0';
    if (sh->states[0])
        (void)snprintf(out, PATH_MAX, "%s/state.%" PRIu64, sh->dir, sh->states[0]);
}
