/* measure.c — run one measurement on all subjects and print the raw samples.
 *
 *     measure ROOT SUBJECTS start COUNT          exec of init to main() of its child
 *     measure ROOT SUBJECTS signal COUNT         SIGUSR1 to init until its child has it
 *     measure ROOT SUBJECTS storm COUNT N        N orphans die while init reaps
 *     measure ROOT SUBJECTS backlog COUNT N      N zombies wait for an init that was stopped
 *     measure ROOT SUBJECTS crowd COUNT L K      K deaths beside L living children
 *     measure ROOT SUBJECTS hold                 keep all running until stdin ends
 *
 * SUBJECTS is read by subjects_read(). Samples of different subjects take turns, so that
 * whatever else the machine does falls on all.
 * Output: "METRIC<tab>SUBJECT<tab>NUMBER" lines; "error<tab>SUBJECT<tab>TEXT" for a subject
 * that fails, which is then left out.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "box.h"
#include "clock.h"

enum {
    SETTLE_MS = 300, /* for an init's first work to end, before it is measured at rest */
    SIGNAL_GAP_US = 200
};

struct run {
    int nsubjects;
    struct subject subjects[MAX_SUBJECTS];
    bool failed[MAX_SUBJECTS];
    struct box boxes[MAX_SUBJECTS]; /* of the measurements that keep all open at once */
    int count;
    const char *first, *second; /* the measurement's own arguments, as text */
};

static void emit(const char *metric, const struct subject *s, int64_t value) {
    printf("%s\t%s\t%lld\n", metric, s->name, (long long)value);
}

/* Returns whether the subject may go on. */
static bool check(struct run *r, int i, const char *step, int rc) {
    if (rc == 0)
        return true;
    r->failed[i] = true;
    printf("error\t%s\t%s: %s\n", r->subjects[i].name, step, strerror(-rc));
    return false;
}

/* The same for an answer of its box; one that has ended says how. */
static bool answer(struct run *r, int i, const char *step, struct box *b, int64_t *value) {
    int status = 0;
    int rc = box_answer(b, value);
    if (rc != -EPIPE || box_await_end(b, &status) < 0)
        return check(r, i, step, rc);
    r->failed[i] = true;
    printf("error\t%s\t%s: init has ended, %s %d\n", r->subjects[i].name, step,
           WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

static void sleep_us(long us) {
    const struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };
    nanosleep(&t, NULL);
}

/* Another order each time, since what a subject leaves to the kernel to clean up falls on
 * the one after it. random(3) is not seeded: every run has the same orders. */
static void shuffle(int order[], int n) {
    for (int i = n - 1; i > 0; i--) {
        int other = (int)(random() % (i + 1)), was = order[i];
        order[i] = order[other];
        order[other] = was;
    }
}

/* Call `one` for each living subject, `rounds` times. */
static void take_turns(struct run *r, int rounds, void (*one)(struct run *r, int i)) {
    int order[MAX_SUBJECTS];
    for (int i = 0; i < r->nsubjects; i++)
        order[i] = i;
    for (int round = 0; round < rounds; round++) {
        shuffle(order, r->nsubjects);
        for (int k = 0; k < r->nsubjects; k++)
            if (!r->failed[order[k]])
                one(r, order[k]);
    }
}

static void one_start(struct run *r, int i) {
    struct box b;
    int64_t main_at = 0;
    int status = 0;
    if (!check(r, i, "start", box_open(&b, &r->subjects[i], (const char *[]){ "stamp", NULL })))
        return;
    if (answer(r, i, "child's main", &b, &main_at) &&
        check(r, i, "end of init", box_await_end(&b, &status))) {
        int64_t end = now_ns(), exec_at = box_exec_time();
        if (check(r, i, "exit status", status == 0 ? 0 : -EPROTO)) {
            emit("start", &r->subjects[i], main_at - exec_at);
            emit("life", &r->subjects[i], end - exec_at);
        }
    }
    box_close(&b);
}

static void one_open(struct run *r, int i) {
    int64_t ready;
    struct box *b = &r->boxes[i];
    if (check(r, i, "start", box_open(b, &r->subjects[i], (const char *[]){ "listen", NULL })))
        answer(r, i, "ready", b, &ready);
}

static void open_all(struct run *r) {
    take_turns(r, 1, one_open);
    sleep_us(SETTLE_MS * 1000);
}

static void close_all(struct run *r) {
    for (int i = 0; i < r->nsubjects; i++)
        box_close(&r->boxes[i]);
}

static void one_signal(struct run *r, int i) {
    struct box *b = &r->boxes[i];
    int64_t got;
    sleep_us(SIGNAL_GAP_US);
    int64_t sent = now_ns();
    if (!check(r, i, "signal", kill(b->init, SIGUSR1) == 0 ? 0 : -errno))
        return;
    if (answer(r, i, "forwarded signal", b, &got))
        emit("signal", &r->subjects[i], got - sent);
}

static void all_signals(struct run *r) {
    open_all(r);
    take_turns(r, r->count, one_signal);
    close_all(r);
}

/* Open a box and wait until its payload has made what it needs. */
static bool begin(struct run *r, int i, struct box *b, const char *const args[]) {
    int64_t ready;
    if (!check(r, i, "start", box_open(b, &r->subjects[i], args)))
        return false;
    return answer(r, i, "preparation", b, &ready);
}

static void one_storm(struct run *r, int i) {
    const char *const args[] = { "storm", r->first, "live", NULL };
    struct box b;
    int64_t from, to;
    if (begin(r, i, &b, args)) {
        int64_t cpu = box_cpu_ns(&b);
        if (check(r, i, "storm", box_order(&b)) && answer(r, i, "storm", &b, &from) &&
            answer(r, i, "last orphan", &b, &to)) {
            emit("storm", &r->subjects[i], to - from);
            emit("storm-cpu", &r->subjects[i], box_cpu_ns(&b) - cpu);
        }
    }
    box_close(&b);
}

/* With init stopped, let all orphans die; then let init go on. */
static void drain_backlog(struct run *r, int i, struct box *b) {
    int64_t t;
    kill(b->init, SIGSTOP);
    if (!check(r, i, "deaths", box_order(b)) || !answer(r, i, "deaths", b, &t) ||
        !answer(r, i, "zombies", b, &t) || !check(r, i, "go", box_order(b)))
        return;
    int64_t cpu = box_cpu_ns(b), from = now_ns();
    kill(b->init, SIGCONT);
    if (!answer(r, i, "last zombie", b, &t))
        return;
    emit("backlog", &r->subjects[i], t - from);
    emit("backlog-cpu", &r->subjects[i], box_cpu_ns(b) - cpu);
}

static void one_backlog(struct run *r, int i) {
    const char *const args[] = { "storm", r->first, "held", NULL };
    struct box b;
    if (begin(r, i, &b, args))
        drain_backlog(r, i, &b);
    box_close(&b);
}

static void one_crowd(struct run *r, int i) {
    const char *const args[] = { "crowd", r->first, r->second, NULL };
    int deaths = atoi(r->second);
    struct box b;
    if (begin(r, i, &b, args)) {
        sleep_us(SETTLE_MS * 1000);
        int64_t cpu = box_cpu_ns(&b), took;
        check(r, i, "crowd", box_order(&b));
        for (int n = 0; n < deaths && !r->failed[i]; n++)
            if (answer(r, i, "reaped orphan", &b, &took))
                emit("crowd", &r->subjects[i], took);
        if (!r->failed[i])
            emit("crowd-cpu", &r->subjects[i], (box_cpu_ns(&b) - cpu) / deaths);
    }
    box_close(&b);
}

static void hold(struct run *r) {
    char c;
    open_all(r);
    for (int i = 0; i < r->nsubjects; i++)
        if (!r->failed[i])
            emit("pid", &r->subjects[i], r->boxes[i].init);
    printf("held\t-\t0\n");
    fflush(stdout);
    (void)!read(STDIN_FILENO, &c, 1);
    close_all(r);
}

static bool measure(struct run *r, const char *what) {
    if (strcmp(what, "start") == 0)
        take_turns(r, r->count, one_start);
    else if (strcmp(what, "signal") == 0)
        all_signals(r);
    else if (strcmp(what, "storm") == 0 && r->first)
        take_turns(r, r->count, one_storm);
    else if (strcmp(what, "backlog") == 0 && r->first)
        take_turns(r, r->count, one_backlog);
    else if (strcmp(what, "crowd") == 0 && r->second)
        take_turns(r, r->count, one_crowd);
    else if (strcmp(what, "hold") == 0)
        hold(r);
    else
        return false;
    return true;
}

int main(int argc, char **argv) {
    static struct run r;
    if (argc < 4)
        return fprintf(stderr, "measure: see the head of measure.c\n"), 2;
    /* The inits die with us, and we with whoever started us. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    r.nsubjects = subjects_read(argv[2], r.subjects, MAX_SUBJECTS);
    r.count = argc > 4 ? atoi(argv[4]) : 1;
    r.first = argc > 5 ? argv[5] : NULL;
    r.second = argc > 6 ? argv[6] : NULL;
    for (int i = 0; i < MAX_SUBJECTS; i++)
        r.boxes[i].pidfd = -1;
    stage_enter(argv[1]);
    if (!measure(&r, argv[3]))
        return fprintf(stderr, "measure: unknown measurement %s\n", argv[3]), 2;
    return fflush(stdout) == 0 ? 0 : 1;
}
