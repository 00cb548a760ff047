/* prepare_step.c — the `prepare` fork: the box is made fit for the engine before anything
 * starts. PID 1 takes one fixed-size result from it and reads nothing itself. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "engine/stop.h"
#include "pid1/box.h"

enum { PREPARE_LIMIT_S = 30 };

/* What crosses the pipe. */
struct answer {
    int32_t code; /* 0 or a positive errno */
    char why[MAX_PROBE_REASON];
    struct engine_result result;
};
_Static_assert(sizeof(struct answer) <= 65536, "one write fits into an empty pipe");

struct job {
    const struct box *box;
    int fd;
};

static int prepare_run(void *arg) {
    const struct job *job = arg;
    const struct engine_section *c = &job->box->conf->engine;
    struct engine_conf conf = {
        .command = c->command,
        .flags = c->flags,
        .iptables = (enum engine_iptables)c->iptables,
        .storage_driver = c->storage_driver,
        .daemon_json = (enum engine_json)c->daemon_json,
        .cgroup = (enum engine_cgroup)c->cgroup,
        .tmpfs_tmp = c->tmpfs_tmp,
    };
    struct answer a = { 0 };
    struct err e = { 0 };
    a.code = -engine_prepare(&conf, NULL, getppid(), &a.result, &e);
    (void)snprintf(a.why, sizeof a.why, "%.190s", e.text);
    return write(job->fd, &a, sizeof a) == (ssize_t)sizeof a ? 0 : 1;
}

/* The words lie one after the other, each with its NUL: nwords of them, inside the field. */
static bool unpack_words(struct box *b) {
    const struct engine_result *r = &b->prepared;
    const char *p = r->words, *end = r->words + sizeof r->words;
    if (r->nwords == 0 || r->nwords > MAX_ENGINE_WORDS)
        return false;
    for (uint32_t i = 0; i < r->nwords; i++) {
        const char *nul = memchr(p, '\0', (size_t)(end - p));
        if (!nul)
            return false;
        b->engine_argv[i] = p;
        p = nul + 1;
    }
    b->engine_argv[r->nwords] = NULL;
    return memchr(r->socket, '\0', sizeof r->socket) != NULL;
}

/* The preset probe asks the socket that the plan found, unless the config names one. */
static void aim_probe(struct box *b) {
    struct probe_spec *ready = b->confs[b->engine]->ready;
    if (ready && ready->kind == PROBE_DOCKER && ready->arg[0] == '\0')
        (void)snprintf(ready->arg, sizeof ready->arg, "%s", b->prepared.socket);
}

/* In a fork. Leaves the engine itself three seconds of its time, or a third of a short one. */
static int stop_containers(void *arg) {
    const struct svc *s = arg;
    const struct box *b = CONTAINER_OF(s->sup, struct box, sup);
    span all = instant_since(s->timer.at, b->loop.now);
    span rest = all.ns > span_s(9).ns ? span_s(3) : (span){ all.ns / 3 };
    int64_t patience = all.ns - rest.ns - span_s(1).ns;
    struct err e = { 0 };
    int n = engine_stop_containers(b->prepared.socket, (span){ patience > 0 ? patience : 0 },
                                   instant_add(b->loop.now, (span){ all.ns - rest.ns }), &e);
    if (n < 0)
        log_warn("engine", "its containers are left to it to stop: %s", e.text);
    else if (n > 0)
        log_info("engine", "stopped %d container%s", n, n == 1 ? "" : "s");
    return n < 0;
}

static void boot(struct box *b) {
    b->phase = PHASE_BOOT;
    if (b->prepared.cgroup_leaf)
        equip_cgroups(b);
    for (size_t i = 0; i < b->nunits; i++)
        b->svcs[i].hold = false;
    b->sup.dirty = true;
}

static void prepare_done(struct box *b, const char *problem) {
    struct svc *engine = &b->svcs[b->engine];
    publish_mark(b, -1, MARK_PREPARED);
    timer_stop(&b->prepare_deadline);
    if (b->phase != PHASE_PREPARE)
        return; /* asked to end meanwhile */
    if (problem)
        supervisor_fail(engine, problem);
    else
        engine->argv = b->engine_argv;
    if (b->prepared.socket[0])
        engine->before_stop = stop_containers;
    if (b->phase == PHASE_PREPARE) /* that it failed may have been the end */
        boot(b);
}

static void prepare_exited(struct child *c, struct exit_info how) {
    struct box *b = CONTAINER_OF(c, struct box, prepare);
    struct answer a;
    ssize_t n = read(b->prepare_pipe.fd, &a, sizeof a);
    fd_close(&b->prepare_pipe.fd);
    a.why[sizeof a.why - 1] = '\0';
    if (n != (ssize_t)sizeof a || how.signaled || how.code != 0) {
        prepare_done(b, how.signaled && how.code == SIGKILL ? "prepare took too long"
                                                            : "prepare ended without a result");
        return;
    }
    b->prepared = a.result;
    if (a.code) {
        prepare_done(b, a.why);
    } else if (!unpack_words(b)) {
        prepare_done(b, "prepare gave a result that makes no sense");
    } else {
        aim_probe(b);
        prepare_done(b, NULL);
    }
}

static void deadline_over(struct timer *t) {
    struct box *b = CONTAINER_OF(t, struct box, prepare_deadline);
    log_error("engine", "prepare has not ended within %d s and is killed", PREPARE_LIMIT_S);
    (void)b->sys->kill(b->sys, -b->prepare.pid, SIGKILL);
}

static int prepare_fork(struct box *b, struct err *e) {
    int p[2];
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_sys(e, errno, "make a pipe for prepare");
    AUTO_FD int rd = p[0];
    AUTO_FD int wr = p[1];
    struct job job = { b, wr };
    int keep[] = { wr, log_fd() };
    struct fork_req r = { .title = "prepare",
                          .run = prepare_run,
                          .arg = &job,
                          .keep = keep,
                          .nkeep = 2,
                          .own_group = true };
    pid_t pid = b->sys->fork(b->sys, &r, e);
    if (pid < 0)
        return pid;
    b->prepare_pipe.fd = fd_take(&rd);
    children_add(&b->children, &b->prepare, pid);
    return 0;
}

void prepare_begin(struct box *b) {
    struct err e = { 0 };
    b->prepare.exited = prepare_exited;
    b->prepare_deadline.fire = deadline_over;
    b->prepare_pipe.fd = -1;
    if (b->engine < 0) {
        boot(b);
        return;
    }
    publish_mark(b, -1, MARK_PREPARE);
    if (prepare_fork(b, &e) < 0)
        prepare_done(b, e.text);
    else
        timer_arm(&b->loop, &b->prepare_deadline, span_s(PREPARE_LIMIT_S));
}
