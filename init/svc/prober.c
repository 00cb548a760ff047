#include "svc/prober.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

enum { HARD_END_MS = 500 }; /* an attempt ends itself by its deadline; then it is killed */

/* --- in the attempt ----------------------------------------------------------------- */

struct attempt {
    const struct probe_spec *spec;
    instant deadline;
    int reason_fd;
    const struct rlimit *nofile;
};

static int attempt_run(void *arg) {
    const struct attempt *a = arg;
    struct err e = { 0 };
    if (a->nofile->rlim_max > 0)
        (void)setrlimit(RLIMIT_NOFILE, a->nofile);
    int rc = probe_run(a->spec, a->deadline, &e);
    if (rc < 0)
        (void)!write(a->reason_fd, e.text, strlen(e.text));
    return rc < 0;
}

/* --- in PID 1 ------------------------------------------------------------------------ */

static void pause_then_ask(struct prober *p) {
    if (p->spec)
        timer_arm(p->loop, &p->timer, p->every);
}

static void answered(struct prober *p, bool yes) {
    p->failures = yes ? 0 : p->failures + 1;
    pause_then_ask(p);
    p->answer(p, yes); /* last: it may stop, start or free p */
}

static void set_reason(struct prober *p, const char *text) {
    (void)snprintf(p->reason, sizeof p->reason, "%.60s: %.130s", p->spec->text, text);
}

/* The bytes are only shown, never looked at; log and status escape them. */
static void take_reason(struct prober *p) {
    char text[MAX_PROBE_REASON / 2];
    ssize_t n = read(p->reason_fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    set_reason(p, n > 0 ? text : "no answer");
}

static void attempt_exited(struct child *c, struct exit_info how) {
    struct prober *p = CONTAINER_OF(c, struct prober, attempt);
    bool yes = !how.signaled && how.code == 0;
    if (!yes)
        take_reason(p);
    fd_close(&p->reason_fd);
    answered(p, yes);
}

static int attempt_fork(struct prober *p, struct err *e) {
    int pipefd[2];
    if (pipe2(pipefd, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(e, errno, "make a pipe for a probe");
    AUTO_FD int rd = pipefd[0];
    AUTO_FD int wr = pipefd[1];
    struct attempt a = { p->spec, p->deadline, wr, &p->nofile };
    char title[MAX_NAME + 8];
    (void)snprintf(title, sizeof title, "probe %s", p->name);
    struct fork_req r = {
        .title = title, .run = attempt_run, .arg = &a, .keep = &wr, .nkeep = 1, .own_group = true
    };
    struct sys *sys = p->loop->sys;
    pid_t pid = sys->fork(sys, &r, e);
    if (pid < 0)
        return pid;
    p->reason_fd = fd_take(&rd);
    children_add(p->children, &p->attempt, pid);
    return 0;
}

static void ask(struct prober *p) {
    struct err e = { 0 };
    p->asked++;
    p->deadline = instant_add(p->loop->now, p->timeout);
    if (attempt_fork(p, &e) < 0) {
        set_reason(p, e.text);
        pause_then_ask(p); /* it has not been asked, so it has not failed */
        p->answer(p, false);
        return;
    }
    timer_arm(p->loop, &p->timer, (span){ p->timeout.ns + span_ms(HARD_END_MS).ns });
}

static void attempt_kill(struct prober *p) {
    struct sys *sys = p->loop->sys;
    if (p->attempt.pid)
        (void)sys->kill(sys, -p->attempt.pid, SIGKILL);
}

static void timer_fired(struct timer *t) {
    struct prober *p = CONTAINER_OF(t, struct prober, timer);
    if (p->attempt.pid)
        attempt_kill(p); /* its exit is the answer */
    else
        ask(p);
}

void prober_init(struct prober *p, struct loop *l, struct children *cs, const char *name) {
    *p = (struct prober){ .loop = l,
                          .children = cs,
                          .name = name,
                          .reason_fd = -1,
                          .attempt.exited = attempt_exited,
                          .timer.fire = timer_fired };
}

void prober_start(struct prober *p, const struct probe_spec *spec, span every, span timeout) {
    prober_stop(p);
    p->spec = spec;
    p->every = every;
    p->timeout = timeout;
    p->failures = 0;
    p->reason[0] = '\0';
    if (spec->kind == PROBE_LOG || spec->kind == PROBE_NOTIFY)
        set_reason(p, "not said yet");
    else
        ask(p);
}

void prober_stop(struct prober *p) {
    attempt_kill(p);
    children_forget(&p->attempt); /* a late exit must not answer the next attempt */
    timer_stop(&p->timer);
    fd_close(&p->reason_fd);
    p->spec = NULL;
}

void prober_said(struct prober *p, enum probe_kind kind) {
    if (!p->spec)
        return;
    if (p->spec->kind == kind)
        p->answer(p, true);
    else if (kind == PROBE_NOTIFY && !p->attempt.pid)
        ask(p); /* a hint: what is asked now may well be true */
}
