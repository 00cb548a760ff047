#include "channel/role.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "channel/mirror.h"
#include "channel/request.h"
#include "loop/loop.h"

enum {
    HEAD_DEADLINE_S = 10, /* from accept to a complete request, and to send the answer */
    LONG_POLL_S = 300,    /* an unchanged ?after= is answered all the same */
};

struct conn {
    struct channel *channel; /* NULL: free */
    struct source sock;
    struct timer deadline;
    struct request request;
    bool waiting; /* for a change past request.after */
    size_t have;
    char head[MAX_REQUEST];
    char *reply; /* owned; NULL until there is one */
    size_t reply_len, sent;
};

struct listener {
    struct source sock;
    struct channel *channel;
};

struct channel {
    const struct channel_role *role;
    struct sys sys;
    struct loop loop;
    struct source control;
    struct listener listeners[MAX_CHANNELS];
    struct mirror mirror;
    struct conn conns[MAX_CONNECTIONS];
};

static void conn_close(struct conn *c) {
    loop_unwatch(&c->sock);
    timer_stop(&c->deadline);
    fd_close(&c->sock.fd);
    mem_release(&c->reply);
    c->channel = NULL;
}

/* --- answers ------------------------------------------------------------------------------ */

static const char *status_text(int status) {
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    default:
        return "HTTP Version Not Supported";
    }
}

static void conn_send(struct conn *c) {
    while (c->sent < c->reply_len) {
        ssize_t n = send(c->sock.fd, c->reply + c->sent, c->reply_len - c->sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            c->sock.want = EPOLLOUT;
            (void)loop_watch(&c->channel->loop, &c->sock);
            return;
        }
        if (n < 0)
            break;
        c->sent += (size_t)n;
    }
    (void)shutdown(c->sock.fd, SHUT_WR);
    conn_close(c);
}

static void reply(struct conn *c, int status, const char *type, const struct text *body) {
    size_t cap = body->len + 256;
    c->reply = malloc(cap);
    if (!c->reply) {
        conn_close(c);
        return;
    }
    int n = snprintf(c->reply, cap,
                     "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                     "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
                     status, status_text(status), type, body->len);
    c->reply_len = (size_t)n;
    if (!c->request.head) {
        memcpy(c->reply + n, body->buf, body->len);
        c->reply_len += body->len;
    }
    timer_arm(&c->channel->loop, &c->deadline, span_s(HEAD_DEADLINE_S));
    conn_send(c);
}

static void reply_text(struct conn *c, int status, const char *text) {
    char buf[128];
    struct text t = TEXT(buf);
    text_add(&t, "%s\n", text);
    reply(c, status, "text/plain", &t);
}

/* --- routes --------------------------------------------------------------------------------- */

static void route_livez(struct conn *c, struct text *t) {
    text_add(t, "alive\n");
    reply(c, 200, "text/plain", t);
}

static void route_readyz(struct conn *c, struct text *t) {
    mirror_ready(&c->channel->mirror, t);
    reply(c, c->channel->mirror.box.ready ? 200 : 503, "text/plain", t);
}

static void route_status(struct conn *c, struct text *t) {
    mirror_status(&c->channel->mirror, c->channel->loop.now, t);
    reply(c, 200, "application/json", t);
}

static void route_timeline(struct conn *c, struct text *t) {
    mirror_timeline(&c->channel->mirror, t);
    reply(c, 200, "application/json", t);
}

static const struct {
    const char *path;
    void (*answer)(struct conn *c, struct text *t);
} routes[] = {
    { "/livez", route_livez },
    { "/readyz", route_readyz },
    { "/v1/status", route_status },
    { "/v1/timeline", route_timeline },
};

static void answer(struct conn *c) {
    AUTO_FREE char *buf = malloc(MAX_JSON_REPLY);
    if (!buf) {
        reply_text(c, 503, "out of memory");
        return;
    }
    struct text t = { .buf = buf, .cap = MAX_JSON_REPLY };
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(routes[i].path, c->request.path) == 0) {
            routes[i].answer(c, &t);
            return;
        }
    reply_text(c, 404, "there are /readyz, /livez, /v1/status and /v1/timeline");
}

static void hear_pid1(struct channel *ch) {
    union wire_any m;
    int rc;
    while ((rc = wire_recv(ch->role->sock, &m)) > 0) {
        if (m.head.kind == WIRE_QUIT)
            _exit(0);
        if (m.head.kind < WIRE_JOB && !mirror_take(&ch->mirror, &m))
            _exit(1);
    }
    if (rc < 0)
        _exit(rc == -ENOTCONN ? 0 : 1);
}

static void take_request(struct conn *c) {
    struct channel *ch = c->channel;
    hear_pid1(ch); /* what it said before the request came counts */
    if (c->request.has_origin) {
        reply_text(c, 403, "requests from browsers are refused");
    } else if (c->request.after && c->request.after >= ch->mirror.box.seq) {
        c->waiting = true;
        timer_arm(&ch->loop, &c->deadline, span_s(LONG_POLL_S));
    } else {
        answer(c);
    }
}

/* --- connections ------------------------------------------------------------------------------ */

/* While a client waits for a change, anything it sends (or its going) ends the wait. */
static void conn_ready(struct source *s, uint32_t got) {
    struct conn *c = CONTAINER_OF(s, struct conn, sock);
    if (c->reply) {
        conn_send(c);
        return;
    }
    ssize_t n = recv(s->fd, c->head + c->have, sizeof c->head - c->have, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || c->waiting || (got & EPOLLERR)) {
        conn_close(c);
        return;
    }
    c->have += (size_t)n;
    int rc = request_parse(c->head, c->have, &c->request);
    if (rc < 0)
        reply_text(c, -rc, status_text(-rc));
    else if (rc > 0)
        take_request(c);
}

static void deadline_over(struct timer *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, deadline);
    bool was_waiting = c->waiting;
    c->waiting = false;
    if (was_waiting)
        answer(c);
    else
        conn_close(c);
}

static struct conn *conn_free(struct channel *ch) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++)
        if (!ch->conns[i].channel)
            return &ch->conns[i];
    return NULL;
}

static void listener_ready(struct source *s, uint32_t got) {
    (void)got;
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                               "Connection: close\r\n\r\n";
    struct channel *ch = CONTAINER_OF(s, struct listener, sock)->channel;
    AUTO_FD int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    struct conn *c = conn_free(ch);
    if (!c) {
        (void)send(fd, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    *c = (struct conn){ .channel = ch, .deadline.fire = deadline_over };
    c->sock = (struct source){ .fd = fd_take(&fd), .want = EPOLLIN, .ready = conn_ready };
    timer_arm(&ch->loop, &c->deadline, span_s(HEAD_DEADLINE_S));
    if (loop_watch(&ch->loop, &c->sock) < 0)
        conn_close(c);
}

/* --- PID 1 ---------------------------------------------------------------------------------------
 */

static void wake_waiters(struct channel *ch) {
    for (size_t i = 0; i < MAX_CONNECTIONS; i++) {
        struct conn *c = &ch->conns[i];
        if (c->channel && c->waiting && ch->mirror.box.seq > c->request.after) {
            c->waiting = false;
            answer(c);
        }
    }
}

static void control_ready(struct source *s, uint32_t got) {
    (void)got;
    struct channel *ch = CONTAINER_OF(s, struct channel, control);
    hear_pid1(ch);
    wake_waiters(ch);
    for (size_t i = 0; i < ch->role->nchannels && ch->mirror.known; i++)
        if (ch->listeners[i].sock.fd >= 0 && !ch->listeners[i].sock.loop)
            (void)loop_watch(&ch->loop, &ch->listeners[i].sock);
}

int channel_role_run(void *role) {
    struct channel *ch = calloc(1, sizeof *ch);
    if (!ch)
        return 1;
    ch->role = role;
    sys_linux_init(&ch->sys);
    if (loop_init(&ch->loop, &ch->sys) < 0)
        return 1;
    ch->control = (struct source){ .fd = ch->role->sock, .want = EPOLLIN, .ready = control_ready };
    for (size_t i = 0; i < ch->role->nchannels; i++)
        ch->listeners[i] = (struct listener){
            .sock = { .fd = ch->role->listen[i], .want = EPOLLIN, .ready = listener_ready },
            .channel = ch,
        };
    if (loop_watch(&ch->loop, &ch->control) < 0)
        return 1;
    while (loop_turn(&ch->loop) >= 0)
        ;
    return 1;
}
