/* box.h — one init in a PID namespace of its own, with the payload under it.
 *
 *     stage_enter("build/bench/root");
 *     struct box b;
 *     if (box_open(&b, &subject, (const char *[]){ "stamp", NULL }) == 0 &&
 *         box_answer(&b, &t) == 0) ...
 *     box_close(&b);
 *
 * Nothing of the machine can be changed from inside: the stage has its own mount, network,
 * UTS and IPC namespaces and its own root, and each box a fresh /proc, /run and /tmp. A
 * box ends with its init, and its init with us.
 */
#ifndef BENCH_BOX_H
#define BENCH_BOX_H

#include <stdint.h>
#include <sys/types.h>

enum {
    MAX_SUBJECTS = 16,
    MAX_SUBJECT_WORDS = 8,
    MAX_SUBJECT_LINE = 512,  /* bytes; a longer one is refused */
    BOX_PATIENCE_MS = 20000, /* for any answer; then the box is given up */
    BOX_WORDS = 16
};

/* What is measured: a name and the words that start it, before the payload's. */
struct subject {
    char line[MAX_SUBJECT_LINE]; /* holds all the strings below */
    const char *name;
    const char *words[MAX_SUBJECT_WORDS + 1]; /* NULL-terminated; may be empty */
};

struct box {
    pid_t init; /* 0 once it has been reaped */
    int pidfd;  /* of init; -1 when the box is closed */
    int orders; /* write end of its stdin */
    int answers;
};

/* Read "NAME<tab>WORD<tab>WORD..." lines; returns their number, ends the program with
 * a message when the file cannot be used. */
int subjects_read(const char *path, struct subject *out, int max);

/* Make `root` our root directory, in namespaces of our own. Ends the program on failure. */
void stage_enter(const char *root);

/* Start `s` with the payload and its arguments (NULL-terminated). 0 or -errno. */
int box_open(struct box *b, const struct subject *s, const char *const payload_args[]);

/* When the last opened box executed its init: the zero of its time, ns. */
int64_t box_exec_time(void);

/* The next answer: 0, -ETIMEDOUT after BOX_PATIENCE_MS, -EPIPE when the box has ended. */
int box_answer(struct box *b, int64_t *value);

/* Let the payload go on. 0 or -errno. */
int box_order(struct box *b);

/* CPU time that init has used so far, ns. */
int64_t box_cpu_ns(const struct box *b);

/* Wait for init to end by itself; 0 and *status as from waitpid(2), or -ETIMEDOUT. */
int box_await_end(struct box *b, int *status);

/* Kill whatever is left of it and reap init. Idempotent. */
void box_close(struct box *b);

#endif
