#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <yyjson.h>

#include "base/bug.h"
#include "base/limits.h"
#include "tests/unit/tap.h"

/* What is in `fd` now, as a string. */
static const char *taken(int fd) {
    static char buf[1 << 17];
    size_t have = 0;
    for (ssize_t n; have < sizeof buf - 1 && (n = read(fd, buf + have, sizeof buf - 1 - have)) > 0;)
        have += (size_t)n;
    buf[have] = '\0';
    return buf;
}

static bool starts(const char *s, const char *with) { return strncmp(s, with, strlen(with)) == 0; }

/* log_init() keeps a descriptor for the life of a process: so one process a test. */
static void in_child(const char *what, void (*run)(void)) {
    pid_t pid = fork();
    if (pid == 0) {
        tap.done = tap.failed = 0;
        run();
        _exit(tap.failed != 0);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    OK(status == 0, "%s", what);
}

/* As OK, but silent while it holds: for children. */
#define SAME(got, want) same((got), (want), __LINE__)
static void same(const char *got, const char *want, int line) {
    if (strcmp(got, want) == 0)
        return;
    printf("# line %d: got  '%s'\n# line %d: want '%s'\n", line, got, line, want);
    tap.failed++;
}

#define HOLDS(cond)                                     \
    do {                                                \
        if (!(cond)) {                                  \
            printf("# line %d: %s\n", __LINE__, #cond); \
            tap.failed++;                               \
        }                                               \
    } while (0)

static int out[2]; /* read end non-blocking */

static void make_pipe(void) {
    HOLDS(pipe2(out, O_CLOEXEC) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0);
}

static void text_lines(void) {
    make_pipe();
    log_init(out[1], LOG_TEXT, LOG_INFO);
    log_info("engine", "ready after %d ms", 812);
    SAME(taken(out[0]), "pinnace: engine: ready after 812 ms\n");
    log_info(NULL, "hello");
    SAME(taken(out[0]), "pinnace: hello\n");
    log_warn("db", "slow");
    SAME(taken(out[0]), "pinnace: db: warn: slow\n");
    log_error(NULL, "gone");
    SAME(taken(out[0]), "pinnace: error: gone\n");
    log_debug(NULL, "unseen");
    SAME(taken(out[0]), "");
    log_info(NULL, "a\tb\rc\nd\x01\x7f\xc3\xa4");
    SAME(taken(out[0]), "pinnace: a\tbc\\x0ad\\x01\\x7f\xc3\xa4\n");
    log_init(out[1], LOG_TEXT, LOG_ERROR);
    log_warn(NULL, "unseen");
    log_error(NULL, "seen");
    SAME(taken(out[0]), "pinnace: error: seen\n");
    log_init(out[1], LOG_TEXT, LOG_DEBUG);
    log_debug(NULL, "seen");
    SAME(taken(out[0]), "pinnace: seen\n");
    char longer[5000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    log_info(NULL, "%s", longer);
    const char *line = taken(out[0]);
    HOLDS(strlen(line) > 1000 && strlen(line) < 2048 && line[strlen(line) - 1] == '\n');
    HOLDS(strchr(line, '\n') == line + strlen(line) - 1);
}

/* One field of a line that must be a whole JSON object on one line. */
static const char *field(const char *line, const char *key) {
    static char value[1 << 17];
    size_t n = strlen(line);
    yyjson_doc *doc = n && strchr(line, '\n') == line + n - 1 ? yyjson_read(line, n, 0) : NULL;
    const char *text = yyjson_get_str(yyjson_obj_get(yyjson_doc_get_root(doc), key));
    (void)snprintf(value, sizeof value, "%s", text ? text : "(no such field)");
    yyjson_doc_free(doc);
    return value;
}

static void json_lines(void) {
    make_pipe();
    log_init(out[1], LOG_JSON, LOG_INFO);
    HOLDS(log_current_format() == LOG_JSON);
    log_warn("db", "a \"b\"\n\x80");
    char line[512];
    (void)snprintf(line, sizeof line, "%s", taken(out[0]));
    SAME(field(line, "level"), "warn");
    SAME(field(line, "unit"), "db");
    SAME(field(line, "msg"), "a \"b\"\n\xef\xbf\xbd");
    const char *ts = field(line, "ts");
    int y, mo, d, h, mi, s, ms, end = 0;
    HOLDS(sscanf(ts, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &y, &mo, &d, &h, &mi, &s, &ms, &end) == 7);
    HOLDS(end == 24 && strlen(ts) == 24 && y >= 2024 && mo >= 1 && mo <= 12 && d >= 1 && d <= 31);
    log_info(NULL, "x");
    SAME(field(taken(out[0]), "unit"), "pinnace");
    char hostile[5000];
    memset(hostile, '\x01', sizeof hostile - 1);
    hostile[sizeof hostile - 1] = '\0';
    log_error("db", "%s", hostile);
    SAME(field(taken(out[0]), "level"), "error");
}

/* Not opened to append: then who shares it writes behind our lines only with the same offset. */
static void shares_the_offset_of_a_file(void) {
    char name[] = "/tmp/t_log.XXXXXX", buf[128] = "";
    int fd = mkstemp(name);
    HOLDS(fd >= 0 && unlink(name) == 0);
    log_init(fd, LOG_TEXT, LOG_INFO);
    HOLDS(write(fd, "before\n", 7) == 7);
    log_info(NULL, "ours");
    HOLDS(write(fd, "after\n", 6) == 6);
    HOLDS(pread(fd, buf, sizeof buf - 1, 0) > 0);
    SAME(buf, "before\npinnace: ours\nafter\n");
}

static void counts_what_a_stuck_pipe_drops(void) {
    make_pipe();
    HOLDS(fcntl(out[1], F_SETPIPE_SZ, 4096) == 4096);
    log_init(out[1], LOG_TEXT, LOG_INFO);
    HOLDS(!(fcntl(out[1], F_GETFL) & O_NONBLOCK)); /* ours is another description */
    char filler[1001];
    memset(filler, 'f', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    for (int i = 0; i < 4; i++)
        log_info(NULL, "%s", filler);
    log_info(NULL, "lost 1");
    log_info(NULL, "%s", filler);
    log_info(NULL, "lost 3 %s", filler);
    const char *before = taken(out[0]);
    HOLDS(!strstr(before, "lost") || !strstr(before, "dropped"));
    int written = 0;
    for (const char *p = before; (p = strchr(p, '\n')); p++)
        written++;
    log_info(NULL, "through");
    char want[128];
    (void)snprintf(want, sizeof want,
                   "pinnace: through\npinnace: warn: %d lines dropped while the console was "
                   "stuck\n",
                   7 - written);
    HOLDS(written >= 3 && written < 7);
    SAME(taken(out[0]), want);
    log_info(NULL, "again");
    SAME(taken(out[0]), "pinnace: again\n");
}

static void a_socket_never_blocks(void) {
    int pair[2];
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    log_init(pair[1], LOG_TEXT, LOG_INFO);
    (void)alarm(10); /* would end us if it blocked */
    log_info(NULL, "hello");
    SAME(taken(pair[0]), "pinnace: hello\n");
    for (int i = 0; i < 20000; i++)
        log_info(NULL, "%0500d", i);
    while (*taken(pair[0]))
        ;
    log_info(NULL, "through");
    HOLDS(strstr(taken(pair[0]), "lines dropped while the console was stuck\n"));
    close(pair[0]);
    log_info(NULL, "to nobody"); /* no SIGPIPE */
    make_pipe();
    log_init(out[1], LOG_TEXT, LOG_INFO);
    (void)taken(out[0]);
    log_info(NULL, "now a pipe");
    HOLDS(starts(taken(out[0]), "pinnace: now a pipe\n"));
}

static void two_calls_keep_one_descriptor(void) {
    make_pipe();
    log_init(out[1], LOG_TEXT, LOG_INFO);
    int first = log_fd();
    log_init(out[1], LOG_JSON, LOG_INFO);
    int second = log_fd();
    HOLDS(first != out[1] && second != out[1]);
    HOLDS(first == second || fcntl(first, F_GETFD) < 0);
    HOLDS(fcntl(second, F_GETFD) == FD_CLOEXEC && (fcntl(second, F_GETFL) & O_NONBLOCK));
    HOLDS(fcntl(out[1], F_GETFD) >= 0); /* the caller's stays */
    log_init(999, LOG_TEXT, LOG_INFO);
    log_info(NULL, "into nothing");
    HOLDS(log_fd() == 999);
}

static void formats_output_as_text(void) {
    make_pipe();
    log_init(out[1], LOG_TEXT, LOG_INFO);
    char buf[64], small[8];
    size_t n = log_format_output(buf, sizeof buf, "db", "a\x02z", 3);
    HOLDS(n == 12 && memcmp(buf, "db | a\\x02z\n", n) == 0);
    n = log_format_output(small, sizeof small, "db", "abcdef", 6);
    HOLDS(n <= sizeof small && small[n - 1] == '\n' && memcmp(small, "db | ", 5) == 0);
    n = log_format_output(buf, sizeof buf, "db", "", 0);
    HOLDS(n == 6 && memcmp(buf, "db | \n", n) == 0);
}

static void formats_output_as_json(void) {
    static char buf[32 * 1024], line[MAX_LOG_LINE + 1];
    make_pipe();
    log_init(out[1], LOG_JSON, LOG_INFO);
    size_t n = log_format_output(buf, sizeof buf - 1, "db", "x", 1);
    buf[n] = '\0';
    SAME(field(buf, "level"), "output");
    SAME(field(buf, "msg"), "x");
    for (int c = 1; c < 256; c += 42) {
        memset(line, c, MAX_LOG_LINE);
        n = log_format_output(buf, sizeof buf - 1, "db", line, MAX_LOG_LINE);
        buf[n] = '\0';
        HOLDS(n < sizeof buf);
        SAME(field(buf, "unit"), "db"); /* cut, but a whole object */
        HOLDS(strlen(field(buf, "msg")) > 4000);
    }
    memset(line, 'q', MAX_LOG_LINE);
    n = log_format_output(buf, sizeof buf - 1, "db", line, MAX_LOG_LINE);
    buf[n] = '\0';
    HOLDS(strcmp(field(buf, "msg"), line) == 0); /* plain text is never cut */
}

int main(void) {
    in_child("text lines", text_lines);
    in_child("JSON lines", json_lines);
    in_child("a file that others write to, too", shares_the_offset_of_a_file);
    in_child("a stuck pipe: lines are counted, and told later", counts_what_a_stuck_pipe_drops);
    in_child("a socket never blocks, tells what it dropped, raises no SIGPIPE",
             a_socket_never_blocks);
    in_child("two calls keep one descriptor, on a description of its own",
             two_calls_keep_one_descriptor);
    in_child("a service's line as text", formats_output_as_text);
    in_child("a service's line as JSON, whole at any length", formats_output_as_json);
    OK(bug_count() == 0, "no bug was hit");
    return tap_end();
}
