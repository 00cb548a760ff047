#include "channel/outflow.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/own.h"

struct outflow {
    struct http_exchange *x;
    struct child child;
    int fd; /* read end */
    bool emptied, failed;
};

/* Both have to be known: that the pipe is empty, and how its writer ended. */
static void settle(struct outflow *o) {
    if (!o->emptied || o->child.pid)
        return;
    if (o->failed)
        http_cut(o->x);
    else
        http_end(o->x);
}

static void writer_exited(struct child *c, struct exit_info how) {
    struct outflow *o = CONTAINER_OF(c, struct outflow, child);
    o->failed |= how.signaled || how.code != 0;
    settle(o);
}

static void emptied(struct http_exchange *x, int64_t moved) {
    struct outflow *o = x->ctx;
    o->emptied = true;
    o->failed |= moved < 0;
    settle(o);
}

static void outflow_over(struct http_exchange *x, bool cut) {
    (void)cut;
    struct outflow *o = x->ctx;
    if (o->child.pid) {
        (void)kill(o->child.pid, SIGKILL);
        children_forget(&o->child);
    }
    fd_close(&o->fd);
    free(o);
}

static const struct http_handler outflow_handler = { .over = outflow_over };

struct writing {
    outflow_run *run;
    void *arg;
    int fd;
};

static int write_it(void *arg) {
    const struct writing *w = arg;
    return w->run(w->fd, w->arg);
}

bool outflow_begin(struct http_exchange *x, const char *type, outflow_run *run, void *arg) {
    struct channel *ch = channel_of(x);
    if (http_is(x->head.method, "HEAD")) { /* nobody would read what the fork writes */
        http_begin(x, 200, type, -1);
        http_end(x);
        return true;
    }
    int p[2];
    struct outflow *o = calloc(1, sizeof *o);
    if (!o || pipe2(p, O_CLOEXEC) < 0) {
        free(o);
        return false;
    }
    AUTO_FD int writer = p[1];
    *o = (struct outflow){ .x = x, .fd = p[0], .child.exited = writer_exited };
    struct writing w = { run, arg, writer };
    struct fork_req r = {
        .title = "reader", .run = write_it, .arg = &w, .keep = &writer, .nkeep = 1
    };
    pid_t pid = ch->sys.fork(&ch->sys, &r, NULL);
    if (pid < 0 || fcntl(o->fd, F_SETFL, O_NONBLOCK) < 0) {
        fd_close(&o->fd);
        free(o);
        return false;
    }
    children_add(&ch->children, &o->child, pid);
    x->ctx = o;
    x->handler = &outflow_handler;
    http_begin(x, 200, type, -1);
    http_send_pipe(x, o->fd, -1, emptied);
    return true;
}

bool outflow_write(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno != EINTR)
            return false;
        if (k > 0) {
            bytes += k;
            n -= (size_t)k;
        }
    }
    return true;
}
