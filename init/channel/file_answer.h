/* file_answer.h — what a file task gives, sent as the body of an answer.
 *
 * Where its length is not known before, the end of the worker's pipe is no proof: only with the
 * worker's verdict is the answer whole. The two come in either order.
 */
#ifndef CHANNEL_FILE_ANSWER_H
#define CHANNEL_FILE_ANSWER_H

#include "channel/files/files.h"
#include "http/server.h"

struct file_answer { /* x->ctx points to it */
    struct file_task task;
    struct http_exchange *x;
    int64_t length; /* of the body; -1: as it comes */
    bool begun;     /* the answer */
    bool piped;     /* to the end */
    bool finished;  /* the task */
    /* With length -1: both are there, and task.fault says how it went. NULL: nothing is added. */
    void (*whole)(struct file_answer *a);
};

/* The answer's head has been sent, and promised a->length bytes. From here on it ends, or is cut,
 * by itself. `fd`: the task's data, or what is made of it; as for http_send_pipe(). */
void file_answer_send(struct file_answer *a, int fd, uint64_t from, uint64_t len);

/* To be called when the task is finished. True: the answer has begun, and nothing else is to be
 * done; false: none has, and one is to be given. */
bool file_answer_finished(struct file_answer *a);

/* Once more, after whole() had to wait for something else. */
void file_answer_conclude(struct file_answer *a);

/* End the answer, or cut it where the task has failed. */
void file_answer_close(struct file_answer *a);

#endif
