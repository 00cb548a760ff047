/* exec:CMD — ready when CMD exits 0. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "probes/attempt.h"
#include "probes/kinds.h"
#include "sys/signals.h"
#include "sys/sys.h"

extern char **environ;

int check_exec(struct probe_spec *spec, const char *given, struct err *e) {
    AUTO_FREE char **words = NULL;
    size_t n = 0;
    (void)snprintf(spec->arg, sizeof spec->arg, "%s", given);
    int rc = split_words(given, &words, &n, e);
    if (rc < 0) {
        (void)err_wrap(e, "exec command");
        return -EINVAL;
    }
    if (n == 0 || words[0][0] == '\0')
        return err_set(e, EINVAL, "exec has no command: write exec:CMD ARGUMENTS");
    return 0;
}

struct run {
    char *const *words;
    pid_t pid;
    pid_t group; /* that it runs in: its own; or ours, when we lead one */
    int signals; /* signalfd for SIGCHLD */
    int output;  /* what it prints */
    int report;  /* a struct exec_failure if it could not be executed */
    char text[MAX_PROBE_OUTPUT + 1];
    size_t len;
};

static _Noreturn void run_child(const struct run *r, int null, int output, int report) {
    struct spawn_req req = {
        .argv = (const char *const *)r->words,
        .envp = (const char *const *)environ,
        .stdio = { null, output, output },
        .own_group = r->group == 0,
        .only_stdio = true,
        .cgroup_fd = -1,
        .oom_score_adj = OOM_INHERIT,
    };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* should we be killed ourselves */
    spawn_exec(&req, report);
}

static int run_start(struct run *r, struct err *e) {
    int out[2], rep[2];
    AUTO_FD int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0)
        return err_sys(e, errno, "open /dev/null");
    if (pipe2(out, O_CLOEXEC) < 0)
        return err_sys(e, errno, "pipe for %s", r->words[0]);
    r->output = out[0];
    AUTO_FD int out_end = out[1];
    if (pipe2(rep, O_CLOEXEC) < 0)
        return err_sys(e, errno, "pipe for %s", r->words[0]);
    r->report = rep[0];
    AUTO_FD int rep_end = rep[1];
    /* Ours alone is non-blocking: the other end is another file description. */
    if (fcntl(r->output, F_SETFL, O_NONBLOCK) < 0 || fcntl(r->report, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(e, errno, "prepare the pipes for %s", r->words[0]);
    r->pid = fork();
    if (r->pid < 0)
        return err_sys(e, errno, "fork for %s", r->words[0]);
    if (r->pid == 0)
        run_child(r, null, out_end, rep_end);
    if (r->group == 0) {
        (void)setpgid(r->pid, r->pid); /* here too, so that the group can be killed at once */
        r->group = r->pid;
    }
    return 0;
}

/* Keep the first bytes; take the rest too, or the program would block on a full pipe. */
static void run_read(struct run *r) {
    char rest[4096];
    for (;;) {
        size_t room = sizeof r->text - 1 - r->len;
        ssize_t n =
            room > 0 ? read(r->output, r->text + r->len, room) : read(r->output, rest, sizeof rest);
        if (n == 0)
            fd_close(&r->output); /* at its end a pipe is always readable */
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        r->len += room > 0 ? (size_t)n : 0;
    }
}

/* Without reaping: while its pid is a zombie's, no other group can have that number. */
static bool run_ended(const struct run *r) {
    siginfo_t si = { 0 };
    return waitid(P_PID, (id_t)r->pid, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || si.si_pid != 0;
}

/* 0 when the program has ended, -ETIMEDOUT at the deadline. What it left running may
 * hold the pipe open for ever, so the end of the output is not waited for. */
static int run_wait(struct run *r, instant deadline) {
    while (!run_ended(r)) {
        struct pollfd p[2] = { { .fd = r->signals, .events = POLLIN },
                               { .fd = r->output, .events = POLLIN } };
        int n = poll(p, 2, instant_timeout_ms(deadline, instant_now()));
        struct signalfd_siginfo si;
        if (p[0].revents)
            (void)signals_read(r->signals, &si);
        if (n > 0 && p[1].revents)
            run_read(r);
        if (!instant_before(instant_now(), deadline))
            return run_ended(r) ? 0 : -ETIMEDOUT;
    }
    return 0;
}

/* End the group, whoever is left in it, and reap the program. An attempt of PID 1 leads a
 * group, and its program stays in it, so that PID 1 can end both: the attempt leaves first. */
static int run_finish(struct run *r) {
    int status = 0;
    if (r->group == getpid())
        (void)setpgid(0, getpgid(getppid()));
    if (r->group != getpgrp())
        (void)kill(-r->group, SIGKILL);
    (void)kill(r->pid, SIGKILL);
    while (waitpid(r->pid, &status, 0) < 0)
        if (errno != EINTR)
            return 0xff00; /* reaped by others: as if it had failed */
    if (r->output >= 0)
        run_read(r);
    return status;
}

/* The last line that is not blank, with no newline; in r->text. */
static const char *last_line(struct run *r) {
    size_t n = r->len;
    while (n > 0 && strchr(" \t\r\n", r->text[n - 1]))
        n--;
    r->text[n] = '\0';
    const char *newline = memrchr(r->text, '\n', n);
    return newline ? newline + 1 : r->text;
}

static int explain(struct run *r, int status, bool late, struct err *e) {
    struct exec_failure f;
    const char *name = r->words[0], *line = last_line(r);
    const char *colon = line[0] ? ": " : "";
    char buf[32];
    if (read(r->report, &f, sizeof f) == (ssize_t)sizeof f) {
        if (f.step == STEP_EXEC && f.code == ENOENT)
            return err_set(e, ENOENT, "%s: not found", name);
        return err_sys(e, f.code, "%s: cannot %s", name, spawn_step_text(f.step));
    }
    if (late)
        return err_set(e, ETIMEDOUT, "%s: not done in time%s%s", name, colon, line);
    if (WIFSIGNALED(status))
        return err_set(e, ECHILD, "killed by %s%s%s",
                       signal_name(buf, sizeof buf, WTERMSIG(status)), colon, line);
    if (WEXITSTATUS(status) != 0)
        return err_set(e, ECHILD, "exit status %d%s%s", WEXITSTATUS(status), colon, line);
    return 0;
}

static bool leads_group_it_can_leave(void) {
    pid_t self = getpid(), session = getsid(0);
    return getpgrp() == self && session != self && getsid(getppid()) == session;
}

static int run_all(struct run *r, instant deadline, struct err *e) {
    r->signals = signals_open(SIGNAL_BIT(SIGCHLD));
    if (r->signals < 0)
        return err_sys(e, -r->signals, "signalfd for %s", r->words[0]);
    if (leads_group_it_can_leave())
        r->group = getpid();
    int rc = run_start(r, e);
    if (rc < 0)
        return rc;
    bool late = run_wait(r, deadline) < 0;
    return explain(r, run_finish(r), late, e);
}

int probe_exec(const struct probe_spec *spec, instant deadline, struct err *e) {
    AUTO_FREE char **words = NULL;
    size_t n = 0;
    int rc = split_words(spec->arg, &words, &n, e);
    if (rc < 0)
        return rc;
    struct run r = { .words = words, .signals = -1, .output = -1, .report = -1 };
    /* Were SIGCHLD ignored, as our caller may have it, there would be nothing to reap. */
    struct sigaction usual = { .sa_handler = SIG_DFL }, before;
    (void)sigaction(SIGCHLD, &usual, &before);
    uint64_t blocked = signals_block(SIGNALS_NONE);
    (void)signals_block(blocked | SIGNAL_BIT(SIGCHLD));
    rc = run_all(&r, deadline, e);
    (void)signals_block(blocked);
    (void)sigaction(SIGCHLD, &before, NULL);
    fd_close(&r.signals);
    fd_close(&r.output);
    fd_close(&r.report);
    return rc;
}
