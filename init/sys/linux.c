#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "sys/signals.h"
#include "sys/sys.h"
#include "sys/title.h"

static instant linux_now(struct sys *s) {
    (void)s;
    return instant_now();
}

static int linux_wait(struct sys *s, int epfd, struct epoll_event *evs, int max, int timeout_ms) {
    (void)s;
    int n = epoll_wait(epfd, evs, max, timeout_ms);
    return n < 0 ? -errno : n;
}

/* fork(2) leaves nothing for the child to flush: pinnace writes through no stdio buffer
 * before it forks. */
static pid_t linux_spawn(struct sys *s, const struct spawn_req *r, int *exec_fd, struct err *e) {
    (void)s;
    int p[2];
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(e, errno, "make a pipe to start %s", r->argv[0]);
    AUTO_FD int rd = p[0];
    AUTO_FD int wr = p[1];
    *exec_fd = rd; /* before the child looks at it */
    pid_t pid = fork();
    if (pid < 0) {
        *exec_fd = -1;
        return err_sys(e, errno, "fork for %s", r->argv[0]);
    }
    if (pid == 0)
        spawn_exec(r, wr);
    (void)fd_take(&rd);
    return pid;
}

static int by_value(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Close every fd from 3 up that is not in the list. This is the child: it may allocate. */
static void keep_only(const int *keep, size_t n) {
    AUTO_FREE int *sorted = calloc(n + 1, sizeof *sorted);
    if (!sorted)
        _exit(1);
    for (size_t i = 0; i < n; i++)
        sorted[i] = keep[i];
    qsort(sorted, n, sizeof sorted[0], by_value);
    unsigned from = 3;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i] < (int)from)
            continue;
        if (sorted[i] > (int)from)
            (void)syscall(SYS_close_range, from, (unsigned)sorted[i] - 1, 0);
        from = (unsigned)sorted[i] + 1;
    }
    (void)syscall(SYS_close_range, from, ~0U, 0);
}

/* The parent may have died before prctl took effect: look again afterwards. */
static void die_with(pid_t parent) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
}

static pid_t linux_fork(struct sys *s, const struct fork_req *r, struct err *e) {
    (void)s;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(e, errno, "fork for %s", r->title);
    if (pid > 0) {
        if (r->own_group)
            (void)setpgid(pid, pid); /* whichever of the two is first */
        return pid;
    }
    die_with(parent);
    if (r->own_group)
        (void)setpgid(0, 0);
    title_set(r->title);
    keep_only(r->keep, r->nkeep);
    _exit(r->run(r->arg));
}

static span time_span(struct timeval t) {
    return (span){ (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_usec * 1000 };
}

static int linux_reap(struct sys *s, pid_t pid, struct exit_info *out) {
    (void)s;
    int status;
    struct rusage usage;
    pid_t got;
    do
        got = wait4(pid, &status, WNOHANG, &usage);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    bool by_signal = WIFSIGNALED(status);
    *out = (struct exit_info){ .pid = got,
                               .signaled = by_signal,
                               .core = by_signal && WCOREDUMP(status),
                               .code = by_signal ? WTERMSIG(status) : WEXITSTATUS(status),
                               .has_usage = true,
                               .user = time_span(usage.ru_utime),
                               .system = time_span(usage.ru_stime),
                               .max_rss = (int64_t)usage.ru_maxrss * 1024 };
    return 1;
}

static bool is_known(pid_t pid, const pid_t *known, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (known[i] == pid)
            return true;
    return false;
}

/* The kernel's list of our children: "12 345 6 " (proc_pid_children(5)). The first
 * stranger ends the search, so a few hundred bytes are enough to read. */
static int linux_strangers(struct sys *s, const pid_t *known, size_t n) {
    (void)s;
    char text[512];
    AUTO_FD int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t len = read(fd, text, sizeof text - 1);
    if (len < 0)
        return -errno;
    text[len] = '\0';
    char *end;
    for (char *p = text; *p; p = end) {
        pid_t pid = (pid_t)strtol(p, &end, 10);
        if (end == p)
            break;
        if (*end && !is_known(pid, known, n))
            return 1; /* a number cut off at the end of text has no blank after it */
    }
    return 0;
}

static int linux_kill(struct sys *s, pid_t pid, int sig) {
    (void)s;
    return kill(pid, sig) < 0 ? -errno : 0;
}

static int linux_forward(struct sys *s, pid_t pid, const struct signalfd_siginfo *si,
                         int as_signal) {
    (void)s;
    return signals_forward(pid, si, as_signal);
}

void sys_linux_init(struct sys *s) {
    *s = (struct sys){ .now = linux_now,
                       .wait = linux_wait,
                       .spawn = linux_spawn,
                       .fork = linux_fork,
                       .reap = linux_reap,
                       .strangers = linux_strangers,
                       .kill = linux_kill,
                       .forward = linux_forward };
}
