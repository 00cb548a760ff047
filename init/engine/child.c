#include "engine/child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>

#include "base/time.h"

int child_wait(pid_t pid, int limit_ms) {
    instant deadline = instant_add(instant_now(), span_ms(limit_ms));
    int status = 0;
    for (;;) {
        pid_t got = waitpid(pid, &status, WNOHANG);
        if (got == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        if (got < 0 && errno != EINTR)
            return -1;
        if (!instant_before(instant_now(), deadline))
            break;
        (void)poll(NULL, 0, 1);
    }
    (void)kill(pid, SIGKILL);
    /* Not waited for without limit: it may hang in the kernel. PID 1 reaps it. */
    (void)waitpid(pid, &status, WNOHANG);
    return -1;
}
