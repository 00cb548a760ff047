#include "channel/files/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/own.h"
#include "sys/signals.h"

/* --- what went wrong ------------------------------------------------------------------------- */

static enum file_fault fault_of(int code) {
    switch (code) {
    case ENOENT:
        return FILE_NOT_FOUND;
    case EACCES:
    case EPERM:
        return FILE_DENIED;
    case EEXIST:
        return FILE_EXISTS;
    case EISDIR:
        return FILE_IS_DIR;
    case ENOTDIR:
        return FILE_NOT_DIR;
    case ENOTEMPTY:
        return FILE_NOT_EMPTY;
    case ENAMETOOLONG:
    case EILSEQ: /* a name that this file system cannot hold */
        return FILE_BAD_PATH;
    case ENOSPC:
    case EDQUOT:
        return FILE_NO_SPACE;
    case EROFS:
        return FILE_READ_ONLY;
    case EBUSY:
    case ETXTBSY:
        return FILE_BUSY;
    case ELOOP:
        return FILE_LOOP;
    case EMFILE:
    case ENFILE:
    case EFBIG:
    case EMLINK:
        return FILE_LIMIT;
    default:
        return FILE_FAILED;
    }
}

int fail(struct worker *w, enum file_fault fault, int code, const char *fmt, ...) {
    if (w->fault || w->tidying)
        return -code;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(w->err.text, sizeof w->err.text, fmt, ap);
    va_end(ap);
    w->err.code = code;
    w->fault = fault;
    return -code;
}

int fail_sys(struct worker *w, int code, const char *fmt, ...) {
    if (code == ECANCELED)
        return -code;
    char what[sizeof w->err.text];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return fail(w, fault_of(code), code, "%.260s: %s", what, strerror(code));
}

void forgive(struct worker *w) {
    w->fault = FILE_OK;
    w->err = (struct err){ 0 };
}

/* --- with the channel ------------------------------------------------------------------------ */

static int waits(struct worker *w, struct pollfd *extra, int timeout_ms) {
    struct pollfd fds[3] = { { .fd = w->tidying ? -1 : w->control, .events = POLLRDHUP },
                             { .fd = w->tidying ? -1 : w->signals, .events = POLLIN } };
    if (extra)
        fds[2] = *extra;
    int rc;
    do
        rc = poll(fds, extra ? 3 : 2, timeout_ms);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? -errno : fds[0].revents || fds[1].revents ? -ECANCELED : 0;
}

int worker_wait(struct worker *w, int fd, short events) {
    struct pollfd p = { .fd = fd, .events = events };
    return waits(w, &p, -1);
}

int worker_wanted(struct worker *w) { return waits(w, NULL, 0); }

static int say(struct worker *w, const void *message, size_t n) {
    return send(w->control, message, n, MSG_NOSIGNAL) < 0 ? -ECANCELED : 0;
}

static int report(struct worker *w, enum file_word word) {
    struct file_report r = {
        .word = word, .fault = (int32_t)w->fault, .code = w->err.code, .info = w->info
    };
    (void)snprintf(r.why, sizeof r.why, "%s", w->err.text);
    return say(w, &r, sizeof r);
}

int worker_opened(struct worker *w) {
    struct file_order o = { 0 };
    int rc = report(w, FILE_SAYS_OPENED);
    if (rc == 0)
        rc = worker_wait(w, w->control, POLLIN);
    if (rc < 0)
        return rc;
    if (recv(w->control, &o, sizeof o, MSG_DONTWAIT) != (ssize_t)sizeof o || o.word != FILE_SAID_GO)
        return -ECANCELED;
    w->from = o.from;
    w->len = o.len;
    return 0;
}

/* It was said before the pipe was closed, so it is there, or will never be. */
int worker_complete(struct worker *w) {
    struct file_order o = { 0 };
    if (recv(w->control, &o, sizeof o, MSG_DONTWAIT) == (ssize_t)sizeof o &&
        (o.word == FILE_SAID_COMPLETE || o.word == FILE_SAID_COMPLETE_BASE64)) {
        w->base64 = o.word == FILE_SAID_COMPLETE_BASE64;
        return worker_wanted(w);
    }
    return fail(w, FILE_CUT, EPIPE, "the content for %s ended before it was complete", w->path);
}

/* --- becoming -------------------------------------------------------------------------------- */

/* Signals are blocked by the channel already, and SIGPIPE so turns into EPIPE. */
static int prepare_process(struct worker *w) {
    (void)signals_block(SIGNALS_ALL);
    w->signals = signals_open(SIGNAL_BIT(SIGTERM) | SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGHUP) |
                              SIGNAL_BIT(SIGQUIT));
    if (w->signals < 0)
        return fail_sys(w, -w->signals, "watch for signals");
    (void)umask(022);
    if (w->data >= 0 && fcntl(w->data, F_SETFL, O_NONBLOCK) < 0)
        return fail_sys(w, errno, "prepare the pipe");
    return 0;
}

static int find_user(struct worker *w) {
    const char *user = w->req->user;
    w->id = (struct identity){ .uid = geteuid(), .gid = getegid() };
    if (user && find_identity(user, &w->id) < 0)
        return fail(w, FILE_BAD_USER, ENOENT, "there is no user or group '%.200s'", user);
    if (!user)
        w->id.pw = getpwuid(w->id.uid);
    const char *home = w->id.pw ? w->id.pw->pw_dir : user ? "/" : getenv("HOME");
    (void)snprintf(w->home, sizeof w->home, "%s", home && home[0] == '/' ? home : "/");
    return 0;
}

/* The kernel forgets the death signal when credentials change (prctl(2)). Who makes things is left
 * to see the control socket hang up and to tidy; who only looks may just as well be killed. */
static int become_user(struct worker *w) {
    static const bool makes[FILE_NOPS] = {
        [FILE_WRITE] = true, [FILE_COPY] = true,    [FILE_MOVE] = true,
        [FILE_UNTAR] = true, [FILE_COMPOSE] = true,
    };
    int rc = find_user(w);
    if (rc == 0 && w->req->user && !w->req->as_root) {
        rc = identity_groups(&w->id);
        if (rc == 0)
            rc = identity_uid(&w->id);
        if (rc < 0)
            return fail_sys(w, -rc, "become user '%.200s'", w->req->user);
    }
    (void)prctl(PR_SET_PDEATHSIG, makes[w->req->op] ? 0 : SIGKILL);
    return rc < 0 ? rc : worker_wanted(w);
}

/* --- the work -------------------------------------------------------------------------------- */

static int work_stat(struct worker *w) { return tell_entry(w, w->path); }

static int work(struct worker *w) {
    static int (*const works[FILE_NOPS])(struct worker * w) = {
        [FILE_STAT] = work_stat,       [FILE_READ] = work_read,     [FILE_WRITE] = work_write,
        [FILE_LIST] = work_list,       [FILE_MKDIR] = work_mkdir,   [FILE_MOVE] = work_move,
        [FILE_COPY] = work_copy,       [FILE_REMOVE] = work_remove, [FILE_CHMOD] = work_chmod,
        [FILE_TAR] = work_tar,         [FILE_UNTAR] = work_untar,   [FILE_WATCH] = work_watch,
        [FILE_COMPOSE] = work_compose,
    };
    int rc = prepare_process(w);
    if (rc == 0)
        rc = become_user(w);
    if (rc == 0)
        rc = path_absolute(w, w->req->path ? w->req->path : "", w->path, &w->path_slash);
    if (rc == 0 && w->req->to)
        rc = path_absolute(w, w->req->to, w->to, &w->to_slash);
    if (rc < 0)
        return rc;
    (void)snprintf(w->info.path, sizeof w->info.path, "%s", w->path);
    w->at = w->path;
    return works[w->req->op](w);
}

int worker_main(void *args) {
    const struct worker_args *a = args;
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return 1;
    w->req = a->req;
    w->control = a->control;
    w->data = a->data;
    int rc = work(w);
    if (rc < 0)
        (void)fail(w, FILE_FAILED, -rc, "%.250s: %s", w->at ? w->at : w->req->path, strerror(-rc));
    fd_close(&w->data); /* the end of a content comes before its verdict */
    return rc == -ECANCELED || report(w, FILE_SAYS_DONE) < 0 ? 1 : 0;
}
