#include "pid1/box.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "sys/signals.h"

/* --- from config to units ------------------------------------------------------------- */

static struct svc_conf *add_unit(struct box *b, const char *name, struct err *e) {
    struct svc_conf *c = svc_conf_new(name, e);
    if (c)
        b->confs[b->nunits++] = c;
    return c;
}

/* Values move from one config struct to the other, so that each is released once. */
static void *steal(void *field) {
    void **p = field, *value = *p;
    *p = NULL;
    return value;
}

/* A box with the socket of an engine outside is meant to use that one. */
static bool uses_outer_engine(void) {
    const char *socket = engine_mounted_socket();
    if (socket)
        log_warn("engine",
                 "%s is mounted from outside: that is not a sandbox, whoever uses it is root "
                 "outside; no engine is started here ([engine] enabled = yes starts one)",
                 socket);
    return socket != NULL;
}

bool box_wants_engine(const struct conf *conf, const char *const *cmd) {
    const struct engine_section *c = &conf->engine;
    const char *path = getenv("PATH");
    if (c->enabled != ENGINE_AUTO)
        return c->enabled == ENGINE_YES;
    if (cmd && engine_is_command(cmd))
        return true;
    return engine_present(path ? path
                               : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") &&
           !uses_outer_engine();
}

static int add_engine(struct box *b, struct err *e) {
    struct engine_section *c = &b->conf->engine;
    struct svc_conf *svc = add_unit(b, "engine", e);
    if (!svc)
        return -e->code;
    free(svc->env);
    free(svc->after);
    svc->env = steal(&c->env);
    svc->after = steal(&c->after);
    svc->place = conf_engine_after(b->conf);
    svc->ready = steal(&c->ready);
    svc->stop_timeout = c->stop_timeout;
    svc->start_timeout = c->start_timeout;
    svc->max_restarts = c->max_restarts;
    svc->on_failure = c->on_failure;
    svc->restart = RESTART_ALWAYS;
    b->engine = (int)b->nunits - 1;
    return 0;
}

static int add_main(struct box *b, struct err *e) {
    struct main_conf *c = &b->conf->main;
    struct svc_conf *svc = add_unit(b, "main", e);
    if (!svc)
        return -e->code;
    free(svc->env);
    free(svc->user);
    free(svc->cwd);
    svc->env = steal(&c->env);
    svc->user = steal(&c->user);
    svc->cwd = steal(&c->cwd);
    svc->restart = RESTART_NEVER;
    svc->stop_timeout = b->conf->pinnace.grace;
    b->main = (int)b->nunits - 1;
    return 0;
}

/* The command line wins over [main] command. CMD that is itself an engine is the engine. */
static int collect_units(struct box *b, const char *const *cmd, struct err *e) {
    b->engine = b->main = -1;
    for (size_t i = 0; i < b->conf->nservices; i++)
        b->confs[b->nunits++] = b->conf->services[i];
    bool engine = box_wants_engine(b->conf, cmd);
    bool cmd_is_engine = engine && cmd && engine_is_command(cmd);
    int rc = engine ? add_engine(b, e) : 0;
    if (rc == 0 && cmd && !cmd_is_engine)
        rc = add_main(b, e);
    return rc;
}

static int make_plan(struct box *b, struct err *e) {
    int rc = svc_plan(&b->plan, b->confs, b->nunits, e);
    if (rc < 0 || b->main < 0 || b->conf->main.start == START_NOW)
        return rc;
    for (size_t i = 0; i < b->nunits; i++)
        if ((int)i != b->main) {
            if (unit_in(&b->plan.after[i], (size_t)b->main)) {
                (void)err_set(e, EINVAL,
                              "%s.after: CMD itself waits for %s; set [main] start = now",
                              b->confs[i]->name, b->confs[i]->name);
                return err_at(e, svc_conf_place(b->confs[i], "after"));
            }
            unit_add(&b->plan.after[b->main], i);
        }
    /* CMD was collected last, so it is last in the order as well. */
    return 0;
}

static int make_svcs(struct box *b, const char *const *cmd, struct err *e) {
    b->svcs = calloc(b->nunits + 1, sizeof *b->svcs);
    b->gear = calloc(b->nunits + 1, sizeof *b->gear);
    if (!b->svcs || !b->gear)
        return err_set(e, ENOMEM, "out of memory for %zu units", b->nunits);
    for (size_t i = 0; i < b->nunits; i++) {
        b->svcs[i].conf = b->confs[i];
        b->svcs[i].hold = true;
    }
    if (b->engine >= 0)
        b->svcs[b->engine].kind = SVC_KIND_ENGINE;
    if (b->main >= 0) {
        b->svcs[b->main].kind = SVC_KIND_MAIN;
        b->svcs[b->main].argv = cmd;
    }
    return equip_units(b, e);
}

/* --- start -------------------------------------------------------------------------------- */

static void find_run_dir(struct box *b) {
    struct err e = { 0 };
    b->has_run_dir = rundir_find(b->conf->pinnace.run_dir, 1, b->run_dir, &e) == 0;
    if (!b->has_run_dir)
        log_warn(NULL, "no status socket and no ready file: %s", e.text);
    else if (e.code == EADDRINUSE)
        log_warn(NULL, "%s: this one takes %s", e.text, b->run_dir);
}

static void reaped(struct children *cs) {
    supervisor_reaped(&CONTAINER_OF(cs, struct box, children)->sup);
}

static void orphan(struct children *cs, struct exit_info how) {
    held_orphan(&CONTAINER_OF(cs, struct box, children)->jobs, how);
}

static void init_supervisor(struct box *b, const struct box_args *a) {
    b->sup.env = a->env;
    b->sup.sigmask = a->sigmask;
    b->sup.sigchld_ignored = a->sigchld_ignored;
    b->sup.nofile = a->nofile;
    b->sup.random = (uint32_t)(b->started.ns ^ b->started.ns >> 32);
    supervisor_init(&b->sup, &b->loop, &b->children, &b->plan, b->svcs);
    b->children.reaped = reaped;
    b->children.orphan = orphan;
}

int box_init(struct box *b, struct sys *sys, const struct box_args *a, struct err *e) {
    *b = (struct box){ .sys = sys, .conf = a->conf, .is_pid1 = a->is_pid1, .started = a->started };
    b->null_fd = b->prepare_sock = -1;
    b->button.fd = -1;
    b->machine = a->machine;
    for (int i = 0; i < MAX_CHANNELS; i++)
        b->listen[i] = -1;
    for (int i = 0; i < NET_NSOCKETS; i++)
        b->net_sockets[i] = -1;
    const char *const *cmd = a->cmd && a->cmd[0] ? a->cmd : NULL;
    if (!cmd && a->conf->main.command && a->conf->main.command[0])
        cmd = (const char *const *)a->conf->main.command;
    int rc = loop_init(&b->loop, sys);
    if (rc < 0)
        return err_sys(e, -rc, "make an epoll set");
    children_init(&b->children, &b->loop);
    find_run_dir(b);
    rc = collect_units(b, cmd, e);
    network_conf(&b->net_conf, b->conf, b->engine >= 0);
    if (rc == 0)
        rc = make_plan(b, e);
    if (rc == 0)
        rc = make_svcs(b, cmd, e);
    if (rc == 0)
        rc = listen_init(b, a->env, e);
    if (rc == 0)
        rc = held_init(&b->jobs, &b->children, &b->channel, e);
    if (rc < 0)
        return rc;
    init_supervisor(b, a);
    publish_init(b);
    policy_init(b);
    drain_init(b);
    roles_init(b);
    return 0;
}

void box_start(struct box *b) {
    timeline_add(&b->timeline, b->started, -1, MARK_START);
    bool logs = b->nunits > (b->main >= 0 ? 1U : 0U);
    if (logs)
        role_start(&b->log);
    if (b->listens)
        role_start(&b->channel);
    timer_arm(&b->loop, &b->boot_deadline, b->conf->pinnace.boot_timeout);
    supervisor_up(&b->sup);
    prepare_begin(b);
}

/* --- the loop ------------------------------------------------------------------------------ */

static void settle(struct box *b) {
    supervisor_settle(&b->sup);
    publish_turn(b);
    drain_advance(b);
}

void box_turn(struct box *b) {
    settle(b);
    if (b->done)
        return;
    int rc = loop_turn(&b->loop);
    if (rc < 0) {
        log_error(NULL, "epoll_wait: %s", strerror(-rc));
        (void)usleep(100000); /* cannot happen; if it does, not at full speed */
    }
}

int box_run(struct box *b) {
    int rc = forward_init(b);
    if (rc < 0)
        log_error(NULL, "no signals: %s", strerror(-rc));
    box_start(b);
    while (!b->done)
        box_turn(b);
    return b->exit_code;
}

void box_fini(struct box *b) {
    fd_close(&b->signals.fd);
    fd_close(&b->button.fd);
    fd_close(&b->log.sock.fd);
    fd_close(&b->channel.sock.fd);
    fd_close(&b->net.sock.fd);
    fd_close(&b->prepare_sock);
    for (int i = 0; i < NET_NSOCKETS; i++)
        fd_close(&b->net_sockets[i]);
    equip_fini(b);
    listen_fini(b);
    held_fini(&b->jobs);
    loop_fini(&b->loop);
    for (size_t i = b->conf->nservices; i < b->nunits; i++) /* the engine's and CMD's are ours */
        svc_conf_free(b->confs[i]);
    mem_release(&b->svcs);
    mem_release(&b->gear);
}
