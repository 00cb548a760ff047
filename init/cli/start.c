/* start.c — from the command line to a running box. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "pid1/box.h"
#include "svc/environment.h"
#include "sys/signals.h"
#include "sys/title.h"

extern char **environ;

static int cannot_start(const struct err *e) {
    log_error(NULL, "cannot start: %s", e->text);
    return EXIT_CANNOT_START;
}

/* The title moves the environment, so CMD's is taken after it. */
static void become_init(const struct conf *c) {
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (c->pinnace.parent_death_signal)
        (void)prctl(PR_SET_PDEATHSIG, c->pinnace.parent_death_signal);
}

/* PID 1 holds the pipes of jobs, so it needs many. What it starts gets what it was given itself:
 * programs that use select(2), or close all there might be, rely on a small one. */
static struct rlimit raise_descriptors(void) {
    struct rlimit given = { 0 };
    if (getrlimit(RLIMIT_NOFILE, &given) < 0)
        return given;
    struct rlimit ours = given;
    rlim_t most = given.rlim_max < MAX_OWN_FDS ? given.rlim_max : MAX_OWN_FDS;
    if (ours.rlim_cur < most)
        ours.rlim_cur = most;
    (void)setrlimit(RLIMIT_NOFILE, &ours);
    return given;
}

/* Run the box that `conf` says; its exit status. */
static int run_box(struct conf *conf, const char *const *cmd, bool machine, uint64_t mask,
                   instant started) {
    struct err e = { 0 };
    struct box box;
    struct sys sys;
    sys_linux_init(&sys);
    struct box_args args = {
        .conf = conf,
        .cmd = cmd,
        .env = (const char *const *)environ,
        .sigmask = mask,
        .sigchld_ignored = signals_claim_children(0),
        .nofile = raise_descriptors(),
        .is_pid1 = getpid() == 1,
        .machine = machine,
        .started = started,
    };
    if (box_init(&box, &sys, &args, &e) < 0)
        return cannot_start(&e);
    int code = box_run(&box);
    box_fini(&box);
    return code;
}

int start_box(const char *config, const char *const *cmd, bool machine, instant started) {
    uint64_t mask = signals_block(SIGNALS_ALL);
    struct err e = { 0 };
    struct conf conf;
    struct machine_conf vm = { 0 };
    int code = EXIT_CANNOT_START;
    if (conf_load(&conf, config, environ, &e) < 0) {
        (void)cannot_start(&e);
    } else {
        log_init(2, (enum log_format)conf.pinnace.log, (enum log_level)conf.pinnace.log_level);
        environment_drop_secrets(environ); /* the configuration has them */
        become_init(&conf);
        vm = machine_conf(&conf);
        if (machine)
            machine_equip(&vm);
        code = run_box(&conf, cmd, machine, mask, started);
        conf_free(&conf);
    }
    if (machine)
        machine_end(&vm, code);
    return code;
}
