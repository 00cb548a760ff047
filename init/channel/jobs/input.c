#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "channel/jobs/private.h"

/* A terminal whose last process is gone says EIO. */
ssize_t job_write(struct job *j, const char *bytes, size_t n) {
    if (!j->pty && !j->stdin_pipe)
        return -EBADF;
    int fd = j->fds[j->pty ? JOB_STDOUT : JOB_STDIN];
    if (!j->stdin_open || fd < 0)
        return -EPIPE;
    ssize_t took = write(fd, bytes, n);
    if (took >= 0)
        return took;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    if (!j->pty)
        (void)job_close_stdin(j);
    return -EPIPE;
}

void job_await_room(struct job *j, struct job_input *in) {
    list_remove(&in->link);
    list_insert_before(&j->inputs, &in->link);
    if (j->stdin_open)
        job_watch(j);
    else
        job_touch(j, NEWS_ROOM);
}

bool job_is_next(const struct job *j, const struct job_input *in) {
    return list_empty(&j->inputs) || j->inputs.next == &in->link;
}

/* What is watched for it is found useless when it becomes ready. */
void job_forgo_room(struct job_input *in) { list_remove(&in->link); }

/* Nothing of the job is touched once they are called, for one of them may forget it. */
void job_room(struct job *j) {
    struct link waiting;
    list_init(&waiting);
    while (!list_empty(&j->inputs)) {
        struct link *l = j->inputs.next;
        list_remove(l);
        list_insert_before(&waiting, l);
    }
    job_watch(j);
    while (!list_empty(&waiting)) {
        struct job_input *in = CONTAINER_OF(waiting.next, struct job_input, link);
        list_remove(&in->link);
        in->room(in);
    }
}

size_t job_unread(const struct job *j) {
    int n = 0;
    return j->fds[JOB_STDIN] >= 0 && ioctl(j->fds[JOB_STDIN], FIONREAD, &n) == 0 ? (size_t)n : 0;
}

int job_close_stdin(struct job *j) {
    if (j->pty)
        return -ENOTTY;
    if (!j->stdin_pipe)
        return -EBADF;
    if (!j->stdin_open)
        return 0;
    j->stdin_open = false;
    job_close_fd(j, JOB_STDIN);
    record_write(j);
    job_tell(j, WIRE_JOB_SHUT);
    if (!list_empty(&j->inputs))
        job_touch(j, NEWS_ROOM);
    return 0;
}

int job_resize(struct job *j, uint16_t rows, uint16_t cols) {
    struct winsize size = { .ws_row = rows, .ws_col = cols };
    if (!j->pty || j->fds[JOB_STDOUT] < 0 || ioctl(j->fds[JOB_STDOUT], TIOCSWINSZ, &size) < 0)
        return -ENOTTY;
    return 0;
}
