#include "http/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/own.h"

enum {
    ACCEPT_BATCH = 16,    /* connections taken before other descriptors are looked at again */
    ACCEPT_REST_MS = 100, /* when there is no descriptor left */
};

/* --- connections with something to do --------------------------------------------------------- */

void conn_kick(struct http_conn *c) {
    struct http_server *s = c->server;
    if (c->running || c->dirty.next)
        return;
    list_insert_before(&s->dirty, &c->dirty);
    if (!timer_armed(&s->soon))
        timer_arm(s->loop, &s->soon, (span){ 0 });
}

/* Those that are kicked meanwhile have to wait for the next turn. */
static void run_dirty(struct timer *t) {
    struct http_server *s = CONTAINER_OF(t, struct http_server, soon);
    struct link now;
    list_init(&now);
    while (!list_empty(&s->dirty)) {
        struct link *first = s->dirty.next;
        list_remove(first);
        list_insert_before(&now, first);
    }
    while (!list_empty(&now))
        conn_run(CONTAINER_OF(now.next, struct http_conn, dirty));
}

/* --- new ones --------------------------------------------------------------------------------- */

/* Close the longest idle connection. Runs from the loop, where no other one is running. */
static bool evict(struct http_server *s) {
    for (struct link *l = s->conns.next; l != &s->conns; l = l->next) {
        struct http_conn *c = CONTAINER_OF(l, struct http_conn, link);
        if (!conn_is_idle(c))
            continue;
        conn_lose(c);
        conn_run(c);
        return true;
    }
    return false;
}

enum { UNIX_HOLDS = 512 << 10 }; /* bytes; the kernel doubles it, as what it holds has heads */

/* Small answers must not wait for an acknowledgement, nor sockets for a peer whose machine has
 * vanished: that is found out after two minutes. */
static void set_options(int fd, sa_family_t family) {
    static const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },    { SOL_SOCKET, SO_KEEPALIVE, 1 },
        { IPPROTO_TCP, TCP_KEEPIDLE, 60 },  { IPPROTO_TCP, TCP_KEEPCNT, 4 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 15 },
    };
    if (family != AF_INET && family != AF_INET6) {
        /* What a unix socket holds does not grow by itself, and when it is full a writer waits
         * until three quarters of it are read (unix(7)). Over net.core.wmem_max only root. */
        const int held = UNIX_HOLDS;
        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &held, sizeof held) < 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &held, sizeof held);
        return;
    }
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

/* A connection above the limit is there to be told so, unless there are many of that kind. */
static void admit(struct http_listener *l, int taken) {
    AUTO_FD int fd = taken;
    struct http_server *s = l->server;
    bool full = s->n - s->extra >= s->max && !evict(s);
    struct http_conn *c = full && s->extra >= HTTP_REFUSALS ? NULL : conn_new(s, l->site, fd);
    s->accepted += c && !full;
    s->refused += !c || full;
    if (!c)
        return;
    (void)fd_take(&fd);
    c->extra = full;
    s->extra += full;
    if (full)
        exchange_refuse(c, 503);
    conn_run(c);
}

int http_serve(struct http_server *s, const struct http_site *site, int fd) {
    if (s->n - s->extra >= s->max || s->closing)
        return -EAGAIN;
    struct http_conn *c = conn_new(s, site, fd);
    if (!c)
        return -ENOMEM;
    s->accepted++;
    conn_kick(c);
    return 0;
}

static void accept_failed(struct http_listener *l, int code) {
    if (code != EMFILE && code != ENFILE && code != ENOBUFS && code != ENOMEM)
        return;
    (void)evict(l->server);
    loop_unwatch(&l->source);
    timer_arm(l->server->loop, &l->rest, span_ms(ACCEPT_REST_MS));
}

static void listener_ready(struct source *src, uint32_t got) {
    struct http_listener *l = CONTAINER_OF(src, struct http_listener, source);
    (void)got;
    for (int i = 0; i < ACCEPT_BATCH && src->loop; i++) {
        struct sockaddr_storage who = { .ss_family = AF_UNSPEC };
        socklen_t len = sizeof who;
        int fd = accept4(src->fd, (struct sockaddr *)&who, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            accept_failed(l, errno);
            return;
        }
        set_options(fd, who.ss_family);
        admit(l, fd);
    }
}

static void rested(struct timer *t) {
    struct http_listener *l = CONTAINER_OF(t, struct http_listener, rest);
    if (loop_watch(l->server->loop, &l->source) < 0)
        timer_arm(l->server->loop, &l->rest, span_ms(ACCEPT_REST_MS));
}

/* --- the server ------------------------------------------------------------------------------- */

void http_server_init(struct http_server *s, struct loop *l, size_t max) {
    *s = (struct http_server){ .loop = l, .max = max, .soon.fire = run_dirty, .date_at = -1 };
    list_init(&s->conns);
    list_init(&s->listeners);
    list_init(&s->dirty);
}

int http_listen(struct http_server *s, struct http_listener *l, const struct http_site *site,
                int fd) {
    *l = (struct http_listener){ .server = s, .site = site, .rest.fire = rested };
    l->source = (struct source){ .fd = fd, .want = EPOLLIN, .ready = listener_ready };
    int rc = loop_watch(s->loop, &l->source);
    if (rc == 0)
        list_insert_before(&s->listeners, &l->link);
    return rc;
}

void http_server_close(struct http_server *s) {
    s->closing = true;
    while (!list_empty(&s->listeners)) {
        struct http_listener *l = CONTAINER_OF(s->listeners.next, struct http_listener, link);
        loop_unwatch(&l->source);
        timer_stop(&l->rest);
        list_remove(&l->link);
    }
    for (struct link *l = s->conns.next; l != &s->conns; l = l->next)
        conn_kick(CONTAINER_OF(l, struct http_conn, link));
}

bool http_server_busy(const struct http_server *s) {
    for (const struct link *l = s->conns.next; l != &s->conns; l = l->next)
        if (CONTAINER_OF(l, const struct http_conn, link)->state != CONN_HEAD)
            return true;
    return false;
}
