/* pinnace probe: exit statuses and what is printed. */
#include "tests/unit/t_probe.h"

struct said {
    int status;
    char out[8192], err[8192];
};

static void read_all(int fd, char *buf, size_t cap) {
    size_t len = 0;
    ssize_t n;
    while (len + 1 < cap && (n = read(fd, buf + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    buf[len] = '\0';
}

static struct said run(const char **argv) {
    struct said s = { .status = -1 };
    int out[2], err[2], argc = 0, status;
    while (argv[argc])
        argc++;
    if (pipe(out) < 0 || pipe(err) < 0)
        return s;
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], 1);
        (void)dup2(err[1], 2);
        int rc = probe_main(argc, (char **)argv);
        (void)fflush(NULL);
        _exit(rc);
    }
    (void)close(out[1]);
    (void)close(err[1]);
    read_all(out[0], s.out, sizeof s.out);
    read_all(err[0], s.err, sizeof s.err);
    (void)close(out[0]);
    (void)close(err[0]);
    (void)waitpid(pid, &status, 0);
    s.status = WIFEXITED(status) ? WEXITSTATUS(status) : -2;
    return s;
}

#define RUN(...) run((const char *[]){ __VA_ARGS__, NULL })

static void answers(void) {
    struct said s = RUN("file:/");
    OK(s.status == 0 && !strcmp(s.out, "file:/: ready\n") && !s.err[0], "yes");
    s = RUN("exec:sh -c 'exit 3'", "--timeout", "10s");
    OK(s.status == 1 && !strcmp(s.out, "exec:sh -c 'exit 3': not ready: exit status 3\n"), "no: %s",
       s.out);
    s = RUN("-q", "exec:false");
    OK(s.status == 1 && !s.out[0] && !s.err[0], "quietly");
    instant start = instant_now();
    s = RUN("--timeout=120ms", "file:/no/such/file");
    int64_t ms = span_to_ms(instant_since(instant_now(), start));
    OK(s.status == 1 && ms >= 120 && ms < 400, "late, after %lld ms", (long long)ms);
}

static void usages(void) {
    struct said s = RUN("--help");
    OK(s.status == 0 && strstr(s.out, "usage: pinnace probe SPEC") && !s.err[0], "--help");
#define HAS(id, name, arg, help)                                                \
    OK(strstr(s.out, help) && strstr(s.out, (id) == PROBE_HTTP ? "URL" : name), \
       "it tells of " name);
    PROBE_KINDS(HAS)
#undef HAS
    s = run((const char *[]){ NULL });
    OK(s.status == 2 && !s.out[0] && strstr(s.err, "pinnace probe: SPEC is missing\n"), "no SPEC");
    s = RUN("tpc:80");
    OK(s.status == 2 && strstr(s.err, "(did you mean tcp?)") && strstr(s.err, "exec:CMD"),
       "no such kind: the kinds are listed");
    s = RUN("tcp:80", "file:/");
    OK(s.status == 2 && strstr(s.err, "'file:/' is one word too many"), "two SPECs");
    s = RUN("--fast", "file:/");
    OK(s.status == 2 && strstr(s.err, "'--fast' is not one of"), "an unknown option");
    s = RUN("--timeout", "5", "file:/");
    OK(s.status == 2 && strstr(s.err, "--timeout: "), "a time without a unit");
    s = RUN("file:/", "--timeout");
    OK(s.status == 2 && strstr(s.err, "--timeout: "), "no time at all");
    s = RUN("log:x");
    OK(s.status == 2 && strstr(s.err, "only the init"), "log cannot be asked from outside");
    s = RUN("--", "-q");
    OK(s.status == 2 && strstr(s.err, "'-q' is not one of exec"), "-- ends the options");
}

int main(void) {
    answers();
    usages();
    return tap_end();
}
