#include "engine/version.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/own.h"
#include "base/time.h"
#include "engine/child.h"
#include "sys/sys.h"

extern char **environ;

enum {
    VERSION_MS = 3000,   /* for the whole answer; then the version is not known */
    VERSION_BYTES = 4096 /* of it; the rest is not read */
};

static _Noreturn void run_child(const char *program, int null, int output) {
    const char *argv[] = { program, "--version", NULL };
    struct spawn_req req = {
        .argv = argv,
        .envp = (const char *const *)environ,
        .stdio = { null, output, null },
        .own_group = true,
        .only_stdio = true,
        .cgroup_fd = -1,
        .oom_score_adj = OOM_INHERIT,
    };
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* should we be killed ourselves */
    spawn_exec(&req, -1);
}

/* Up to its end, the deadline, or as much as fits. */
static void read_answer(int fd, char *text, size_t cap) {
    instant deadline = instant_add(instant_now(), span_ms(VERSION_MS));
    size_t len = 0;
    while (len + 1 < cap && instant_before(instant_now(), deadline)) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, instant_timeout_ms(deadline, instant_now())) <= 0)
            continue;
        ssize_t n = read(fd, text + len, cap - 1 - len);
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    text[len] = '\0';
}

uint32_t engine_version(const char *program) {
    char text[VERSION_BYTES + 1];
    int out[2];
    AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || pipe2(out, O_CLOEXEC) < 0)
        return 0;
    AUTO_FD int output = out[0];
    AUTO_FD int end = out[1];
    pid_t pid = fork();
    if (pid < 0)
        return 0;
    if (pid == 0)
        run_child(program, null, end);
    (void)setpgid(pid, pid); /* here too, so that the group can be killed at once */
    fd_close(&end);
    read_answer(output, text, sizeof text);
    /* With what it may have started. Not reaped yet, so no other group has its number. */
    (void)kill(-pid, SIGKILL);
    (void)child_wait(pid, VERSION_MS);
    return version_parse(text);
}
