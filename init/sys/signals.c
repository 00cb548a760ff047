#include "sys/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t signals_block(uint64_t set) {
    uint64_t old = 0;
    (void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, &old, sizeof set);
    return old;
}

bool signals_claim_children(int flags) {
    struct sigaction old, act = { .sa_handler = SIG_DFL, .sa_flags = flags };
    return sigaction(SIGCHLD, &act, &old) == 0 && old.sa_handler == SIG_IGN;
}

int signals_open(uint64_t set) {
    long fd = syscall(SYS_signalfd4, -1, &set, sizeof set, O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -errno : (int)fd;
}

int signals_read(int fd, struct signalfd_siginfo *out) {
    ssize_t n = read(fd, out, sizeof *out);
    if (n == (ssize_t)sizeof *out)
        return 1;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -errno;
    return 0;
}

int signals_forward(pid_t pid, const struct signalfd_siginfo *si, int as_signal) {
    if (si->ssi_code == SI_QUEUE && pid > 0) {
        siginfo_t info = { 0 };
        info.si_signo = as_signal;
        info.si_code = SI_QUEUE;
        info.si_pid = (pid_t)si->ssi_pid;
        info.si_uid = si->ssi_uid;
        info.si_value.sival_ptr = (void *)(uintptr_t)si->ssi_ptr;
        if (syscall(SYS_rt_sigqueueinfo, pid, as_signal, &info) == 0)
            return 0;
    }
    return kill(pid, as_signal) < 0 ? -errno : 0;
}
