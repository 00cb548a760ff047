#include "cli/local.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"

static bool takes_content(enum file_op op) { return op == FILE_WRITE || op == FILE_UNTAR; }

/* The next report. -ECANCELED: it ended without one. ECONNRESET, told once, says that it has gone
 * without reading what we said last; what it had said before is still there. */
static int hear(struct local *l, struct err *e) {
    ssize_t n;
    do
        n = recv(l->control, &l->report, sizeof l->report, 0);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n != (ssize_t)sizeof l->report)
        return err_set(e, ECANCELED, "the process that does it here has ended");
    l->report.why[sizeof l->report.why - 1] = '\0';
    if (l->report.fault != FILE_OK)
        return err_set(e, l->report.code ? l->report.code : EIO, "%s", l->report.why);
    return 0;
}

static int child_main(const struct file_req *r, int control, int data) {
    char here[PATH_MAX];
    struct file_req mine = *r;
    mine.base = getcwd(here, sizeof here) ? here : "/";
    struct worker_args args = { .req = &mine, .control = control, .data = data };
    return worker_main(&args);
}

int local_begin(struct local *l, const struct file_req *r, struct err *e) {
    int pair[2], pipes[2];
    *l = (struct local){ .control = -1, .data = -1 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, errno, "make a socket pair");
    l->control = pair[0];
    AUTO_FD int control = pair[1];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return err_sys(e, errno, "make a pipe");
    l->data = pipes[takes_content(r->op) ? 1 : 0];
    AUTO_FD int data = pipes[takes_content(r->op) ? 0 : 1];
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(e, errno, "fork");
    if (pid == 0) {
        fd_close(&l->control);
        fd_close(&l->data);
        _exit(child_main(r, control, data));
    }
    l->pid = pid;
    fd_close(&control);
    fd_close(&data);
    struct file_order go = { .word = FILE_SAID_GO, .len = UINT64_MAX };
    int rc = hear(l, e);
    if (rc == 0 && send(l->control, &go, sizeof go, MSG_NOSIGNAL) < 0)
        rc = err_sys(e, errno, "begin");
    return rc;
}

int local_end(struct local *l, bool whole, struct err *e) {
    struct file_order complete = { .word = FILE_SAID_COMPLETE };
    int rc = -ECANCELED;
    if (l->pid <= 0)
        return rc;
    if (whole)
        (void)send(l->control, &complete, sizeof complete, MSG_NOSIGNAL);
    else
        fd_close(&l->control);
    fd_close(&l->data);
    if (whole)
        rc = hear(l, e);
    fd_close(&l->control);
    while (waitpid(l->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    l->pid = 0;
    return rc;
}
