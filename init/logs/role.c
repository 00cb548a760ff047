#include "logs/role.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "conf/conf.h"
#include "logs/console.h"
#include "logs/file.h"
#include "svc/wire.h"

enum {
    PIPE_BYTES = 64 * 1024, /* Linux's default pipe; the most that one look can hold */
    PARTIAL_MS = 500,       /* text without a newline is printed after so long */
};

struct output {
    const struct log_unit *unit;
    struct logs *logs;
    struct source pipe, notify;
    struct timer partial;
    struct log_file file;
    regex_t regex;
    bool has_regex, matched;
    uint32_t *written;
};

struct logs {
    const struct log_role *role;
    struct sys sys;
    struct loop loop;
    struct source control;
    struct console console;
    struct output *outputs;
    int scratch[2]; /* pipe for tee(2) */
    bool quit;
    char buf[PIPE_BYTES + 1]; /* match() ends a line with NUL */
};

_Static_assert((int)MAX_LOG_LINE < (int)PIPE_BYTES, "a full pipe never waits for a newline");

/* --- lines ----------------------------------------------------------------------------- */

static void say(struct logs *l, int unit, enum probe_kind what) {
    struct wire_word w = { .head = WIRE_HEAD(WIRE_SAID, struct wire_word),
                           .unit = unit,
                           .what = (int)what };
    (void)wire_send(l->role->sock, &w.head);
}

/* One match a start is enough: WIRE_FLUSH, at the end of the process, asks anew. */
static void match(struct output *o, char *line, size_t n) {
    if (!o->has_regex || o->matched)
        return;
    char saved = line[n];
    line[n] = '\0';
    o->matched = regexec(&o->regex, line, 0, NULL, 0) == 0;
    line[n] = saved;
    if (o->matched)
        say(o->logs, (int)(o - o->logs->outputs), PROBE_LOG);
}

/* False: the console has no room; the line is to be offered again. */
static bool put_line(struct output *o, char *line, size_t n) {
    int target = o->unit->target;
    bool console = target == LOG_TO_BOTH || target == LOG_TO_CONSOLE;
    if (console && !console_line(&o->logs->console, o->unit->name, line, n))
        return false;
    if (target == LOG_TO_BOTH || target == LOG_TO_FILE)
        log_file_line(&o->file, line, n);
    match(o, line, n);
    return true;
}

/* Copy what the pipe holds without taking it off. The number of bytes. */
static size_t look(struct output *o) {
    struct logs *l = o->logs;
    ssize_t n = tee(o->pipe.fd, l->scratch[1], PIPE_BYTES, SPLICE_F_NONBLOCK);
    size_t have = 0;
    while (n > 0 && have < (size_t)n) {
        ssize_t k = read(l->scratch[0], l->buf + have, (size_t)n - have);
        if (k <= 0)
            break;
        have += (size_t)k;
    }
    return have;
}

/* Counted as gone before it is: killed in between, we say some lines twice, but lose none. */
static void take_off(struct output *o, size_t n) {
    char gone[4096];
    while (n > 0) {
        size_t most = n < sizeof gone ? n : sizeof gone;
        *o->written -= (uint32_t)most;
        ssize_t k = read(o->pipe.fd, gone, most);
        if (k <= 0)
            break;
        *o->written += (uint32_t)(most - (size_t)k);
        n -= (size_t)k;
    }
    *o->written = 0;
}

/* The end of the first piece of buf[from..n): a line without its newline, or as much as a
 * line may have. *next is where the one after it starts; 0 when the line is not complete. */
static size_t piece(const char *buf, size_t from, size_t n, bool all, size_t *next) {
    size_t most = n - from < MAX_LOG_LINE ? n - from : MAX_LOG_LINE;
    const char *newline = memchr(buf + from, '\n', most);
    if (newline) {
        *next = (size_t)(newline - buf) + 1;
        return (size_t)(newline - buf);
    }
    *next = most == MAX_LOG_LINE || all ? from + most : 0;
    return from + most;
}

/* Write out what the pipe holds. With `all`, an unfinished last line too; a pipe that is full of
 * one holds more than a line may have. Returns whether something is left that wants a newline, a
 * flush or room on the console. */
static bool put_pipe(struct output *o, bool all) {
    struct logs *l = o->logs;
    for (;;) {
        size_t n = look(o);
        size_t from = *o->written < n ? *o->written : n;
        while (from < n) {
            size_t next, end = piece(l->buf, from, n, all, &next);
            if (next == 0 || !put_line(o, l->buf + from, end - from))
                break;
            from = next;
            *o->written = (uint32_t)from;
        }
        bool progress = from > 0;
        take_off(o, from);
        if (from < n || !progress)
            return from < n;
    }
}

/* --- events ----------------------------------------------------------------------------- */

static void pump(struct output *o, bool all) {
    timer_stop(&o->partial);
    if (put_pipe(o, all) && !o->logs->console.stuck)
        timer_arm(&o->logs->loop, &o->partial, span_ms(PARTIAL_MS));
}

static void partial_fired(struct timer *t) { pump(CONTAINER_OF(t, struct output, partial), true); }

static void console_resume(struct console *c) {
    struct logs *l = CONTAINER_OF(c, struct logs, console);
    for (size_t i = 0; i < l->role->n; i++)
        if (l->outputs[i].pipe.fd >= 0)
            pump(&l->outputs[i], false);
}

/* sd_notify(3): lines of NAME=value; the only one we act on is READY=1. */
static bool says_ready(const char *text) {
    for (const char *p = text; p; p = strchr(p, '\n')) {
        p += *p == '\n';
        if (strncmp(p, "READY=1", 7) == 0 && (p[7] == '\n' || p[7] == '\0'))
            return true;
    }
    return false;
}

static void notify_ready(struct source *s, uint32_t got) {
    (void)got;
    struct output *o = CONTAINER_OF(s, struct output, notify);
    char text[4096];
    ssize_t n = recv(s->fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (n < 0)
        return;
    text[n] = '\0';
    if (says_ready(text))
        say(o->logs, (int)(o - o->logs->outputs), PROBE_NOTIFY);
}

static void take_control(struct logs *l, const union wire_any *m) {
    if (m->head.kind == WIRE_QUIT)
        l->quit = true;
    bool known = m->head.kind == WIRE_FLUSH && m->word.unit >= 0 && m->word.unit < (int)l->role->n;
    if (!known || l->outputs[m->word.unit].pipe.fd < 0)
        return;
    /* Before, not after: the pipe may hold words of the next process already. */
    l->outputs[m->word.unit].matched = false;
    pump(&l->outputs[m->word.unit], true);
}

static void control_ready(struct source *s, uint32_t got) {
    (void)got;
    struct logs *l = CONTAINER_OF(s, struct logs, control);
    union wire_any m;
    int rc;
    while ((rc = wire_recv(s->fd, &m)) > 0)
        take_control(l, &m);
    if (rc < 0)
        _exit(1); /* PID 1 is gone, or does not make sense */
}

/* What PID 1 has said comes first: after FLUSH the pipe holds the words of the next process. */
static void pipe_ready(struct source *s, uint32_t got) {
    struct output *o = CONTAINER_OF(s, struct output, pipe);
    control_ready(&o->logs->control, got);
    pump(o, false);
}

/* --- start and end ------------------------------------------------------------------------ */

static void open_output(struct logs *l, size_t i) {
    struct output *o = &l->outputs[i];
    const struct log_unit *u = &l->role->units[i];
    *o = (struct output){ .unit = u, .logs = l, .file.fd = -1, .partial.fire = partial_fired };
    o->written = &l->role->progress->written[i];
    o->pipe = (struct source){ .fd = u->pipe_fd, .want = EPOLLIN | EPOLLET, .ready = pipe_ready };
    o->notify = (struct source){ .fd = u->notify_fd, .want = EPOLLIN, .ready = notify_ready };
    o->has_regex = u->regex && regcomp(&o->regex, u->regex, REG_EXTENDED | REG_NOSUB) == 0;
    struct err e = { 0 };
    bool wants_file = l->role->dir && (u->target == LOG_TO_BOTH || u->target == LOG_TO_FILE);
    if (u->pipe_fd >= 0 && wants_file && log_file_open(&o->file, l->role->dir, u->name, &e) < 0)
        log_warn(u->name, "its output is not kept in a file: %s", e.text);
    if (u->pipe_fd >= 0)
        (void)loop_watch(&l->loop, &o->pipe);
    if (u->notify_fd >= 0)
        (void)loop_watch(&l->loop, &o->notify);
}

static int start(struct logs *l) {
    sys_linux_init(&l->sys);
    if (loop_init(&l->loop, &l->sys) < 0 || pipe2(l->scratch, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    console_init(&l->console, &l->loop);
    l->console.resume = console_resume;
    l->outputs = calloc(l->role->n + 1, sizeof *l->outputs);
    if (!l->outputs)
        return -ENOMEM;
    for (size_t i = 0; i < l->role->n; i++)
        open_output(l, i);
    l->control = (struct source){ .fd = l->role->sock, .want = EPOLLIN, .ready = control_ready };
    return loop_watch(&l->loop, &l->control);
}

static bool finished(struct logs *l) {
    bool left = false;
    for (size_t i = 0; i < l->role->n; i++)
        if (l->outputs[i].pipe.fd >= 0)
            left |= put_pipe(&l->outputs[i], true);
    return !left || l->console.giving_up;
}

int log_role_run(void *role) {
    struct logs *l = calloc(1, sizeof *l);
    if (!l)
        return 1;
    l->role = role;

    int rc = start(l);
    if (rc < 0) {
        log_error(NULL, "role log cannot start: %s", strerror(-rc));
        return 1;
    }
    while (!l->quit || !finished(l))
        if (loop_turn(&l->loop) < 0)
            return 1;
    return 0;
}
