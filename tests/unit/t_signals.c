#include "sys/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/own.h"
#include "tests/unit/tap.h"

#define REST (~(SIGNAL_BIT(SIGKILL) | SIGNAL_BIT(SIGSTOP)))

static int fd = -1;

/* musl's kill() and raise() take every number; glibc's too. */
static void reads_every_signal(void) {
    struct signalfd_siginfo si;
    OK(signals_read(fd, &si) == 0, "nothing is pending");
    for (int n = 1; n <= SIGNAL_MAX; n++) {
        if (n == SIGKILL || n == SIGSTOP)
            continue;
        memset(&si, 0, sizeof si);
        OK(kill(getpid(), n) == 0 && signals_read(fd, &si) == 1 && (int)si.ssi_signo == n &&
               (pid_t)si.ssi_pid == getpid() && signals_read(fd, &si) == 0,
           "signal %d is blocked and read", n);
    }
    OK(signals_read(-1, &si) == -EBADF, "no descriptor");
}

static void blocks_and_restores(void) {
    uint64_t old = signals_block(SIGNAL_BIT(34) | SIGNAL_BIT(64));
    OK((old & REST) == REST, "all were blocked: %llx", (unsigned long long)old);
    OK(signals_block(SIGNALS_ALL) == (SIGNAL_BIT(34) | SIGNAL_BIT(64)), "34 and 64 are settable");
}

static int exit_of(pid_t pid) {
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void kills_with_any(void) {
    pid_t pid = fork();
    if (pid == 0) {
        (void)signals_block(SIGNALS_NONE);
        (void)kill(getpid(), 34);
        _exit(0);
    }
    OK(exit_of(pid) == 128 + 34, "unblocked, 34 ends a process");
}

/* Somebody may have left it ignored: then there is nobody to wait for. */
static void claims_children(void) {
    (void)signal(SIGCHLD, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0)
        _exit(7);
    OK(waitpid(pid, NULL, 0) == -1 && errno == ECHILD, "ignored, it loses a status");
    OK(signals_claim_children(0), "it was ignored");
    pid = fork();
    if (pid == 0)
        _exit(7);
    OK(exit_of(pid) == 7, "claimed, it does not");
    OK(!signals_claim_children(SA_NOCLDSTOP), "now it was not");
    struct sigaction now;
    OK(sigaction(SIGCHLD, NULL, &now) == 0 && now.sa_handler == SIG_DFL &&
           (now.sa_flags & SA_NOCLDSTOP),
       "with the flags that are asked for");
}

/* A child that waits for one signal with everything blocked, and tells what it got. */
static pid_t catcher(int out) {
    int ready[2];
    (void)!pipe2(ready, O_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        struct signalfd_siginfo si;
        AUTO_FD int mine = signals_open(SIGNALS_ALL);
        (void)fcntl(mine, F_SETFL, 0);
        (void)!write(ready[1], "x", 1);
        if (signals_read(mine, &si) == 1)
            (void)!write(out, &si, sizeof si);
        _exit(0);
    }
    char c;
    close(ready[1]);
    (void)!read(ready[0], &c, 1);
    close(ready[0]);
    return pid;
}

static struct signalfd_siginfo forwarded(struct signalfd_siginfo si, int as, int *rc) {
    int out[2];
    struct signalfd_siginfo got = { 0 };
    (void)!pipe2(out, O_CLOEXEC);
    pid_t pid = catcher(out[1]);
    close(out[1]);
    *rc = signals_forward(pid, &si, as);
    if (*rc < 0)
        (void)kill(pid, SIGKILL);
    (void)!read(out[0], &got, sizeof got);
    close(out[0]);
    (void)exit_of(pid);
    return got;
}

static void forwards(void) {
    union sigval value = { .sival_ptr = (void *)(uintptr_t)UINT64_C(0x123456789abc) };
    struct signalfd_siginfo si = { 0 }, got;
    int rc;
    OK(sigqueue(getpid(), SIGUSR1, value) == 0 && signals_read(fd, &si) == 1 &&
           si.ssi_code == SI_QUEUE,
       "a queued signal");
    got = forwarded(si, SIGUSR1, &rc);
    OK(rc == 0 && got.ssi_signo == SIGUSR1 && got.ssi_code == SI_QUEUE &&
           got.ssi_ptr == UINT64_C(0x123456789abc),
       "its value goes along");
    got = forwarded(si, 34, &rc);
    OK(rc == 0 && got.ssi_signo == 34 && got.ssi_ptr == UINT64_C(0x123456789abc),
       "as another one, 34");
    si.ssi_code = SI_USER;
    for (int n = 1; n <= SIGNAL_MAX; n += 3) {
        if (n == SIGSTOP)
            continue; /* nobody could read it */
        got = forwarded(si, n, &rc);
        OK(rc == 0 && (int)got.ssi_signo == n && got.ssi_code == SI_USER, "a plain %d", n);
    }
    si.ssi_code = SI_QUEUE;
    OK(signals_forward(999999999, &si, SIGUSR1) == -ESRCH, "to nobody, queued");
    si.ssi_code = SI_USER;
    OK(signals_forward(999999999, &si, SIGUSR1) == -ESRCH, "to nobody, plain");
    OK(signals_forward(getpid(), &si, 65) == -EINVAL, "no such signal");
}

static void forwards_to_a_group(void) {
    struct signalfd_siginfo si = { .ssi_code = SI_QUEUE, .ssi_pid = (uint32_t)getpid() };
    pid_t pid = fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        (void)signals_block(SIGNALS_NONE);
        (void)pause();
        _exit(1);
    }
    (void)setpgid(pid, pid);
    OK(signals_forward(-pid, &si, SIGTERM) == 0 && exit_of(pid) == 128 + SIGTERM,
       "a queued one to a group goes without its value");
}

int main(void) {
    (void)signals_block(SIGNALS_ALL);
    fd = signals_open(SIGNALS_ALL);
    OK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_NONBLOCK),
       "a signalfd");
    reads_every_signal();
    blocks_and_restores();
    kills_with_any();
    claims_children();
    forwards();
    forwards_to_a_group();
    fd_close(&fd);
    return tap_end();
}
