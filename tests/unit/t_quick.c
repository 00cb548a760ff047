#include "sys/quick.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/own.h"
#include "sys/raw_syscall.h"
#include "sys/rights.h"
#include "sys/signals.h"
#include "tests/unit/tap.h"

#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

static char folder[] = "/tmp/quick.XXXXXX", path[64];
static int null, news[2];

/* --- one start -------------------------------------------------------------------------------- */

struct start {
    struct quick *quick;
    pid_t pid;
    int out, report;
    int32_t told; /* in the message */
    struct rights_message message;
};

static struct rlimit files = { 123, 456 };
static struct spawn_limit limit;
static const char *const env[] = { path, "X=a=b", NULL };

static struct spawn_req request(const char *const *argv) {
    limit = (struct spawn_limit){ RLIMIT_NOFILE, files };
    return (struct spawn_req){ .argv = argv,
                               .envp = env,
                               .stdio = { null, -1, null },
                               .own_session = true,
                               .only_stdio = true,
                               .home_cwd = true,
                               .cgroup_fd = -1,
                               .oom_score_adj = OOM_INHERIT,
                               .limits = &limit,
                               .nlimits = 1 };
}

static bool begin(struct start *s, struct spawn_req r) {
    int out[2], report[2];
    *s = (struct start){ .out = -1, .report = -1 };
    (void)!pipe2(out, O_CLOEXEC);
    (void)!pipe2(report, O_CLOEXEC);
    s->out = out[0];
    s->report = report[0];
    if (r.stdio[1] == -1)
        r.stdio[1] = out[1];
    s->quick = quick_new(&r);
    rights_pack(&s->message, &s->told, sizeof s->told, NULL, 0);
    const struct quick_news n = { .sock = news[0], .message = &s->message.head, .pid = &s->told };
    s->pid = s->quick ? quick_start(s->quick, report[1], &n) : 0;
    fd_close(&out[1]);
    fd_close(&report[1]);
    return s->quick && s->pid > 0;
}

static struct exec_failure failure; /* step -1: none */
static char output[4096];
static int status;

static void finish(struct start *s) {
    int st = 0;
    size_t have = 0;
    failure = (struct exec_failure){ .step = -1 };
    if (s->pid > 0) {
        struct pollfd pfd = { .fd = s->report, .events = POLLIN };
        (void)poll(&pfd, 1, 10000);
        if (read(s->report, &failure, sizeof failure) != (ssize_t)sizeof failure)
            failure.step = -1;
        if (failure.step == -1) { /* it has left our memory: what is there may go */
            if (s->quick)
                memset((void *)quick_request(s->quick), 0xff, sizeof(struct spawn_req));
            quick_free(s->quick);
            s->quick = NULL;
        }
        for (ssize_t n; (n = read(s->out, output + have, sizeof output - 1 - have)) > 0;)
            have += (size_t)n;
        (void)waitpid(s->pid, &st, 0);
    }
    output[have] = '\0';
    status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
    quick_free(s->quick);
    fd_close(&s->out);
    fd_close(&s->report);
}

static int32_t heard(void) {
    int32_t pid = 0;
    return recv(news[1], &pid, sizeof pid, MSG_DONTWAIT) == (ssize_t)sizeof pid ? pid : 0;
}

static bool says(struct spawn_req r, const char *want) {
    struct start s;
    bool begun = begin(&s, r);
    finish(&s);
    return begun && heard() == s.pid && failure.step == -1 && status == 0 &&
           strcmp(output, want) == 0;
}

static bool fails(struct spawn_req r, enum spawn_step step, int code) {
    struct start s;
    bool begun = begin(&s, r);
    finish(&s);
    return begun && heard() == s.pid && failure.step == (int)step && failure.code == code &&
           status == 127;
}

static void put(const char *name, const char *text, mode_t mode) {
    char file[96];
    (void)snprintf(file, sizeof file, "%s/%s", folder, name);
    AUTO_FD int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    OK(write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0, "%s", file);
}

/* --- what it does ----------------------------------------------------------------------------- */

static void executes(void) {
    char want[256], script[96];
    OK(says(request(ARGV("/bin/echo", "a b", "")), "a b \n"), "words: %s", output);
    OK(says(request(ARGV("env")), (snprintf(want, sizeof want, "%s\nX=a=b\n", path), want)),
       "variables, and no others: %s", output);
    struct spawn_req r = request(ARGV("/bin/sh", "-c", "pwd; echo $0 $1", "zero", "one"));
    r.cwd = folder;
    (void)snprintf(want, sizeof want, "%s\nzero one\n", folder);
    OK(says(r, want), "a working directory: %s", output);
    put("found", "#!/bin/sh\necho here $(ulimit -n) $(ulimit -Hn)\n", 0755);
    OK(says(request(ARGV("found")), "here 123 456\n"), "found on PATH, with its limit: %s", output);
    r.argv = ARGV("./found");
    OK(says(r, "here 123 456\n"), "found from the working directory: %s", output);
    (void)snprintf(script, sizeof script, "%s/found", folder);
    OK(says(request(ARGV(script)), "here 123 456\n"), "found by its path: %s", output);
    OK(says(request(ARGV("sh", "-c", "ls /proc/$$/fd | tr '\\n' ' '")), "0 1 2 "),
       "no other descriptors: %s", output);
    r = request(ARGV("sh", "-c", "cut -d' ' -f1,5,6,7 /proc/$$/stat"));
    struct start s;
    (void)begin(&s, r);
    finish(&s);
    (void)snprintf(want, sizeof want, "%d %d %d 0\n", s.pid, s.pid, s.pid);
    OK(heard() == s.pid && strcmp(output, want) == 0, "a session of its own: %s", output);
    r.argv = ARGV("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status");
    r.sigmask = SIGNAL_BIT(SIGUSR1) | SIGNAL_BIT(34);
    (void)signal(SIGPIPE, SIG_IGN);
    OK(says(r, "SigBlk:\t0000000200000200\nSigIgn:\t0000000000001000\n"), "signals: %s", output);
    (void)signal(SIGPIPE, SIG_DFL);
    OK(says(request(ARGV("kill-me")), "") == false, "no such program");
}

static void says_what_fails(void) {
    struct spawn_req r = request(ARGV("none-such"));
    OK(fails(r, STEP_EXEC, ENOENT), "none of that name: %d %d", failure.step, failure.code);
    r.argv = ARGV("/none/such");
    OK(fails(r, STEP_EXEC, ENOENT), "none there: %d %d", failure.step, failure.code);
    put("text", "echo no first line\n", 0755);
    r.argv = ARGV("text");
    OK(fails(r, STEP_EXEC, ENOEXEC), "a text is for others: %d %d", failure.step, failure.code);
    r.argv = ARGV("true");
    r.cwd = "/none";
    OK(fails(r, STEP_CWD, ENOENT), "no directory: %d %d", failure.step, failure.code);
    r.cwd = NULL;
    limit.value.rlim_max = 0; /* below its soft limit */
    OK(fails(r, STEP_LIMITS, EINVAL), "an odd limit: %d %d", failure.step, failure.code);
}

/* The search stops where execvp(3) stops: what is behind in PATH is another program. */
static void does_not_go_on(void) {
    char two[160], dir[80];
    (void)snprintf(dir, sizeof dir, "%s/two", folder);
    (void)mkdir(dir, 0755);
    put("both",
        "\x7f"
        "ELF, but not really\n",
        0755);
    put("two/both", "#!/bin/sh\necho second\n", 0755);
    put("two/only", "#!/bin/sh\necho only\n", 0755);
    put("only", "#!/bin/sh\necho closed\n", 0644);
    (void)snprintf(two, sizeof two, "PATH=/none:%s:%s", folder, dir);
    struct spawn_req r = request(ARGV("both"));
    r.envp = ARGV("A=b", two);
    OK(fails(r, STEP_EXEC, ENOEXEC), "it is broken: %d %d", failure.step, failure.code);
    r.argv = ARGV("only");
    OK(says(r, "only\n"), "what may not be executed is passed over: %s", output);
}

static void leaves_to_others(void) {
    struct spawn_req good = request(ARGV("true")), r = good;
    good.stdio[1] = null;
    struct quick *q = quick_new(&good);
    OK(q, "this one is for it");
    quick_free(q);
    quick_free(NULL);
    const struct {
        const char *what;
        size_t at;
        const void *value;
        size_t n;
    } rows[] = {
#define ROW(member, ...)                                                                      \
    { #member, offsetof(struct spawn_req, member), &(__typeof__(good.member)){ __VA_ARGS__ }, \
      sizeof good.member }
        ROW(user, "x"),       ROW(cwd, "here"),        ROW(cwd, "~"),
        ROW(ctty, true),      ROW(foreground, true),   ROW(own_session, false),
        ROW(own_group, true), ROW(only_stdio, false),  ROW(sigchld_ignored, true),
        ROW(cgroup_fd, 7),    ROW(oom_score_adj, 100), ROW(nlimits, 0),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        r = good;
        memcpy((char *)&r + rows[i].at, rows[i].value, rows[i].n);
        q = quick_new(&r);
        OK(!q, "not with another %s", rows[i].what);
        quick_free(q);
    }
    r = good;
    r.stdio[2] = 2;
    OK(!quick_new(&r), "not with a descriptor that is in the way");
    r = good;
    r.argv = ARGV("");
    OK(!quick_new(&r), "not without a name");
}

static void goes_past_libc(void) {
    int p[2];
    char got[8] = "";
    (void)!pipe2(p, O_CLOEXEC);
    errno = 77;
    OK(raw_syscall(SYS_getpid, 0, 0, 0, 0, 0) == getpid(), "a call without arguments");
    OK(raw_syscall(SYS_write, p[1], (long)"three", 5, 0, 0) == 5 && read(p[0], got, 8) == 5 &&
           strcmp(got, "three") == 0,
       "three arguments");
    struct rlimit was;
    OK(raw_syscall(SYS_prlimit64, 0, RLIMIT_CORE, 0, (long)&was, 0) == 0 &&
           was.rlim_cur <= was.rlim_max,
       "four arguments");
    OK(raw_syscall(SYS_close, -1, 0, 0, 0, 0) == -EBADF && errno == 77, "errno is left alone");
    fd_close(&p[0]);
    fd_close(&p[1]);
}

/* Emulators of user space know only threads and forks. */
static bool is_possible(void) {
    struct start s;
    bool begun = begin(&s, request(ARGV("true")));
    finish(&s);
    (void)heard();
    return begun || s.pid != -EINVAL;
}

/* --- what it shares --------------------------------------------------------------------------- */

/* Its failing calls do not come into our errno, nor ours into its. */
static void leaves_errno(void) {
    enum { ROUNDS = 200, CALLS = 400 };
    int wrong = 0, odd = 0;
    struct spawn_req r = request(ARGV("none-such"));
    r.envp = ARGV("PATH=/none:/no:/nowhere:/etc/passwd:/tmp/none:/:/usr:/var:/etc:/opt");
    for (int i = 0; i < ROUNDS; i++) {
        struct start s;
        odd += !begin(&s, r);
        for (int k = 0; k < CALLS; k++) {
            errno = 0;
            wrong += close(-1) == 0 || errno != EBADF;
        }
        finish(&s);
        odd += failure.code != ENOENT || heard() != s.pid;
    }
    OK(wrong == 0 && odd == 0, "errno is ours: %d wrong, %d odd", wrong, odd);
}

static void many_at_once(void) {
    enum { MANY = 100 };
    static struct start all[MANY];
    char want[16], word[16];
    int odd = 0;
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(word, sizeof word, "%d", i);
        odd += !begin(&all[i], request(ARGV("echo", word)));
        AUTO_FREE char *busy = malloc(5000); /* the heap goes on meanwhile */
        memset(busy, i, 5000);
    }
    for (int i = 0; i < MANY; i++) {
        finish(&all[i]);
        (void)snprintf(want, sizeof want, "%d\n", i);
        odd += status != 0 || strcmp(output, want) != 0;
        odd += heard() == 0;
    }
    OK(odd == 0, "%d at once, each its own: %d odd", MANY, odd);
}

static void is_killed(void) {
    int odd = 0;
    for (int i = 0; i < 100; i++) {
        struct start s;
        odd += !begin(&s, request(ARGV("sleep", "60")));
        for (int k = 0; k < i * 20; k++)
            (void)sched_yield();
        (void)kill(s.pid, SIGKILL);
        finish(&s);
        odd += status != 128 + SIGKILL || failure.step != -1;
        (void)heard();
    }
    OK(odd == 0, "killed at any moment, it takes nobody along: %d odd", odd);
}

static void nobody_listens(void) {
    struct spawn_req r = request(ARGV("true"));
    int kept = news[0], gone[2];
    (void)!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, gone);
    (void)close(gone[1]);
    news[0] = gone[0];
    struct start s;
    (void)begin(&s, r);
    finish(&s);
    OK(failure.step == STEP_ANNOUNCE && failure.code == EPIPE, "unheard, it does not begin: %d %d",
       failure.step, failure.code);
    news[0] = kept;
    (void)close(gone[0]);
}

static void shares(void) {
    executes();
    says_what_fails();
    does_not_go_on();
    leaves_to_others();
    leaves_errno();
    many_at_once();
    is_killed();
    nobody_listens();
}

int main(void) {
    (void)signals_block(SIGNALS_ALL);
    (void)!mkdtemp(folder);
    (void)snprintf(path, sizeof path, "PATH=%s:/usr/bin:/bin", folder);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, news);
    goes_past_libc();
    if (is_possible())
        shares();
    else
        (void)printf("# clone(2) is refused here, as by an emulator: then jobs are forked\n");
    fd_close(&null);
    fd_close(&news[0]);
    fd_close(&news[1]);
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    (void)!system(command);
    return tap_end();
}
