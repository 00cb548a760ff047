#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/own.h"
#include "sys/signals.h"
#include "sys/sys.h"
#include "sys/title.h"
#include "tests/unit/tap.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct sys sys;
/* Not const: setenv(3) in the child writes into it. */
static const char *env[] = { "PATH=/tmp/one:/tmp/bin:/usr/bin:/bin", "HOME=/old", NULL };

static struct spawn_req request(const char *const *argv) {
    return (struct spawn_req){ .argv = argv,
                               .envp = env,
                               .stdio = { -1, -1, -1 },
                               .cgroup_fd = -1,
                               .oom_score_adj = OOM_INHERIT };
}

static struct exec_failure failure; /* step -1: none */
static char output[4096];
static int status;

/* Run it to its end: its output, how exec went, its exit status. Its pid. */
static pid_t run(struct spawn_req r) {
    int p[2], exec_fd = -1;
    struct err e = { 0 };
    (void)!pipe2(p, O_CLOEXEC);
    if (r.stdio[1] == -1)
        r.stdio[1] = p[1];
    pid_t pid = sys.spawn(&sys, &r, &exec_fd, &e);
    fd_close(&p[1]);
    size_t have = 0;
    for (ssize_t n; (n = read(p[0], output + have, sizeof output - 1 - have)) > 0;)
        have += (size_t)n;
    output[have] = '\0';
    fd_close(&p[0]);
    struct pollfd pfd = { .fd = exec_fd, .events = POLLIN };
    (void)poll(&pfd, 1, 10000);
    failure = (struct exec_failure){ .step = -1 };
    if (read(exec_fd, &failure, sizeof failure) != (ssize_t)sizeof failure)
        failure.step = -1;
    fd_close(&exec_fd);
    int st = 0;
    (void)waitpid(pid, &st, 0);
    status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
    return pid;
}

static bool says(struct spawn_req r, const char *want) {
    (void)run(r);
    return failure.step == -1 && status == 0 && strcmp(output, want) == 0;
}

static bool fails(struct spawn_req r, enum spawn_step step, int code, int exit) {
    (void)run(r);
    return failure.step == (int)step && failure.code == code && status == exit;
}

static void put(const char *path, const char *text, mode_t mode) {
    AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    OK(write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0, "%s", path);
}

static void executes(void) {
    struct spawn_req r = request(ARGV("echo", "a b", ""));
    OK(says(r, "a b \n"), "found on the PATH: %s", output);
    r = request(ARGV("sh", "-c", "exit 7"));
    (void)run(r);
    OK(failure.step == -1 && status == 7, "exit status %d", status);
    r = request(ARGV("sh", "-c", "kill -9 $$"));
    (void)run(r);
    OK(status == 137, "killed: %d", status);
}

static void finds_programs(void) {
    put("/tmp/bin/plain", "echo script $0 $*\n", 0755);
    put("/tmp/bin/denied", "#!/bin/sh\n", 0644);
    put("/tmp/bin/broken", "#!/none/such\n", 0755);
    put("/tmp/one/both", "#!/bin/sh\necho first\n", 0644);
    put("/tmp/bin/both", "#!/bin/sh\necho second\n", 0755);
    OK(says(request(ARGV("/tmp/bin/plain", "x", "y")), "script /tmp/bin/plain x y\n"),
       "a script without #!, by path: %s", output);
    OK(says(request(ARGV("plain", "x")), "script /tmp/bin/plain x\n"), "and on the PATH: %s",
       output);
    OK(says(request(ARGV("both")), "second\n"), "past one that may not be executed: %s", output);
    OK(fails(request(ARGV("none-such")), STEP_EXEC, ENOENT, 127), "not found");
    OK(fails(request(ARGV("/none/such")), STEP_EXEC, ENOENT, 127), "no such path");
    OK(fails(request(ARGV("")), STEP_EXEC, ENOENT, 127), "an empty name");
    OK(fails(request(ARGV("denied")), STEP_EXEC, EACCES, 126), "not executable, on the PATH");
    OK(fails(request(ARGV("/tmp/bin/denied")), STEP_EXEC, EACCES, 126), "not executable");
    OK(fails(request(ARGV("/tmp")), STEP_EXEC, EACCES, 126), "a directory");
    OK(fails(request(ARGV("/tmp/bin/broken")), STEP_INTERPRETER, ENOENT, 127), "no interpreter");
    OK(fails(request(ARGV("broken")), STEP_INTERPRETER, ENOENT, 127),
       "no interpreter, on the PATH");
    OK(fails(request(ARGV("/tmp/bin/plain/x")), STEP_EXEC, ENOTDIR, 126), "below a file");
}

static void tells_the_step(void) {
    struct spawn_req r = request(ARGV("true"));
    r.stdio[0] = 999;
    OK(fails(r, STEP_STDIO, EBADF, 127), "stdio: %d", failure.code);
    r = request(ARGV("true"));
    r.cwd = "/none/such";
    OK(fails(r, STEP_CWD, ENOENT, 127), "cwd: %d", failure.code);
    r.cwd = "/tmp/bin/plain";
    OK(fails(r, STEP_CWD, ENOTDIR, 127), "cwd, a file: %d", failure.code);
    r = request(ARGV("true"));
    r.user = "nobody-of-that-name";
    OK(fails(r, STEP_USER, ENOENT, 127), "user: %d", failure.code);
    r.user = "0:no-such-group";
    OK(fails(r, STEP_USER, ENOENT, 127), "group: %d", failure.code);
    r.user = "4294967295";
    OK(fails(r, STEP_USER, ENOENT, 127), "uid -1 is nobody: %d", failure.code);
    struct spawn_limit bad[] = { { RLIMIT_NOFILE, { 10, 5 } } };
    r = request(ARGV("true"));
    r.limits = bad;
    r.nlimits = 1;
    OK(fails(r, STEP_LIMITS, EINVAL, 127), "limits: %d", failure.code);
    r = request(ARGV("true"));
    r.oom_score_adj = 5000;
    OK(fails(r, STEP_LIMITS, EINVAL, 127), "oom_score_adj: %d", failure.code);
    r = request(ARGV("true"));
    AUTO_FD int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r.cgroup_fd = dir;
    OK(fails(r, STEP_CGROUP, ENOENT, 127), "cgroup: %d", failure.code);
    for (int i = 0; i < SPAWN_NSTEPS; i++)
        OK(strlen(spawn_step_text(i)) > 5, "step %d: %s", i, spawn_step_text(i));
    OK(strcmp(spawn_step_text(-1), "start") == 0 && strcmp(spawn_step_text(99), "start") == 0,
       "what is no step");
}

static void becomes_a_user(void) {
    put("/etc/passwd",
        "root:x:0:0::/root:/bin/sh\nann:x:1234:1235:Ann:/home/ann:/bin/zsh\nbo:x:77:77::/:\n",
        0644);
    put("/etc/group", "root:x:0:\nann:x:1235:\ncrew:x:2000:ann,bo\ndeck:x:2001:ann\n", 0644);
    struct spawn_req r = request(ARGV("sh", "-c",
                                      "echo $(id -u) $(id -g) $(id -G | tr ' ' '\\n' | "
                                      "sort -n | tr '\\n' ' '); echo $HOME $USER "
                                      "$LOGNAME $SHELL"));
    r.login_env = true;
    static const struct {
        const char *user, *want;
    } rows[] = { { "ann", "1234 1235 1235 2000 2001\n/home/ann ann ann /bin/zsh\n" },
                 { "1234", "1234 1235 1235 2000 2001\n/home/ann ann ann /bin/zsh\n" },
                 { "bo", "77 77 77 2000\n/ bo bo\n" },
                 { "ann:deck", "1234 2001 2000 2001\n/home/ann ann ann /bin/zsh\n" },
                 { "9999", "9999 9999 9999\n/\n" },
                 { "9999:8888", "9999 8888 8888\n/\n" },
                 { "9999:crew", "9999 2000 2000\n/\n" },
                 { "root", "0 0 0\n/root root root\n" } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        r.user = rows[i].user;
        (void)run(r);
        char *root = strstr(output, "root root /bin/sh"); /* its shell is set too */
        if (root)
            memcpy(root + 9, "\n", 2);
        OK(failure.step == -1 && strcmp(output, rows[i].want) == 0, "user %s: %s", rows[i].user,
           output);
    }
    r.user = "ann";
    r.login_env = false;
    (void)run(r);
    OK(strstr(output, "\n/old\n"), "without login_env the environment stays: %s", output);
    struct spawn_req ids = request(ARGV("grep", "-E", "^[UG]id:", "/proc/self/status"));
    ids.user = "ann"; /* a shell would tidy up: ask the kernel */
    OK(says(ids, "Uid:\t1234\t1234\t1234\t1234\nGid:\t1235\t1235\t1235\t1235\n"),
       "real, effective and saved: %s", output);
    OK(mkdir("/tmp/secret", 0700) == 0, "a directory of root's");
    r.cwd = "/tmp/secret";
    OK(fails(r, STEP_CWD, EACCES, 127), "cwd is entered with the user's rights");
}

static void enters_home(void) {
    (void)mkdir("/tmp/home", 0755);
    (void)mkdir("/tmp/home/in", 0755);
    put("/etc/passwd",
        "root:x:0:0::/tmp/home:/bin/sh\nann:x:1234:1235::/tmp/home:/bin/sh\n"
        "bo:x:77:77::/none/such:/bin/sh\n",
        0644);
    struct spawn_req r = request(ARGV("pwd"));
    r.home_cwd = true;
    static const struct {
        const char *user, *cwd, *want; /* want NULL: it is refused */
    } rows[] = { { NULL, "~", "/tmp/home\n" },
                 { NULL, "in", "/tmp/home/in\n" },
                 { "ann", NULL, "/tmp/home\n" },
                 { "ann", "~/in", "/tmp/home/in\n" },
                 { "ann", "~//in/", "/tmp/home/in\n" },
                 { "ann", "/tmp", "/tmp\n" },
                 { "ann", "", "/tmp/home\n" },
                 { "ann", "~ann", NULL },
                 { "bo", NULL, "/\n" },
                 { "bo", "~", NULL },
                 { "bo", "in", NULL },
                 { "ann", "none", NULL },
                 { "4321", "tmp", "/tmp\n" } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        r.user = rows[i].user;
        r.cwd = rows[i].cwd;
        bool good = rows[i].want ? says(r, rows[i].want) : fails(r, STEP_CWD, ENOENT, 127);
        OK(good, "user %s, cwd %s: %s", r.user ? r.user : "-", r.cwd ? r.cwd : "-", output);
    }
    char here[PATH_MAX + 1] = "";
    (void)strcat(getcwd(here, PATH_MAX), "\n");
    r.user = r.cwd = NULL;
    OK(says(r, here), "nobody and nothing: where we are: %s", output);
}

static void overrides_the_environment(void) {
    struct spawn_req r = request(ARGV("env"));
    r.user = "ann";
    r.login_env = true;
    r.env_over = ARGV("USER=eve", "LOGNAME", "PATH=/tmp/bin:/bin:/usr/bin", "NEW=", "NONE");
    (void)run(r);
    OK(strstr(output, "USER=eve\n") && !strstr(output, "ann\n") && strstr(output, "NEW=\n") &&
           !strstr(output, "NONE") && strstr(output, "PATH=/tmp/bin:/bin:/usr/bin\n"),
       "over the login's: %s", output);
    r = request(ARGV("both"));
    r.env_over = ARGV("PATH=/tmp/bin:/bin");
    OK(says(r, "second\n"), "its PATH is searched: %s", output);
}

static void judges_formats(void) {
    AUTO_FD int fd = open("/tmp/bin/alien", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    OK(write(fd,
             "\x7f"
             "ELF\2\2\1\0\0\0\0\0\0\0\0\0",
             16) == 16,
       "a program for another machine");
    fd_close(&fd);
    OK(fails(request(ARGV("alien")), STEP_EXEC, ENOEXEC, 126), "is no script: %d", failure.code);
    put("/tmp/bin/empty", "", 0755);
    OK(says(request(ARGV("empty")), ""), "an empty file is an empty script");
}

/* Where `exec_fd` is to be found, and what was found there. */
static int announced(void *arg) {
    char c;
    return read(*(int *)arg, &c, 1) < 0 && errno == EAGAIN ? EDOM : EBADF;
}

static void knows_its_exec_fd(void) {
    int exec_fd = -1;
    struct err e;
    struct spawn_req r = request(ARGV("true"));
    r.announce = announced;
    r.announce_arg = &exec_fd;
    pid_t pid = sys.spawn(&sys, &r, &exec_fd, &e);
    struct pollfd pfd = { .fd = exec_fd, .events = POLLIN };
    (void)poll(&pfd, 1, 10000);
    OK(read(exec_fd, &failure, sizeof failure) == (ssize_t)sizeof failure &&
           failure.step == STEP_ANNOUNCE && failure.code == EDOM,
       "exec_fd is there when it announces itself: %d", failure.code);
    (void)waitpid(pid, NULL, 0);
    fd_close(&exec_fd);
}

static void sets_stdio_and_descriptors(void) {
    struct spawn_req r = request(ARGV("sh", "-c", "ls /proc/self/fd | wc -l"));
    r.only_stdio = true;
    (void)run(r);
    OK(atoi(output) == 4, "0, 1, 2 and that of ls: %s", output);
    r.only_stdio = false;
    (void)run(r);
    int inherited = atoi(output);                   /* from whoever runs this test */
    AUTO_FD int leak = open("/dev/null", O_RDONLY); /* without close-on-exec, on purpose */
    (void)run(r);
    OK(leak >= 0 && atoi(output) == inherited + 1, "what has no close-on-exec stays: %s", output);
    r.only_stdio = true;
    (void)run(r);
    OK(atoi(output) == 4, "unless only stdio may: %s", output);
    AUTO_FD int file = open("/tmp/bin/both", O_RDONLY | O_CLOEXEC);
    r = request(ARGV("sh", "-c", "read l; echo $l; echo x >&2"));
    r.stdio[0] = file;
    AUTO_FD int sink = open("/tmp/sink", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    r.stdio[2] = sink;
    OK(says(r, "#!/bin/sh\n") && lseek(sink, 0, SEEK_END) == 2, "stdin, stdout, stderr: %s",
       output);
}

static void sets_limits(void) {
    struct spawn_limit some[] = { { RLIMIT_NOFILE, { 77, 88 } }, { RLIMIT_CORE, { 0, 0 } } };
    struct spawn_req r = request(
        ARGV("sh", "-c", "ulimit -n; ulimit -H -n; ulimit -c; cat /proc/self/oom_score_adj"));
    r.limits = some;
    r.nlimits = 2;
    r.oom_score_adj = 321;
    OK(says(r, "77\n88\n0\n321\n"), "limits: %s", output);
}

static void makes_sessions(void) {
    char want[64];
    struct spawn_req r = request(ARGV("sh", "-c", "cut -d' ' -f 1,5,6 /proc/$$/stat"));
    r.own_session = true;
    pid_t pid = run(r);
    (void)snprintf(want, sizeof want, "%d %d %d\n", pid, pid, pid);
    OK(strcmp(output, want) == 0, "a session: %s", output);
    r.own_session = false;
    r.own_group = true;
    pid = run(r);
    (void)snprintf(want, sizeof want, "%d %d %d\n", pid, pid, getsid(0));
    OK(strcmp(output, want) == 0, "a group: %s", output);
    r.own_group = false;
    pid = run(r);
    (void)snprintf(want, sizeof want, "%d %d %d\n", pid, getpgrp(), getsid(0));
    OK(strcmp(output, want) == 0, "neither: %s", output);
}

/* --- announcing, terminals ---------------------------------------------------------------- */

struct announcement {
    int fd, answer;
};

/* In the child, before anything else: it still has all of the parent's, and its environment. */
static int announce(void *arg) {
    const struct announcement *a = arg;
    pid_t pid = getpid();
    bool early = getsid(0) != pid && !getenv("HOME");
    if (write(a->fd, &pid, sizeof pid) != sizeof pid || !early)
        return EBADMSG;
    return a->answer;
}

static void says_who_it_is(void) {
    int p[2];
    pid_t told = 0;
    OK(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0, "a pipe");
    struct announcement a = { .fd = p[1] };
    struct spawn_req r = request(ARGV("echo", "ran"));
    r.announce = announce;
    r.announce_arg = &a;
    r.own_session = r.only_stdio = true;
    (void)unsetenv("HOME");
    pid_t pid = run(r);
    OK(strcmp(output, "ran\n") == 0 && read(p[0], &told, sizeof told) == sizeof told && told == pid,
       "it says who it is, and is executed");
    a.answer = EPIPE;
    r.stdio[0] = 999; /* never come to */
    OK(fails(r, STEP_ANNOUNCE, EPIPE, 127) && output[0] == '\0', "or is not: %d", failure.code);
    OK(read(p[0], &told, sizeof told) == sizeof told, "having said so");
    fd_close(&p[0]);
    fd_close(&p[1]);
}

static void takes_a_terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) {
        OK(true, "no terminals here # SKIP");
        return;
    }
    char path[64];
    (void)ptsname_r(master, path, sizeof path);
    AUTO_FD int tty = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct spawn_req r =
        request(ARGV("sh", "-c", "exec 2>/dev/null; (: </dev/tty) && echo has one"));
    r.stdio[0] = tty;
    r.own_session = true;
    (void)run(r);
    OK(strcmp(output, "") == 0, "a session has no terminal of itself: %s", output);
    r.ctty = true;
    (void)run(r);
    OK(strcmp(output, "has one\n") == 0, "the one on fd 0 becomes it: %s", output);
    AUTO_FD int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    r.stdio[0] = null;
    OK(fails(r, STEP_SESSION, ENOTTY, 127), "where there is one: %d", failure.code);
    r.own_session = false;
    (void)run(r);
    OK(failure.step == -1 && status != 127, "only with a session of its own");
    fd_close(&master);
}

static void sets_signals(void) {
    struct spawn_req r = request(ARGV("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"));
    uint64_t old = signals_block(SIGNALS_ALL);
    r.sigmask = SIGNAL_BIT(SIGUSR1) | SIGNAL_BIT(34) | SIGNAL_BIT(33);
    r.sigchld_ignored = true;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(64, SIG_IGN);
    OK(says(r, "SigBlk:\t0000000300000200\nSigIgn:\t8000000000011000\n"), "as asked: %s", output);
    r.sigmask = 0;
    r.sigchld_ignored = false;
    (void)signal(SIGPIPE, SIG_DFL);
    (void)signal(64, SIG_DFL);
    OK(says(r, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"), "clean: %s", output);
    (void)signals_block(old);
}

static void passes_listen_pid(void) {
    char ours[32], want[64];
    (void)snprintf(ours, sizeof ours, "LISTEN_PID=%d", getpid());
    struct spawn_req r = request(ARGV("/bin/sh", "-c", "echo $$ $LISTEN_PID"));
    r.envp = ARGV(ours);
    pid_t pid = run(r);
    (void)snprintf(want, sizeof want, "%d %d\n", pid, pid);
    OK(strcmp(output, want) == 0, "LISTEN_PID was ours, is the child's: %s", output);
    r.envp = ARGV("LISTEN_PID=999999");
    pid = run(r);
    (void)snprintf(want, sizeof want, "%d 999999\n", pid);
    OK(strcmp(output, want) == 0, "somebody else's stays: %s", output);
}

static int listed(void *arg) {
    int bits = 0;
    for (int fd = 3; fd < 64; fd++)
        bits += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return bits * 10 + (fcntl(*(int *)arg, F_GETFD) >= 0) + 2 * (getpgrp() == getpid());
}

static void forks(void) {
    struct err e = { 0 };
    int p[2], q[2], st;
    (void)!pipe2(p, O_CLOEXEC);
    (void)!pipe2(q, O_CLOEXEC);
    int keep[] = { q[0], p[1], q[0], 1 };
    struct fork_req r = { .title = "test", .run = listed, .arg = &p[1], .keep = keep, .nkeep = 4 };
    pid_t pid = sys.fork(&sys, &r, &e);
    (void)waitpid(pid, &st, 0);
    OK(WIFEXITED(st) && WEXITSTATUS(st) == 21, "keeps two descriptors, any order, twice: %d",
       WEXITSTATUS(st));
    r.own_group = true;
    r.nkeep = 0;
    pid = sys.fork(&sys, &r, &e);
    (void)waitpid(pid, &st, 0);
    OK(WEXITSTATUS(st) == 2, "keeps none; a group of its own: %d", WEXITSTATUS(st));
    for (int i = 0; i < 2; i++)
        close(p[i]), close(q[i]);
}

static void tells_usage(void) {
    enum { MIB = 16 };
    pid_t pid = fork();
    if (pid == 0) {
        char *p = malloc(MIB << 20);
        for (int i = 0; p && i < 20; i++)
            memset(p, i, MIB << 20);
        _exit(p ? p[MIB] : 1);
    }
    struct exit_info how;
    while (sys.reap(&sys, pid, &how) == 0)
        (void)usleep(1000);
    OK(how.code == 19 && how.has_usage && how.max_rss > (MIB - 1) << 20 &&
           how.max_rss < 2000L << 20,
       "the largest it was: %ld", (long)how.max_rss);
    OK(how.user.ns + how.system.ns > 1000000 && how.user.ns + how.system.ns < 30000000000,
       "the time it took: %ld ns", (long)(how.user.ns + how.system.ns));
}

static void counts_strangers(void) {
    pid_t a = fork();
    if (a == 0) {
        (void)pause();
        _exit(0);
    }
    struct exit_info how;
    OK(sys.strangers(&sys, &a, 1) == 0 && sys.strangers(&sys, NULL, 0) == 1, "one child, known");
    OK(sys.reap(&sys, a, &how) == 0 && sys.reap(&sys, -1, &how) == 0, "it lives");
    OK(sys.kill(&sys, a, SIGKILL) == 0, "killed");
    while (sys.reap(&sys, -1, &how) == 0)
        ;
    OK(how.pid == a && how.signaled && how.code == SIGKILL, "reaped");
    OK(sys.reap(&sys, -1, &how) == -ECHILD && sys.strangers(&sys, NULL, 0) == 0, "none left");
    OK(sys.kill(&sys, 999999999, SIGTERM) == -ESRCH, "nobody to kill");
}

int main(int argc, char **argv) {
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/tmp", "tmpfs", 0, NULL) < 0 ||
        mount("none", "/etc", "tmpfs", 0, NULL) < 0) {
        printf("1..0 # SKIP it changes users and mounts, so it needs root\n");
        return 0;
    }
    title_init(argc, argv);
    sys_linux_init(&sys);
    (void)mkdir("/tmp/one", 0755);
    (void)mkdir("/tmp/bin", 0755);
    executes();
    finds_programs();
    tells_the_step();
    becomes_a_user();
    enters_home();
    overrides_the_environment();
    judges_formats();
    knows_its_exec_fd();
    sets_stdio_and_descriptors();
    sets_limits();
    makes_sessions();
    says_who_it_is();
    takes_a_terminal();
    sets_signals();
    passes_listen_pid();
    forks();
    tells_usage();
    counts_strangers();
    return tap_end();
}
