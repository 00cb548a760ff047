/* equip.c — in a fork, for it reads what comes from outside, and drivers may hang. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/time.h"
#include "machine/cmdline.h"
#include "machine/machine.h"
#include "machine/modules.h"
#include "machine/network.h"
#include "sys/file.h"
#include "sys/title.h"

#define UNIT "machine"
enum { EQUIP_LIMIT_S = 15 };

/* The kernel mounts / read-only unless it is told `rw`; who wants it to stay so says `ro`. */
static void open_root(const char *line) {
    if (!cmdline_has(line, "ro") && mount(NULL, "/", NULL, MS_REMOUNT, NULL) < 0)
        log_warn(UNIT, "/ stays as the kernel has mounted it: %s", strerror(errno));
}

static int equip(const struct machine_conf *c) {
    AUTO_FREE char *line = NULL;
    size_t len;
    struct err e;
    if (file_read("/proc/cmdline", MAX_CMDLINE, &line, &len, &e) < 0) {
        log_error(UNIT, "no network and no modules: %s", e.text);
        return 1;
    }
    open_root(line);
    if (c->modules)
        modules_load(c->modules);
    if (c->network)
        network_up(line);
    return 0;
}

/* All signals are blocked here, so one that is pending stays so but for SIGCHLD. */
static bool await_end(pid_t pid, int *status) {
    sigset_t child;
    struct timespec limit = { .tv_sec = EQUIP_LIMIT_S };
    (void)sigemptyset(&child);
    (void)sigaddset(&child, SIGCHLD);
    while (waitpid(pid, status, WNOHANG) == 0)
        if (sigtimedwait(&child, NULL, &limit) < 0 && errno != EINTR)
            return waitpid(pid, status, WNOHANG) != 0;
    return true;
}

void machine_equip(const struct machine_conf *c) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        title_set("machine");
        _exit(equip(c));
    }
    if (pid < 0)
        log_error(UNIT, "fork for modules and network: %s", strerror(errno));
    else if (!await_end(pid, &status)) {
        log_error(UNIT,
                  "modules and network have taken more than %d s: the boot goes on "
                  "without; is a driver stuck?",
                  EQUIP_LIMIT_S);
        (void)kill(pid, SIGKILL); /* who comes to reap it is not told of it */
    } else if (status != 0) {
        log_error(UNIT, "modules and network: the process for them ended with wait status %#x",
                  (unsigned)status);
    }
}
