#include "channel/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "sys/signals.h"

struct filtering {
    filter_run *run;
    int in, out;
};

static int filter_it(void *arg) {
    const struct filtering *f = arg;
    (void)signals_block(SIGNAL_BIT(SIGPIPE)); /* the others end it, as they end a worker */
    return f->run(f->in, f->out);
}

static void filter_exited(struct child *c, struct exit_info how) {
    struct filter *f = CONTAINER_OF(c, struct filter, child);
    f->status = how.signaled ? 255 : how.code;
    f->ended(f);
}

int filter_begin(struct channel *ch, struct filter *f, const char *title, filter_run *run, int in,
                 int out) {
    struct filtering arg = { run, in, out };
    int keep[2] = { in, out };
    struct fork_req r = { .title = title, .run = filter_it, .arg = &arg, .keep = keep, .nkeep = 2 };
    if (fcntl(in, F_SETFL, 0) < 0 || fcntl(out, F_SETFL, 0) < 0)
        return -errno;
    pid_t pid = ch->sys.fork(&ch->sys, &r, NULL);
    if (pid < 0)
        return (int)pid;
    f->child.exited = filter_exited;
    children_add(&ch->children, &f->child, pid);
    return 0;
}

void filter_stop(struct filter *f) {
    if (!f->child.pid)
        return;
    (void)kill(f->child.pid, SIGKILL);
    children_forget(&f->child);
}
