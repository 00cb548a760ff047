/* forward.c — signals in, signals on: all 64 but KILL, STOP and our CHLD reach CMD. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "pid1/box.h"
#include "sys/signals.h"

static struct svc *running_main(struct box *b) {
    struct svc *s = b->main >= 0 ? &b->svcs[b->main] : NULL;
    return s && s->child.pid ? s : NULL;
}

/* The terminal is only passed on by who has it: in the background it is the shell's. */
static bool pass_terminal(pid_t from, pid_t to) {
    return tcgetpgrp(0) == from && tcsetpgrp(0, to) == 0;
}

/* Job control when a shell started us: CMD was stopped from the terminal, so stop as well;
 * the shell's fg continues us, and we continue CMD. PID 1 cannot be stopped. A shell whose
 * job already runs does not tell of fg: then CMD, wanting the terminal, is stopped first. */
static void main_stopped(const struct svc *s, int sig) {
    if (sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU)
        return;
    if (sig != SIGTSTP && pass_terminal(getpgrp(), s->group)) {
        (void)kill(-s->group, SIGCONT);
        return;
    }
    (void)pass_terminal(s->group, getpgrp());
    (void)kill(getpid(), SIGSTOP);
}

/* Asked, not read from the signal: SIGCHLDs that come together are one. 0: not stopped. */
static int stopped_by(pid_t pid) {
    siginfo_t info = { 0 };
    int rc = waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOHANG);
    return rc == 0 && info.si_pid == pid ? info.si_status : 0;
}

static void child_changed(struct box *b, const struct signalfd_siginfo *si) {
    children_reap(&b->children, (pid_t)si->ssi_pid);
    const struct svc *s = running_main(b);
    int sig = s && !b->is_pid1 ? stopped_by(s->child.pid) : 0;
    if (sig)
        main_stopped(s, sig);
}

static void forward(struct box *b, struct svc *s, const struct signalfd_siginfo *si) {
    int to = b->conf->main.map_signal.to[si->ssi_signo];
    if (to == 0)
        return;
    bool resumed = si->ssi_signo == SIGCONT && !b->is_pid1; /* as a group, as it was stopped */
    if (resumed)
        (void)pass_terminal(getpgrp(), s->group);
    pid_t target = b->conf->main.signal_group || resumed ? -s->group : s->child.pid;
    int rc = b->sys->forward(b->sys, target, si, to);
    if (rc == -ESRCH && target < 0) /* just forked, it does not lead its group yet */
        rc = b->sys->forward(b->sys, s->child.pid, si, to);
    char name[24];
    if (rc < 0 && rc != -ESRCH)
        log_warn(NULL, "pass %s on to CMD: %s", signal_name(name, sizeof name, to), strerror(-rc));
}

static void asked_to_end(struct box *b, int sig) {
    char why[48], name[24];
    struct text t = TEXT(why);
    text_add(&t, "%s received", signal_name(name, sizeof name, sig));
    b->stopped_by_user = true;
    if (b->phase >= PHASE_DRAIN)
        drain_hurry(b);
    else
        drain_begin(b, b->phase == PHASE_SERVE ? 0 : 128 + sig, why);
}

/* What stops a box without CMD: STOPSIGNAL of an image is TERM, or QUIT (nginx and its kin),
 * or RTMIN+3 (those made for systemd); Ctrl-C is INT. */
static bool asks_to_end(int sig) {
    enum { SYSTEMD_STOP = 34 + 3 };
    return sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SYSTEMD_STOP;
}

/* Our own writes to a pipe that nobody reads raise SIGPIPE in us: that is not news. */
static bool is_our_own(const struct signalfd_siginfo *si) {
    return si->ssi_signo == SIGPIPE && (pid_t)si->ssi_pid == getpid();
}

void box_signal(struct box *b, const struct signalfd_siginfo *si) {
    struct svc *s = running_main(b);
    bool ends = asks_to_end((int)si->ssi_signo);
    if (si->ssi_signo == SIGCHLD)
        child_changed(b, si);
    else if (is_our_own(si))
        return;
    else if (s && !(ends && b->phase >= PHASE_DRAIN))
        forward(b, s, si);
    else if (ends)
        asked_to_end(b, (int)si->ssi_signo);
}

/* A read error must not turn into a loop at full speed: the descriptor is made anew. */
static void reopen(struct box *b, int why) {
    log_error(NULL, "read signals: %s; opening the descriptor again", strerror(-why));
    loop_unwatch(&b->signals);
    fd_close(&b->signals.fd);
    b->signals.fd = signals_open(SIGNALS_ALL);
    if (b->signals.fd >= 0)
        (void)loop_watch(&b->loop, &b->signals);
}

static void signals_ready(struct source *src, uint32_t got) {
    (void)got;
    enum { MOST = 128 }; /* a turn: timers must get their turn too */
    struct box *b = CONTAINER_OF(src, struct box, signals);
    struct signalfd_siginfo si;
    int rc = 0;
    for (int i = 0; i < MOST && (rc = signals_read(src->fd, &si)) > 0; i++)
        box_signal(b, &si);
    if (rc < 0)
        reopen(b, rc);
}

/* As TERM, whatever that is to CMD. */
static void button_ready(struct source *src, uint32_t got) {
    (void)got;
    struct box *b = CONTAINER_OF(src, struct box, button);
    if (!machine_pressed(src->fd))
        return;
    log_info(NULL, "the power button was pressed");
    (void)b->sys->kill(b->sys, getpid(), SIGTERM);
}

int forward_init(struct box *b) {
    int button = b->machine ? machine_button() : -1;
    b->button = (struct source){ .fd = button, .want = EPOLLIN, .ready = button_ready };
    if (button >= 0)
        (void)loop_watch(&b->loop, &b->button);
    int fd = signals_open(SIGNALS_ALL);
    b->signals = (struct source){ .fd = fd, .want = EPOLLIN, .ready = signals_ready };
    return fd < 0 ? fd : loop_watch(&b->loop, &b->signals);
}
