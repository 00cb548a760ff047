/* prepare_step.c — the `prepare` fork: network and box are made fit for the engine before
 * anything starts. PID 1 takes two fixed-size results from it, and the forwarder's sockets, and
 * reads nothing itself. The network's comes first: should the engine's part be killed, names are
 * asked of us by then, and somebody has to answer, and to take that back at the end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "engine/stop.h"
#include "pid1/box.h"
#include "sys/rights.h"

enum { PREPARE_LIMIT_S = 30 };

/* What crosses the socket, behind a struct net_box in a message of its own. */
struct answer {
    int32_t code; /* 0 or a positive errno: no engine can be started */
    char why[MAX_PROBE_REASON];
    struct engine_result result;
};

struct job {
    const struct box *box;
    int fd;
};

_Static_assert((int)NET_NSOCKETS <= (int)MAX_RIGHTS, "all sockets fit beside one message");

static bool send_network(int fd, const struct net_box *box, const int *sockets) {
    return rights_send(fd, box, sizeof *box, sockets, NET_NSOCKETS, MSG_NOSIGNAL) ==
           (ssize_t)sizeof *box;
}

/* False: no whole answer; the box is not active then. The sockets are ours. */
static bool take_network(int fd, struct net_box *box, int sockets[NET_NSOCKETS]) {
    ssize_t got = rights_recv(fd, box, sizeof *box, sockets, NET_NSOCKETS, MSG_DONTWAIT);
    if (got == (ssize_t)sizeof *box)
        return true;
    *box = (struct net_box){ .active = false };
    return false;
}

static bool take_answer(int fd, struct answer *a) {
    bool whole = recv(fd, a, sizeof *a, MSG_DONTWAIT) == (ssize_t)sizeof *a;
    a->why[sizeof a->why - 1] = '\0';
    return whole;
}

/* The network first: the engine is told about it. Without it the engine is as it would be. */
static int prepare_run(void *arg) {
    const struct job *job = arg;
    const struct box *b = job->box;
    struct engine_conf conf = engine_conf(b->conf);
    struct net_conf net_conf = b->net_conf;
    struct engine_subnets subnets = { .n = 0 };
    struct net_advice advice;
    struct engine_network network;
    struct net_box box;
    struct answer a = { .code = 0 };
    struct err e = { 0 };
    int sockets[NET_NSOCKETS];
    if (b->engine >= 0)
        engine_find_subnets(&conf, &subnets);
    network_know(&net_conf, &subnets);
    bool known = net_prepare(&net_conf, &box, sockets, &advice, &e) == 0;
    if (known)
        network_advise(&network, &advice);
    else
        log_warn("net", "%s; the network is left as it is", e.text);
    if (!send_network(job->fd, &box, sockets))
        return 1;
    if (b->engine >= 0)
        a.code = -engine_prepare(&conf, known ? &network : NULL, getppid(), &a.result, &e);
    (void)snprintf(a.why, sizeof a.why, "%.190s", e.text);
    return send(job->fd, &a, sizeof a, MSG_NOSIGNAL) == (ssize_t)sizeof a ? 0 : 1;
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

/* A probe of the engine asks the socket that the plan found, unless the config names one. */
static void aim_probe(struct probe_spec *probe, const char *socket) {
    if (probe && probe->kind == PROBE_DOCKER && probe->arg[0] == '\0')
        (void)snprintf(probe->arg, sizeof probe->arg, "%s", socket);
}

static void aim_probes(struct box *b) {
    aim_probe(b->confs[b->engine]->ready, b->prepared.socket);
    aim_probe(b->confs[b->engine]->alive, b->prepared.socket);
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

static void engine_prepared(struct box *b, const char *problem) {
    struct svc *engine = &b->svcs[b->engine];
    if (problem)
        supervisor_fail(engine, problem);
    else
        engine->argv = b->engine_argv;
    if (b->prepared.socket[0])
        engine->before_stop = stop_containers;
}

static void prepare_done(struct box *b, const char *problem) {
    publish_mark(b, -1, MARK_PREPARED);
    timer_stop(&b->prepare_deadline);
    if (b->phase != PHASE_PREPARE)
        return; /* asked to end meanwhile */
    if (b->engine >= 0)
        engine_prepared(b, problem);
    else if (problem)
        log_error("net", "%s; the network is left as it is", problem);
    if (b->phase == PHASE_PREPARE) /* that it failed may have been the end */
        boot(b);
}

static void prepare_exited(struct child *c, struct exit_info how) {
    struct box *b = CONTAINER_OF(c, struct box, prepare);
    struct answer a = { .code = 0 };
    bool whole = take_network(b->prepare_sock, &b->net_box, b->net_sockets) &&
                 take_answer(b->prepare_sock, &a);
    fd_close(&b->prepare_sock);
    if (b->net_box.active)
        role_start(&b->net);
    if (!whole || how.signaled || how.code != 0) {
        prepare_done(b, how.signaled && how.code == SIGKILL ? "prepare took too long"
                                                            : "prepare ended without a result");
        return;
    }
    b->prepared = a.result;
    if (a.code) {
        prepare_done(b, a.why);
    } else if (b->engine >= 0 && !unpack_words(b)) {
        prepare_done(b, "prepare gave a result that makes no sense");
    } else {
        if (b->engine >= 0)
            aim_probes(b);
        prepare_done(b, NULL);
    }
}

static void deadline_over(struct timer *t) {
    struct box *b = CONTAINER_OF(t, struct box, prepare_deadline);
    log_error("engine", "prepare has not ended within %d s and is killed", PREPARE_LIMIT_S);
    (void)b->sys->kill(b->sys, -b->prepare.pid, SIGKILL);
}

static int prepare_fork(struct box *b, struct err *e) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(e, errno, "make a socket pair for prepare");
    AUTO_FD int ours = pair[0];
    AUTO_FD int theirs = pair[1];
    struct job job = { b, theirs };
    int keep[] = { theirs, log_fd() };
    struct fork_req r = { .title = "prepare",
                          .run = prepare_run,
                          .arg = &job,
                          .keep = keep,
                          .nkeep = 2,
                          .own_group = true };
    pid_t pid = b->sys->fork(b->sys, &r, e);
    if (pid < 0)
        return pid;
    b->prepare_sock = fd_take(&ours);
    children_add(&b->children, &b->prepare, pid);
    return 0;
}

void prepare_begin(struct box *b) {
    struct err e = { 0 };
    b->prepare.exited = prepare_exited;
    b->prepare_deadline.fire = deadline_over;
    b->prepare_sock = -1;
    if (b->engine < 0 && !network_wanted(&b->net_conf)) {
        boot(b);
        return;
    }
    publish_mark(b, -1, MARK_PREPARE);
    if (prepare_fork(b, &e) < 0)
        prepare_done(b, e.text);
    else
        timer_arm(&b->loop, &b->prepare_deadline, span_s(PREPARE_LIMIT_S));
}
