#include "cli/session.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/native/ask.h"
#include "channel/native/frames.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "sys/signals.h"

enum {
    PIECE = 64 << 10,    /* bytes of stdin in a frame */
    SMALL_FRAMES = 4096, /* bytes of signals and sizes that wait behind it; then they are dropped */
    INSIST = 3,          /* so many INT or TERM, */
    INSIST_MS = 1000,    /* each so soon after the last: leave */
    TIMED_OUT = 124,
    GOING_ON = -1,
};

struct session {
    struct client *c;
    const struct session_args *args;
    struct frame_reader frames;
    struct frame_piece output; /* not yet written, of what has been received */
    char told[JOB_JSON_MAX + 1];
    char to[FRAME_HEAD + PIECE + SMALL_FRAMES]; /* to the server */
    size_t to_sent, to_len;
    struct detach_keys keys;
    struct terminal terminal;
    int signals;
    int out[2];      /* stdout and stderr, or a way of our own to them */
    bool input;      /* stdin is passed on */
    bool input_used; /* some of it was: it may be stuck in the connection */
    bool pty, detaching;
    char id[JOB_ID_TEXT];
    instant insisted;
    int insistence;
    int status; /* GOING_ON; else the end of it */
};

/* --- to the server ---------------------------------------------------------------------------- */

static void queue(struct session *s, enum frame_type type, const void *bytes, size_t n) {
    if (s->to_len + FRAME_HEAD + n > sizeof s->to)
        return;
    frame_head((unsigned char *)s->to + s->to_len, type, n);
    memcpy(s->to + s->to_len + FRAME_HEAD, bytes, n);
    s->to_len += FRAME_HEAD + n;
}

static void queue_size(struct session *s) {
    uint16_t rows, cols;
    if (!s->pty || !terminal_size(&rows, &cols) || !rows || !cols)
        return;
    unsigned char b[4] = { (unsigned char)(rows >> 8), (unsigned char)rows,
                           (unsigned char)(cols >> 8), (unsigned char)cols };
    queue(s, FRAME_RESIZE, b, sizeof b);
}

static void lost(struct session *s, const char *why) {
    if (s->detaching) {
        s->status = CLI_OK;
        return;
    }
    s->status = CLI_CHANNEL;
    terminal_restore(&s->terminal);
    (void)fprintf(stderr, "pinnace: the connection was lost (%s) before job %s has ended%s\n", why,
                  s->id, s->args->owner ? "" : "; `pinnace attach` finds it");
}

static void send_some(struct session *s) {
    ssize_t n =
        send(s->c->fd, s->to + s->to_sent, s->to_len - s->to_sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return;
        s->to_len = s->to_sent = 0; /* what it said last is still to be read */
        s->input = false;
        return;
    }
    s->to_sent += (size_t)n;
    if (s->to_sent == s->to_len)
        s->to_sent = s->to_len = 0;
}

/* Only into an empty buffer: the server takes no more than the job reads. */
static void take_input(struct session *s) {
    char in[PIECE - MAX_DETACH_KEYS], *out = s->to + FRAME_HEAD;
    bool hit = false;
    ssize_t n = read(0, in, sizeof in);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    size_t len = n > 0 ? detach_filter(&s->keys, in, (size_t)n, out, &hit) : 0;
    if (n <= 0 && s->pty)
        out[len++] = 4; /* ^D: a terminal's end of file is typed */
    if (len > 0 || n <= 0) {
        frame_head((unsigned char *)s->to, FRAME_STDIN, len);
        s->to_len = FRAME_HEAD + len;
        s->input_used = true;
    }
    s->input = n > 0 && !hit;
    if (hit) {
        s->detaching = true;
        queue(s, FRAME_DETACH, "", 0);
    }
}

/* --- signals ---------------------------------------------------------------------------------- */

/* A frame would wait behind the input that the job does not read. */
static void signal_beside(struct session *s, int sig) {
    char target[64], json[64];
    struct err e = { 0 };
    (void)snprintf(target, sizeof target, "/v1/jobs/%s/signal", s->id);
    (void)snprintf(json, sizeof json, "{\"signal\":%d}", sig);
    yyjson_doc_free(client_call(s->args->host, target, json, &e));
    if (e.code && e.code != EEXIST && e.code != ESRCH) /* it may just have ended */
        (void)fprintf(stderr, "pinnace: %s\n", e.text);
}

/* The server, or the way to it, may be stuck: somebody who says it three times means it. */
static bool insists(struct session *s, int sig) {
    instant now = instant_now();
    if (sig != SIGINT && sig != SIGTERM)
        return false;
    bool again = instant_before(now, instant_add(s->insisted, span_ms(INSIST_MS)));
    s->insistence = again ? s->insistence + 1 : 1;
    s->insisted = now;
    return s->insistence >= INSIST;
}

static void pass_signal(struct session *s, int sig) {
    char name[24];
    if (insists(s, sig) || (sig == SIGHUP && s->terminal.raw) || !s->id[0]) {
        s->status = 128 + sig;
        return;
    }
    (void)snprintf(name, sizeof name, "%d", sig);
    if (s->input_used)
        signal_beside(s, sig);
    else
        queue(s, FRAME_SIGNAL, name, strlen(name));
}

static void take_signals(struct session *s) {
    struct signalfd_siginfo si;
    while (s->status == GOING_ON && signals_read(s->signals, &si) > 0) {
        if (si.ssi_signo == SIGCONT && s->terminal.raw)
            (void)terminal_raw(&s->terminal, 0);
        if (si.ssi_signo == SIGWINCH || si.ssi_signo == SIGCONT)
            queue_size(s);
        else
            pass_signal(s, (int)si.ssi_signo);
    }
}

/* --- from the server -------------------------------------------------------------------------- */

int session_status(yyjson_val *end) {
    int n;
    if (json_bool(end, "timed_out"))
        return TIMED_OUT;
    if (json_has_int(end, "exit", &n))
        return n;
    return json_has_int(end, "signal", &n) ? 128 + n : CLI_CHANNEL;
}

static void take_started(struct session *s, yyjson_val *job) {
    (void)snprintf(s->id, sizeof s->id, "%s", json_str(job, "id"));
    s->pty = json_bool(job, "pty");
    s->input = s->args->input && (s->pty || json_is(job, "stdin", "open"));
    if (s->pty && s->input && isatty(0))
        (void)terminal_raw(&s->terminal, 0);
    else
        s->keys.n = 0; /* only typed keys detach: a stream may hold any bytes */
    queue_size(s);
}

static void take_ended(struct session *s, yyjson_val *job) {
    yyjson_val *end = json_get(job, "end");
    s->status = session_status(end);
    terminal_restore(&s->terminal);
    if (json_bool(end, "lost"))
        (void)fprintf(stderr, "pinnace: job %s ended while nobody could see how\n", s->id);
    else if (s->status == TIMED_OUT)
        (void)fprintf(stderr, "pinnace: job %s ran too long, and was ended\n", s->id);
}

/* Something that this client sent could not be done. Input that nobody reads is dropped, as a shell
 * would; a signal may come just after the end. */
static void take_error(struct session *s, yyjson_val *error) {
    if (json_is(error, "code", "state"))
        s->input = s->input && s->pty;
    else
        (void)fprintf(stderr, "pinnace: %s%s", json_str(error, "message"), s->pty ? "\r\n" : "\n");
}

static void take_told(struct session *s, enum frame_type type, size_t n) {
    uint64_t missed;
    if (type == FRAME_MISSED && n == sizeof missed) {
        memcpy(&missed, s->told, sizeof missed);
        (void)fprintf(stderr, "pinnace: %llu bytes of output are not kept any more%s",
                      (unsigned long long)be64toh(missed), s->pty ? "\r\n" : "\n");
        return;
    }
    yyjson_doc *doc = yyjson_read(s->told, n, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (type == FRAME_STARTED)
        take_started(s, root);
    else if (type == FRAME_ENDED)
        take_ended(s, root);
    else if (type == FRAME_ERROR)
        take_error(s, json_get(root, "error"));
    yyjson_doc_free(doc);
}

/* What has been received, up to output that is to be written first. */
static void take_frames(struct session *s) {
    struct http_client *h = &s->c->http;
    while (s->status == GOING_ON && s->output.n == 0 && h->used < h->have) {
        struct frame_piece p;
        int64_t k =
            frame_next(&s->frames, h->bytes + h->used, h->have - h->used, FRAME_MAX_SERVER, &p);
        bool output = p.type == FRAME_STDOUT || p.type == FRAME_STDERR;
        if (k < 0 || (p.bytes && !output && p.total >= sizeof s->told)) {
            lost(s, "it does not speak the protocol");
            return;
        }
        h->used += (size_t)k;
        if (!p.bytes)
            continue;
        if (output) {
            s->output = p;
            continue;
        }
        memcpy(s->told + p.at, p.bytes, p.n);
        if (p.at + p.n == p.total)
            take_told(s, p.type, p.total);
    }
}

static void receive_some(struct session *s) {
    struct http_client *h = &s->c->http;
    ssize_t n = recv(s->c->fd, h->bytes, sizeof h->bytes, MSG_DONTWAIT);
    if (n > 0) {
        h->used = 0;
        h->have = (size_t)n;
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        lost(s, n == 0 ? "it was closed" : strerror(errno));
}

/* --- output ----------------------------------------------------------------------------------- */

/* A description of our own for a pipe can be made non-blocking, where that of our parents, which
 * others share, must not. A terminal stays as it is. 1 or 2, or a descriptor of the caller's. */
static int own_output(int fd) {
    char self[32];
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode))
        return fd;
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    int own = open(self, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return own < 0 ? fd : own;
}

/* poll(2) has said that there is room. In what is neither a file nor our own that is PIPE_BUF bytes
 * or more (pipe(7)), and more would block where signals are not heard. */
static size_t portion(int fd, size_t n) {
    struct stat st;
    bool all = fd > 2 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode));
    return all || n < PIPE_BUF ? n : PIPE_BUF;
}

static void write_failed(struct session *s, int why) {
    s->status = why == EPIPE ? 128 + SIGPIPE : CLI_CHANNEL;
    terminal_restore(&s->terminal);
    if (why != EPIPE) /* as every filter, without a word */
        (void)fprintf(stderr, "pinnace: write: %s\n", strerror(why));
}

static void write_some(struct session *s) {
    int fd = s->out[s->output.type == FRAME_STDERR];
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    do {
        ssize_t n = write(fd, s->output.bytes, portion(fd, s->output.n));
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            write_failed(s, errno);
            return;
        }
        s->output.bytes += n;
        s->output.n -= (size_t)n;
    } while (s->output.n > 0 && poll(&p, 1, 0) > 0);
}

int session_print(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno == EAGAIN)
            (void)poll(&p, 1, -1);
        else if (k < 0 && errno != EINTR)
            return -errno;
        bytes += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return 0;
}

/* --- the life --------------------------------------------------------------------------------- */

enum { P_SERVER, P_INPUT, P_SIGNALS, P_OUTPUT, P_N };

static void turn(struct session *s) {
    bool waits = s->output.n > 0;
    struct pollfd p[P_N] = {
        [P_SERVER] = { .fd = s->c->fd },
        [P_INPUT] = { .fd = s->input && s->to_len == 0 ? 0 : -1, .events = POLLIN },
        [P_SIGNALS] = { .fd = s->signals, .events = POLLIN },
        [P_OUTPUT] = { .fd = waits ? s->out[s->output.type == FRAME_STDERR] : -1,
                       .events = POLLOUT },
    };
    p[P_SERVER].events = (short)((waits ? 0 : POLLIN) | (s->to_len ? POLLOUT : 0));
    if (!p[P_SERVER].events)
        p[P_SERVER].fd = -1; /* its going is seen when it is read */
    if (poll(p, P_N, -1) < 0)
        return;
    if (p[P_SIGNALS].revents)
        take_signals(s);
    if (p[P_OUTPUT].revents)
        write_some(s);
    if (p[P_INPUT].revents && s->status == GOING_ON && s->to_len == 0)
        take_input(s);
    if (s->to_len && s->status == GOING_ON)
        send_some(s);
    if ((p[P_SERVER].revents & (POLLIN | POLLHUP | POLLERR)) && !waits && s->status == GOING_ON)
        receive_some(s);
}

int session_run(struct client *c, const struct session_args *args) {
    static const int passed[] = { SIGINT,  SIGTERM, SIGHUP,   SIGQUIT,
                                  SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };
    uint64_t set = 0;
    struct err e = { 0 };
    AUTO_FREE struct session *s = calloc(1, sizeof *s);
    if (!s ||
        detach_parse(&s->keys, args->detach_keys ? args->detach_keys : "ctrl-p,ctrl-q", &e) < 0)
        return CLI_CHANNEL;
    s->c = c;
    s->args = args;
    s->status = GOING_ON;
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        set |= SIGNAL_BIT(passed[i]);
    /* They stay blocked: when this returns there is nothing to do but to exit. */
    (void)signals_block(set | SIGNAL_BIT(SIGPIPE));
    s->signals = signals_open(set);
    s->out[0] = own_output(1);
    s->out[1] = own_output(2);
    while (s->status == GOING_ON) {
        take_frames(s);
        if (s->status == GOING_ON)
            turn(s);
    }
    terminal_restore(&s->terminal);
    if (s->detaching)
        (void)fprintf(stderr, "job %s runs on\n", s->id);
    fd_close(&s->signals);
    for (int i = 0; i < 2; i++)
        if (s->out[i] > 2)
            fd_close(&s->out[i]);
    return s->status;
}
