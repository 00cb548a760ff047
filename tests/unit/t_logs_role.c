#include "logs/role.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/own.h"
#include "conf/conf.h"
#include "svc/wire.h"
#include "tests/unit/tap.h"

enum { A, B, C, NUNITS };

static struct log_unit units[NUNITS];
static int writer[NUNITS], notify, sock, console, role_end;
static struct log_role role;
static pid_t pid;
static char dir[] = "/tmp/t_logs_role.XXXXXX";
static char seen[1 << 22]; /* what the console showed */
static size_t nseen;

/* --- the role and what PID 1 holds of it ------------------------------------------------- */

static void start_role(void) {
    int pair[2];
    (void)!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
    sock = pair[0];
    role.sock = pair[1];
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(sock);
        close(console);
        log_init(role_end, LOG_TEXT, LOG_INFO);
        _exit(log_role_run(&role));
    }
    close(pair[1]);
}

static int role_status(void) {
    int status = 0;
    (void)waitpid(pid, &status, 0);
    fd_close(&sock);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void make_box(void) {
    int p[2];
    (void)!pipe2(p, O_CLOEXEC);
    console = p[0];
    role_end = p[1];
    (void)fcntl(console, F_SETFL, O_NONBLOCK);
    static const char *const names[NUNITS] = { "a", "b", "c" };
    for (int i = 0; i < NUNITS; i++) {
        (void)!pipe2(p, O_CLOEXEC | O_NONBLOCK);
        writer[i] = p[1];
        units[i] = (struct log_unit){ .name = names[i], .pipe_fd = p[0], .notify_fd = -1 };
    }
    (void)fcntl(writer[A], F_SETFL, 0);
    units[A].target = LOG_TO_BOTH;
    units[A].regex = "^ready [0-9]+$";
    units[B].target = LOG_TO_CONSOLE;
    units[C].target = LOG_TO_FILE;
    (void)!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, p);
    notify = p[0];
    units[B].notify_fd = p[1];
    role = (struct log_role){ .units = units, .n = NUNITS, .dir = dir };
    role.progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    nseen = 0;
}

static void end_box(void) {
    for (int i = 0; i < NUNITS; i++) {
        close(writer[i]);
        close(units[i].pipe_fd);
    }
    close(notify);
    close(units[B].notify_fd);
    close(console);
    close(role_end);
    (void)munmap(role.progress, 4096);
}

static void put(int unit, const char *text) {
    OK(write(writer[unit], text, strlen(text)) == (ssize_t)strlen(text), "it says something");
}

static int64_t now_ms(void) { return instant_now().ns / 1000000; }

static bool drain(int ms) {
    struct pollfd p = { .fd = console, .events = POLLIN };
    if (poll(&p, 1, ms) <= 0)
        return false;
    ssize_t n = read(console, seen + nseen, sizeof seen - 1 - nseen);
    nseen += n > 0 ? (size_t)n : 0;
    seen[nseen] = '\0';
    return n > 0;
}

/* Wait until the console has shown `text`; where it is. */
static const char *shown(const char *text, int ms) {
    int64_t end = now_ms() + ms;
    const char *at;
    while (!(at = strstr(seen, text)) && now_ms() < end)
        (void)drain(20);
    return at;
}

static void send_word(uint16_t kind, int unit) {
    struct wire_word w = { .head = WIRE_HEAD(kind, struct wire_word), .unit = unit };
    (void)wire_send(sock, &w.head);
}

/* What the role says within `ms`: the number of messages; the last one. */
static int said(int ms, struct wire_word *last) {
    struct pollfd p = { .fd = sock, .events = POLLIN };
    union wire_any m;
    int n = 0;
    while (poll(&p, 1, ms) > 0 && wire_recv(sock, &m) == 1) {
        *last = m.word;
        n++;
    }
    return n;
}

static size_t in_pipe(int unit) {
    int n = 0;
    (void)ioctl(units[unit].pipe_fd, FIONREAD, &n);
    return (size_t)n;
}

static void read_file(const char *name, char *out, size_t cap) {
    char path[64];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, cap - 1);
    out[n > 0 ? n : 0] = '\0';
    (void)unlink(path);
}

/* --- tests --------------------------------------------------------------------------------- */

static void shows_lines(void) {
    char file[4096];
    make_box();
    put(A, "early\n"); /* before the role lives: the pipe keeps it */
    start_role();
    OK(shown("a | early\n", 5000), "what was said before is shown");
    put(A, "one\ntwo\nhalf");
    put(B, "console only\x01\n");
    put(C, "file only\n");
    OK(shown("a | one\na | two\n", 5000), "two lines, each with its prefix");
    OK(shown("b | console only\\x01\n", 5000), "control bytes are shown as text");
    OK(!strstr(seen, "half"), "half a line waits");
    put(A, " and half\n");
    OK(shown("a | half and half\n", 5000), "until it is whole");
    int64_t from = now_ms();
    put(A, "prompt> ");
    OK(shown("a | prompt> \n", 5000) && now_ms() - from >= 400, "or 500 ms have passed");
    put(B, "last words");
    while (in_pipe(B) == 0)
        ;
    from = now_ms();
    send_word(WIRE_FLUSH, B);
    OK(shown("b | last words\n", 5000) && now_ms() - from < 400, "or its process has ended");
    send_word(WIRE_FLUSH, -1);
    send_word(WIRE_FLUSH, NUNITS);
    put(A, "tail without newline");
    send_word(WIRE_QUIT, 0);
    OK(role_status() == 0, "quit");
    (void)shown("a | tail without newline\n", 1000);
    OK(strstr(seen, "a | tail without newline\n"), "quit drains: %s", seen);
    OK(!strstr(seen, "file only") && in_pipe(A) == 0 && in_pipe(C) == 0, "nothing is left behind");
    read_file("a.log", file, sizeof file);
    OK(strstr(file, "Z one\n") && strstr(file, "Z tail without newline\n"), "a.log has it too");
    read_file("c.log", file, sizeof file);
    OK(strstr(file, "Z file only\n"), "c.log: %s", file);
    read_file("b.log", file, sizeof file);
    OK(!*file, "b has no file");
    end_box();
}

static void splits_long_lines(void) {
    static char text[4 * MAX_LOG_LINE + 1];
    make_box();
    start_role();
    memset(text, 'q', sizeof text);
    OK(write(writer[A], text, MAX_LOG_LINE) == MAX_LOG_LINE && write(writer[A], "\n", 1) == 1,
       "a line of %d bytes", MAX_LOG_LINE);
    while (!memchr(seen, '\n', nseen) && drain(5000))
        ;
    size_t letters = strcspn(seen + 4, "\n");
    OK(letters == MAX_LOG_LINE, "is shown whole: %zu", letters);
    while (in_pipe(A) > 0)
        ;
    OK(kill(pid, SIGSTOP) == 0, "the role sleeps");
    OK(write(writer[A], text, 4 * MAX_LOG_LINE) == 4 * MAX_LOG_LINE, "a pipe full, no newline");
    (void)kill(pid, SIGCONT);
    size_t before = nseen;
    while (nseen < before + 4 * (4 + MAX_LOG_LINE + 1) && drain(5000))
        ;
    size_t lines = 0;
    letters = 0;
    for (size_t i = before; i < nseen; i++) {
        letters += seen[i] == 'q';
        lines += seen[i] == '\n';
    }
    OK(letters == 4 * MAX_LOG_LINE && lines >= 4 && lines <= 5, "is split: %zu letters, %zu lines",
       letters, lines);
    send_word(WIRE_QUIT, 0);
    OK(role_status() == 0, "quit");
    end_box();
    char file[64];
    read_file("a.log", file, sizeof file);
    read_file("c.log", file, sizeof file);
}

static void looks_for_ready_words(void) {
    struct wire_word w = { 0 };
    make_box();
    start_role();
    put(A, "not ready 1\nready x\nready\n");
    OK(said(300, &w) == 0, "lines that do not match");
    put(A, "ready 7\nready 8\n");
    OK(said(300, &w) == 1 && w.head.kind == WIRE_SAID && w.unit == A && w.what == PROBE_LOG,
       "the first that does is told, once");
    put(A, "ready 9\n");
    OK(said(300, &w) == 0, "not again");
    send_word(WIRE_FLUSH, A);
    put(A, "ready 10\n");
    OK(said(300, &w) == 1 && w.unit == A, "but once more after a flush");
    static const char *const no[] = { "XREADY=1", "READY=10", "READY=0\n", "STATUS=READY=1", "" };
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        (void)send(notify, no[i], strlen(no[i]), 0);
    OK(said(300, &w) == 0, "no notification");
    OK(send(notify, "STATUS=up\nREADY=1\nX=1", 21, 0) == 21 && said(1000, &w) == 1 && w.unit == B &&
           w.what == PROBE_NOTIFY,
       "READY=1 is told");
    OK(send(notify, "READY=1", 7, 0) == 7 && said(1000, &w) == 1, "each time");
    close(sock);
    sock = -1;
    OK(role_status() == 1, "it ends when PID 1 is gone");
    end_box();
    char file[64];
    read_file("a.log", file, sizeof file);
    read_file("c.log", file, sizeof file);
}

/* kill -9 at any time: its successor loses no line, and nobody who writes gets SIGPIPE. */
static void loses_nothing(void) {
    enum { LINES = 30000 };
    make_box();
    start_role();
    pid_t talker = fork();
    if (talker == 0) {
        char line[64];
        for (int i = 0; i < LINES; i++) {
            int n = snprintf(line, sizeof line, "<%d>\n", i);
            if (write(writer[A], line, (size_t)n) != n)
                _exit(1);
        }
        _exit(0);
    }
    int status, kills = 0;
    uint32_t random = 12345;
    while (waitpid(talker, &status, WNOHANG) == 0) {
        struct timespec ts = { .tv_nsec = (random = random * 1103515245 + 12345) >> 12 };
        (void)nanosleep(&ts, NULL); /* up to 1 ms */
        while (drain(0))
            ;
        if (kills++ < 300) {
            (void)kill(pid, SIGKILL);
            OK(role_status() == 128 + SIGKILL, "killed");
            start_role();
        }
    }
    OK(status == 0, "the talker never failed");
    send_word(WIRE_QUIT, 0);
    while (drain(500))
        ;
    OK(role_status() == 0, "the last one quits");
    static char met[LINES];
    for (const char *p = seen; (p = strchr(p, '<')); p++) {
        int i = atoi(p + 1);
        if (i >= 0 && i < LINES)
            met[i] = 1;
    }
    int lost = 0;
    for (int i = 0; i < LINES; i++)
        lost += !met[i];
    OK(lost == 0, "%d of %d lines lost in %d kills", lost, LINES, kills);
    end_box();
    char file[64];
    read_file("a.log", file, sizeof file);
    read_file("a.log.1", file, sizeof file);
    read_file("c.log", file, sizeof file);
}

/* A console that nobody reads holds up no service for ever. */
static void gives_up_on_a_stuck_console(void) {
    make_box();
    (void)fcntl(role_end, F_SETPIPE_SZ, 4096);
    start_role();
    int64_t from = now_ms();
    char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (int i = 0; i < 300; i++) /* 300 KiB: more than both pipes hold */
        (void)!write(writer[A], line, sizeof line);
    int64_t took = now_ms() - from;
    OK(took >= 3000 && took < 9000, "it waits for 5 s, then drops: %lld ms", (long long)took);
    (void)nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    OK(shown("lines of services were dropped while the console was stuck", 5000),
       "and says so once somebody reads");
    put(B, "back\n");
    OK(shown("b | back\n", 5000), "from then on lines are shown again");
    send_word(WIRE_QUIT, 0);
    OK(role_status() == 0, "quit");
    end_box();
    char file[64];
    read_file("a.log", file, sizeof file);
    read_file("c.log", file, sizeof file);
}

int main(void) {
    if (!OK(mkdtemp(dir), "a directory"))
        return tap_end();
    shows_lines();
    splits_long_lines();
    looks_for_ready_words();
    loses_nothing();
    gives_up_on_a_stuck_console();
    OK(rmdir(dir) == 0, "cleaned up");
    return tap_end();
}
