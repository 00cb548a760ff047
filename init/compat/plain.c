#include "compat/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/own.h"
#include "sys/reap.h"

struct plain {
    const struct plain_opts *opts;
    pid_t program; /* 0 with no program, or when it has ended */
    bool over;
    int status; /* exit status for our caller once `over` */
    struct sweep sweep;
};

static void tell(const struct plain_opts *o, enum plain_event what, int a, int b) {
    if (o->tell)
        o->tell(o, what, a, b);
}

void plain_defaults(struct plain_opts *o) {
    *o = (struct plain_opts){ .exec_codes = { 127, 126, 1 } };
    for (unsigned n = 1; n <= SIGNAL_MAX; n++)
        o->rewrite[n] = (uint8_t)n;
    o->rewrite[SIGCHLD] = 0;
}

int plain_status(int wait_status) {
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

static bool forgiven(const struct plain_opts *o, int status) {
    return status >= 0 && status < 256 && o->forgiven[status / 64] >> (status % 64) & 1;
}

/* A program that has not made its group yet cannot be reached through it. */
static int send_to(const struct plain *p, int sig, const struct signalfd_siginfo *si, bool group) {
    int rc = signals_forward(group ? -p->program : p->program, si, sig);
    return rc == -ESRCH && group ? signals_forward(p->program, si, sig) : rc;
}

static void note_end(struct plain *p, pid_t pid, int wait_status) {
    const struct plain_opts *o = p->opts;
    if (pid != p->program) {
        tell(o, PLAIN_REAPED, pid, wait_status);
        return;
    }
    tell(o, PLAIN_ENDED, pid, wait_status);
    p->status = plain_status(wait_status);
    p->over = true;
    int sig = o->rewrite[SIGTERM];
    if (o->term_group && sig)
        tell(o, PLAIN_FORWARDED, sig, kill(-pid, sig) < 0 ? -errno : 0);
    p->program = 0;
    tell(o, PLAIN_LEAVING, p->status, 0);
    p->status = forgiven(o, p->status) ? 0 : p->status;
}

/* `pid` or, with -1, anyone. True if somebody was reaped. */
static bool reap(struct plain *p, pid_t pid) {
    int wait_status;
    pid_t got = waitpid(pid, &wait_status, WNOHANG);
    if (got > 0)
        note_end(p, got, wait_status);
    return got > 0;
}

static void sweep(struct plain *p) {
    instant from = instant_now();
    if (!sweep_due(&p->sweep, from))
        return;
    unsigned calls = 0;
    bool more = true;
    while (more && !p->over && calls < SWEEP_BATCH) {
        more = reap(p, -1);
        calls++;
    }
    sweep_spent(&p->sweep, from, instant_now(), calls, !more);
}

static void caught_chld(struct plain *p, const siginfo_t *si) {
    tell(p->opts, PLAIN_CAUGHT, SIGCHLD, 0);
    sweep_owe(&p->sweep);
    if (si->si_pid > 0 && si->si_pid != p->program)
        (void)reap(p, si->si_pid);
}

static void caught(struct plain *p, int sig, const siginfo_t *si) {
    const struct plain_opts *o = p->opts;
    tell(o, PLAIN_CAUGHT, sig, 0);
    if (!o->argv) {
        p->over = o->ends & SIGNAL_BIT(sig);
        return;
    }
    struct signalfd_siginfo full = {
        .ssi_signo = (uint32_t)sig,
        .ssi_code = si->si_code,
        .ssi_pid = (uint32_t)si->si_pid,
        .ssi_uid = si->si_uid,
        .ssi_ptr = (uint64_t)(uintptr_t)si->si_value.sival_ptr,
    };
    int as = o->rewrite[sig];
    if (as)
        tell(o, PLAIN_FORWARDED, as, send_to(p, as, &full, o->to_group));
    else
        tell(o, PLAIN_DROPPED, sig, 0);
    if (o->stops & SIGNAL_BIT(sig)) {
        tell(o, PLAIN_STOPPING, 0, 0);
        (void)kill(getpid(), SIGSTOP);
    }
}

/* Sleep until a signal comes or a sweep is due. The number, 0 for none, or -errno.
 * Past libc, whose version leaves signals 32..34 out (signals.h). */
static int next_signal(const struct plain *p, uint64_t set, siginfo_t *si) {
    struct timespec rest, *limit = NULL;
    instant when = sweep_when(&p->sweep);
    if (!instant_is_never(when)) {
        int64_t ns = instant_since(when, instant_now()).ns;
        ns = ns > 0 ? ns : 0;
        rest = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
        limit = &rest;
    }
    long sig = syscall(SYS_rt_sigtimedwait, &set, si, limit, sizeof set);
    if (sig < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return (int)sig;
}

/* The kernel will not tell us of signals (a sandbox may refuse the call for ever): keep
 * the promise that is left, the program's status, without spinning. */
static void wait_deaf(struct plain *p) {
    int wait_status;
    pid_t pid = waitpid(-1, &wait_status, 0);
    if (pid > 0)
        note_end(p, pid, wait_status);
    else if (errno != EINTR)
        p->over = true;
}

/* The program is looked for after every signal, not only after SIGCHLD: signals come in
 * the order of their numbers, and a flood of USR1 would hide its end. */
static void turn(struct plain *p, uint64_t set) {
    siginfo_t si;
    int sig = next_signal(p, set, &si);
    if (sig < 0) {
        wait_deaf(p);
        return;
    }
    if (sig == SIGCHLD)
        caught_chld(p, &si);
    if (p->program)
        (void)reap(p, p->program);
    if (!p->over && sig > 0 && sig != SIGCHLD)
        caught(p, sig, &si);
    if (!p->over && p->sweep.owed)
        sweep(p);
}

/* A session leader lets its terminal go so that the program's session can have it. That
 * hangs up the terminal's foreground, us included (tty_ioctl(4)), within the call: what
 * is pending now is that, and not meant for the program. */
static void release_terminal(const struct plain_opts *o) {
    if (getsid(0) != getpid() || ioctl(0, TIOCNOTTY) < 0)
        return;
    uint64_t set = SIGNAL_BIT(SIGHUP) | SIGNAL_BIT(SIGCONT);
    struct timespec none = { 0 };
    long sig;
    while ((sig = syscall(SYS_rt_sigtimedwait, &set, NULL, &none, sizeof set)) > 0)
        tell(o, PLAIN_HANDOFF, (int)sig, 0);
}

/* Whoever started us from a terminal finds it as it was, also if it is no shell. */
static void return_terminal(const struct plain_opts *o, pid_t program) {
    if (o->session == PLAIN_GROUP && tcgetpgrp(0) == program)
        (void)tcsetpgrp(0, getpgrp());
}

static void close_descriptors(void) {
    if (syscall(SYS_close_range, 3U, ~0U, 0) == 0)
        return;
    struct rlimit most = { MAX_PLAIN_FDS, MAX_PLAIN_FDS };
    (void)getrlimit(RLIMIT_NOFILE, &most);
    for (int fd = 3; (rlim_t)fd < most.rlim_cur && fd < MAX_PLAIN_FDS; fd++)
        (void)close(fd);
}

static int become_reaper(const struct plain_opts *o) {
    if (o->pdeathsig && prctl(PR_SET_PDEATHSIG, o->pdeathsig) < 0)
        return -errno;
    if (o->subreaper && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    return 0;
}

/* Ours is / before the program runs, so that nobody can see it in between. */
static pid_t launch(const struct plain_opts *o, uint64_t mask, bool sigchld_ignored) {
    struct plain_launch how = { .mask = o->open_mask ? SIGNALS_NONE : mask,
                                .sigchld_ignored = sigchld_ignored };
    AUTO_FD int cwd = o->leave_cwd ? open(".", O_PATH | O_CLOEXEC) : -1;
    how.cwd = cwd;
    if (cwd >= 0)
        (void)!chdir("/");
    if (o->session == PLAIN_SESSION)
        release_terminal(o);
    return plain_launch(o, &how);
}

int plain_run(const struct plain_opts *o) {
    uint64_t set = SIGNALS_ALL & ~o->fatal;
    uint64_t mask = signals_block(set);
    bool sigchld_ignored = signals_claim_children(SA_NOCLDSTOP); /* stops need not wake us */
    struct plain p = { .opts = o, .status = 1 };
    int rc = become_reaper(o);
    if (rc == 0 && o->argv)
        rc = p.program = launch(o, mask, sigchld_ignored);
    if (rc < 0) {
        tell(o, PLAIN_SETUP_FAILED, -rc, 0);
        return 1;
    }
    if (o->argv)
        tell(o, PLAIN_SPAWNED, p.program, 0);
    else
        p.status = 0;
    if (o->close_fds)
        close_descriptors();
    pid_t program = p.program;
    while (!p.over)
        turn(&p, set);
    if (program)
        return_terminal(o, program);
    return p.status;
}
