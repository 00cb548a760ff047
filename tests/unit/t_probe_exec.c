#include "tests/unit/t_probe.h"

#include <fcntl.h>
#include <sys/stat.h>

static void reasons(void) {
    static const struct {
        const char *text;
        int rc;
        const char *reason;
    } rows[] = {
        { "exec:true", 0, "" },
        { "exec:/bin/sh -c 'exit 0'", 0, "" },
        { "exec:false", -ECHILD, "exit status 1" },
        { "exec:sh -c 'echo one; echo two >&2; echo; echo \"  \"; exit 3'", -ECHILD,
          "exit status 3: two" },
        { "exec:sh -c 'printf \"no newline\"; exit 255'", -ECHILD, "exit status 255: no newline" },
        { "exec:sh -c 'kill -SEGV $$'", -ECHILD, "killed by SIGSEGV" },
        { "exec:sh -c 'echo why; kill -TERM $$'", -ECHILD, "killed by SIGTERM: why" },
        { "exec:no-such-command-here x", -ENOENT, "no-such-command-here: not found" },
        { "exec:/no/such/command", -ENOENT, "/no/such/command: not found" },
        { "exec:/etc/passwd", -EACCES, "/etc/passwd: cannot execute: Permission denied" },
        { "exec:sh -c 'printf \"\\033[1mx\\n\"; exit 1'", -ECHILD, "exit status 1: \\x1b[1mx" },
        { "exec:sh -c 'test \"$(cat)\" = \"\"'", 0, "" }, /* stdin is /dev/null */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct asked a = ask_probe(rows[i].text, span_s(10));
        if (!OK(a.rc == rows[i].rc && !strcmp(a.e.text, rows[i].reason), "%s", rows[i].text))
            printf("# %d: %s\n", a.rc, a.e.text);
    }
}

/* More than a pipe holds: who prints it must not be stuck with it. */
static void much_output(void) {
    struct asked a =
        ask_probe("exec:sh -c 'echo first; head -c 500000 /dev/zero; exit 4'", span_s(10));
    OK(a.rc == -ECHILD && !strncmp(a.e.text, "exit status 4", 13), "500 kB of output: %s",
       a.e.text);
    a = ask_probe("exec:sh -c 'i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo word word; done; "
                  "exit 5'",
                  span_s(10));
    OK(a.rc == -ECHILD && !strcmp(a.e.text, "exit status 5: word word"), "many lines: %s",
       a.e.text);
}

/* The pid that a grandchild wrote into `path`, 0 while there is none. */
static pid_t read_pid(const char *path) {
    char text[32] = "";
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    return n > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

/* Running, that is: neither gone nor a zombie of somebody else's. */
static bool is_running(pid_t pid) {
    char path[64], text[512] = "";
    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        return false;
    const char *state = strrchr(text, ')');
    return state && !strchr("ZX", state[2]);
}

static bool ends_soon(pid_t pid) {
    for (int i = 0; i < 200 && is_running(pid); i++)
        nap(span_ms(5));
    return !is_running(pid);
}

static void deadline(void) {
    char path[] = "/tmp/t_probe.XXXXXX", text[256];
    AUTO_FD int fd = mkstemp(path);
    (void)snprintf(text, sizeof text,
                   "exec:sh -c 'echo started; (trap \"\" TERM HUP; sh -c \"echo \\$\\$ > %s; "
                   "exec sleep 60\") & sleep 60'",
                   path);
    struct asked a = ask_probe(text, span_ms(400));
    pid_t grandchild = read_pid(path);
    OK(on_time(a, span_ms(400)) && strstr(a.e.text, "sh: not done in time: started"),
       "at the deadline: %s after %lld ms", a.e.text, (long long)span_to_ms(a.took));
    OK(grandchild > 0 && ends_soon(grandchild), "the grandchild %d is killed too", grandchild);
    (void)ftruncate(fd, 0);
    (void)snprintf(text, sizeof text,
                   "exec:sh -c 'sh -c \"echo \\$\\$ > %s; exec sleep 60\" & "
                   "while ! test -s %s; do :; done'",
                   path, path);
    a = ask_probe(text, span_s(10));
    grandchild = read_pid(path);
    OK(a.rc == 0 && a.took.ns < span_s(5).ns, "what is left running does not delay a yes (%lld ms)",
       (long long)span_to_ms(a.took));
    OK(grandchild > 0 && ends_soon(grandchild), "and does not survive it");
    a = ask_probe("exec:sleep 60", span_ms(0));
    OK(a.rc == -ETIMEDOUT && a.took.ns < span_ms(100).ns, "a deadline that has passed");
    (void)unlink(path);
}

static void ignored_child_signal(void) {
    (void)signal(SIGCHLD, SIG_IGN);
    struct asked a = ask_probe("exec:sh -c 'exit 7'", span_s(10));
    OK(a.rc == -ECHILD && !strcmp(a.e.text, "exit status 7"), "with SIGCHLD ignored: %s", a.e.text);
    struct sigaction now;
    (void)sigaction(SIGCHLD, NULL, &now);
    OK(now.sa_handler == SIG_IGN, "which stays as it was");
    (void)signal(SIGCHLD, SIG_DFL);
    sigset_t mask;
    (void)sigprocmask(SIG_BLOCK, NULL, &mask);
    OK(!sigismember(&mask, SIGCHLD), "as does the mask");
}

/* Descriptors and blocked signals of ours are none of the command's business. */
static void clean_start(void) {
    int p[2];
    if (!OK(pipe(p) == 0, "a pipe without close-on-exec"))
        return;
    char text[128];
    (void)snprintf(text, sizeof text, "exec:sh -c 'test ! -e /proc/self/fd/%d'", p[1]);
    OK(ask_probe(text, span_s(10)).rc == 0, "is not inherited");
    (void)close(p[0]);
    (void)close(p[1]);
    sigset_t mask, before;
    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &mask, &before);
    OK(ask_probe("exec:grep -q '^SigBlk:.0000000000000000' /proc/self/status", span_s(10)).rc == 0,
       "nor is the signal mask");
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

int main(void) {
    reasons();
    much_output();
    deadline();
    ignored_child_signal();
    clean_start();
    return tap_end();
}
