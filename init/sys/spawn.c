/* The child's side of a spawn. It runs in a fork of its own, so it may look users up
 * and allocate; it never returns. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "sys/exec.h"
#include "sys/signals.h"
#include "sys/sys.h"
#include "sys/user.h"

extern char **environ;

const char *spawn_step_text(int step) {
#define STEP_TEXT(id, text) [id] = text,
    static const char *const texts[SPAWN_NSTEPS] = { SPAWN_STEPS(STEP_TEXT) };
#undef STEP_TEXT
    return step >= 0 && step < SPAWN_NSTEPS ? texts[step] : "start";
}

static _Noreturn void child_fail(int report, enum spawn_step step, int code) {
    struct exec_failure f = { .step = (int32_t)step, .code = code };
    if (report >= 0)
        (void)!write(report, &f, sizeof f); /* below PIPE_BUF, so atomic */
    _exit(step == STEP_EXEC && code != ENOENT ? 126 : 127);
}

static void set_stdio(const struct spawn_req *r, int report) {
    for (int i = 0; i < 3; i++)
        if (r->stdio[i] >= 0 && dup2(r->stdio[i], i) < 0)
            child_fail(report, STEP_STDIO, errno);
}

static void set_cgroup(const struct spawn_req *r, int report) {
    if (r->cgroup_fd < 0)
        return;
    AUTO_FD int fd = openat(r->cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) < 0)
        child_fail(report, STEP_CGROUP, errno);
}

/* The terminal goes to the new group if it was ours to give: a job in the background must
 * not take it from the shell. SIGTTOU is blocked by our caller, so this cannot stop us. */
static void set_session(const struct spawn_req *r, int report) {
    pid_t old_group = getpgrp();
    if (r->own_session && setsid() < 0)
        child_fail(report, STEP_SESSION, errno);
    if (r->own_session && r->ctty && ioctl(0, TIOCSCTTY, 0) < 0)
        child_fail(report, STEP_SESSION, errno);
    if (!r->own_session && r->own_group && setpgid(0, 0) < 0)
        child_fail(report, STEP_SESSION, errno);
    if (r->foreground && tcgetpgrp(0) == old_group)
        (void)tcsetpgrp(0, getpgrp());
}

/* setrlimit(2) takes an enum in glibc, where C does not let an int become one unsaid. */
#ifdef __GLIBC__
typedef __rlimit_resource_t resource_number;
#else
typedef int resource_number;
#endif

static void set_limits(const struct spawn_req *r, int report) {
    for (size_t i = 0; i < r->nlimits; i++)
        if (setrlimit((resource_number)r->limits[i].resource, &r->limits[i].value) < 0)
            child_fail(report, STEP_LIMITS, errno);
    if (r->oom_score_adj == OOM_INHERIT)
        return;
    char score[16];
    int n = snprintf(score, sizeof score, "%d", r->oom_score_adj);
    AUTO_FD int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, score, (size_t)n) < 0)
        child_fail(report, STEP_LIMITS, errno);
}

static void set_login_env(const struct identity *id) {
    (void)setenv("HOME", id->pw ? id->pw->pw_dir : "/", 1);
    if (!id->pw) {
        (void)unsetenv("USER"); /* the parent's would be wrong */
        (void)unsetenv("LOGNAME");
        return;
    }
    (void)setenv("USER", id->pw->pw_name, 1);
    (void)setenv("LOGNAME", id->pw->pw_name, 1);
    if (id->pw->pw_shell && id->pw->pw_shell[0])
        (void)setenv("SHELL", id->pw->pw_shell, 1);
}

/* The terminal becomes the user's too, or it could not be opened by its name. */
static void set_user(const struct spawn_req *r, struct identity *id, int report) {
    if (!r->user)
        return;
    int rc = find_identity(r->user, id);
    if (rc < 0)
        child_fail(report, STEP_USER, -rc);
    if (r->ctty)
        (void)!fchown(0, id->uid, (gid_t)-1);
    rc = identity_groups(id);
    if (rc < 0)
        child_fail(report, STEP_GROUPS, -rc);
    rc = identity_uid(id);
    if (rc < 0)
        child_fail(report, STEP_UID, -rc);
    if (r->login_env)
        set_login_env(id);
}

static void set_environment(const struct spawn_req *r) {
    for (const char *const *e = r->env_over; e && *e; e++)
        (void)putenv((char *)*e); /* without a '=' it removes, in musl as in glibc */
}

/* 0 or -1. */
static int enter_home(const struct spawn_req *r, const struct passwd *pw) {
    const char *cwd = r->cwd;
    if (!r->user)
        pw = getpwuid(geteuid());
    if (chdir(pw ? pw->pw_dir : "/") < 0)
        return cwd ? -1 : chdir("/");
    if (cwd && cwd[0] == '~' && (cwd[1] == '/' || !cwd[1]))
        cwd++;
    while (cwd && *cwd == '/')
        cwd++;
    return cwd && *cwd ? chdir(cwd) : 0;
}

static void set_cwd(const struct spawn_req *r, const struct passwd *pw, int report) {
    bool home = r->home_cwd && (r->cwd ? r->cwd[0] != '/' : r->user != NULL);
    if ((home ? enter_home(r, pw) : r->cwd ? chdir(r->cwd) : 0) < 0)
        child_fail(report, STEP_CWD, errno);
}

/* sd_listen_fds(3) compares LISTEN_PID with getpid(): what was ours is now the child's. */
static void pass_listen_pid(pid_t parent) {
    const char *given = getenv("LISTEN_PID");
    if (!given || strtol(given, NULL, 10) != (long)parent)
        return;
    char mine[16];
    (void)snprintf(mine, sizeof mine, "%d", (int)getpid());
    (void)setenv("LISTEN_PID", mine, 1);
}

/* At once, not at exec: what follows may hang, on a dead file system or a slow name service, and
 * would keep what others have open meanwhile. Where `report` is now. */
static int close_others(const struct spawn_req *r, int report) {
    if (!r->only_stdio)
        return report;
    if (report > 3 && dup3(report, 3, O_CLOEXEC) < 0)
        child_fail(report, STEP_STDIO, errno);
    (void)syscall(SYS_close_range, report < 0 ? 3U : 4U, ~0U, 0U);
    return report < 0 ? -1 : 3;
}

_Noreturn void spawn_exec(const struct spawn_req *r, int report) {
    pid_t parent = getppid();
    struct identity id = { 0 };
    int refused = r->announce ? r->announce(r->announce_arg) : 0;
    if (refused)
        child_fail(report, STEP_ANNOUNCE, refused);
    environ = (char **)r->envp;
    set_stdio(r, report);
    set_cgroup(r, report);
    report = close_others(r, report);
    set_session(r, report);
    set_limits(r, report);
    set_user(r, &id, report);
    set_environment(r);
    set_cwd(r, id.pw, report);
    pass_listen_pid(parent);
    if (r->sigchld_ignored)
        (void)signal(SIGCHLD, SIG_IGN);
    (void)signals_block(r->sigmask);
    int rc = exec_program(r->argv);
    bool found = rc == ENOENT && exec_exists(r->argv[0]);
    child_fail(report, found ? STEP_INTERPRETER : STEP_EXEC, rc);
}
