#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/own.h"
#include "base/str.h"

enum { LINE_CAP = 2048, BUG_LOG_MAX = 32 };

/* The log sink: one of the two places in the program with writable globals. */
static struct {
    int fd;
    bool is_socket, owned;
    enum log_format format;
    enum log_level level;
    unsigned long dropped;
    unsigned bugs;
} sink = { .fd = 2, .level = LOG_INFO };

/* A description of our own, so that O_NONBLOCK does not leak to those who share the
 * console. A socket cannot be reopened: there send(MSG_DONTWAIT) does the same. A file never has no
 * room, and its offset must be the one of those who share it: they would write over our lines. */
static int own_description(int fd) {
    char path[32];
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int mine = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (mine >= 0 || errno != ENXIO)
        return mine;
    sink.is_socket = true;
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

void log_init(int fd, enum log_format format, enum log_level level) {
    sink.format = format;
    sink.level = level;
    sink.is_socket = false;
    int mine = own_description(fd);
    if (sink.owned)
        fd_close(&sink.fd);
    sink.owned = mine >= 0;
    sink.fd = mine >= 0 ? mine : fd;
}

int log_fd(void) { return sink.fd; }
enum log_format log_current_format(void) { return sink.format; }

ssize_t log_write(const char *bytes, size_t n) {
    return sink.is_socket ? send(sink.fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL)
                          : write(sink.fd, bytes, n);
}

static bool sink_write(const char *line, size_t n) { return log_write(line, n) == (ssize_t)n; }

static void add_timestamp(struct text *t) {
    struct timespec ts;
    struct tm tm;
    (void)clock_gettime(CLOCK_REALTIME, &ts);
    (void)gmtime_r(&ts.tv_sec, &tm);
    text_add(t, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000);
}

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static void add_json(struct text *t, const char *level, const char *unit, const char *msg,
                     size_t n) {
    text_add(t, "{\"ts\":\"");
    add_timestamp(t);
    text_add(t, "\",\"level\":\"%s\",\"unit\":", level);
    text_json(t, unit ? unit : "pinnace", strlen(unit ? unit : "pinnace"));
    text_add(t, ",\"msg\":");
    size_t at = t->len;
    t->cap -= 2; /* for the brace and the newline */
    text_json(t, msg, n);
    while (t->cut && n > 0) { /* the message is cut, never the object */
        n -= n / 8 + 1;
        t->len = at;
        t->cut = false;
        text_json(t, msg, n);
    }
    t->cap += 2;
    text_add(t, "}");
}

/* Printable bytes, UTF-8, tab and the escapes of colours pass; other control bytes do not. */
static void add_printable(struct text *t, const char *s, size_t n) {
    size_t from = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if ((c >= 0x20 && c != 0x7f) || c == '\t' || c == 0x1b)
            continue;
        text_put(t, s + from, i - from);
        if (c != '\r')
            text_add(t, "\\x%02x", c);
        from = i + 1;
    }
    text_put(t, s + from, n - from);
}

static size_t end_line(struct text *t, size_t cap) {
    if (t->len + 1 >= cap)
        t->len = cap - 2;
    t->buf[t->len++] = '\n';
    return t->len;
}

static void emit(enum log_level level, const char *unit, const char *msg) {
    char line[LINE_CAP];
    struct text t = TEXT(line);
    if (sink.format == LOG_JSON) {
        add_json(&t, level_names[level], unit, msg, strlen(msg));
    } else {
        text_add(&t, "pinnace: %s%s", unit ? unit : "", unit ? ": " : "");
        if (level <= LOG_WARN)
            text_add(&t, "%s: ", level_names[level]);
        add_printable(&t, msg, strlen(msg));
    }
    size_t n = end_line(&t, sizeof line);
    if (!sink_write(line, n))
        sink.dropped++;
}

void log_line(enum log_level level, const char *unit, const char *fmt, ...) {
    if (level > sink.level)
        return;
    char msg[LINE_CAP / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    emit(level, unit, msg);
    if (sink.dropped) {
        char note[80];
        unsigned long lost = sink.dropped;
        sink.dropped = 0;
        (void)snprintf(note, sizeof note, "%lu lines dropped while the console was stuck", lost);
        emit(LOG_WARN, NULL, note);
        if (sink.dropped)
            sink.dropped = lost; /* the note itself does not count */
    }
}

size_t log_format_output(char *out, size_t cap, const char *unit, const char *text, size_t len) {
    struct text t = { .buf = out, .cap = cap };
    if (sink.format == LOG_JSON) {
        add_json(&t, "output", unit, text, len);
    } else {
        text_add(&t, "%s | ", unit);
        add_printable(&t, text, len);
    }
    return end_line(&t, cap);
}

void bug_report(const char *file, int line, const char *what) {
    if (++sink.bugs <= BUG_LOG_MAX)
        log_error(NULL, "bug at %s:%d: %s; carrying on, please report it", file, line, what);
#ifdef BUG_IS_FATAL
    __builtin_trap();
#endif
}

unsigned bug_count(void) { return sink.bugs; }
