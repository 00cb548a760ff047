#include "channel/file_answer.h"

void file_answer_close(struct file_answer *a) {
    if (a->task.fault == FILE_OK)
        http_end(a->x);
    else
        http_cut(a->x);
}

void file_answer_conclude(struct file_answer *a) {
    if (!a->piped || !a->finished || a->length >= 0)
        return;
    if (a->whole)
        a->whole(a);
    else
        file_answer_close(a);
}

static void piped(struct http_exchange *x, int64_t moved) {
    struct file_answer *a = x->ctx;
    a->piped = true;
    if (a->length < 0 && moved >= 0)
        file_answer_conclude(a);
    else if (moved == a->length)
        http_end(x);
    else
        http_cut(x);
}

void file_answer_send(struct file_answer *a, int fd, uint64_t from, uint64_t len) {
    a->begun = true;
    file_go(&a->task, from, len);
    http_send_pipe(a->x, fd, a->length, piped);
}

bool file_answer_finished(struct file_answer *a) {
    a->finished = true;
    if (a->begun)
        file_answer_conclude(a);
    return a->begun;
}
