/* ports.c — is somebody there? Watched as a stream of events, each look a fork's; and the list of
 * ports that SDKs before 0.11 keep here.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/cloudflare/process.h"
#include "channel/cloudflare/sse.h"
#include "http/client.h"
#include "probes/attempt.h"

enum {
    LOOK_S = 5, /* one look, at most */
    MIN_EVERY_MS = 100,
    MAX_EVERY_MS = 10000,
    EVERY_MS = 500,
    MAX_HOPS = 5,      /* redirects that are followed */
    PATH_BYTES = 2048, /* of what is asked for */
    RESERVED = 3000,   /* the server's own port */
};

/* What a look has found, over a pipe. */
struct found {
    int status; /* of an HTTP answer; 0: none */
    bool yes;
};

struct port_watch {
    struct cf_sse sse;
    struct channel *channel;
    int64_t port, status_min, status_max;
    bool http;
    char path[PATH_BYTES];
    span every;
    struct timer timer; /* between looks */
    struct child look;
    int fd;                    /* what it will say; -1 */
    struct job_reader process; /* that is to be the one; .job NULL: none */
};

/* --- in the fork ------------------------------------------------------------------------------ */

/* Where a redirect leads: here or to another path here; false: elsewhere, or nowhere. */
static bool follow(const struct http_head *head, int64_t *port, char *path) {
    char text[PATH_BYTES], *rest = text;
    static const char *const hosts[] = { "http://localhost", "http://127.0.0.1", "http://[::1]" };
    struct slice to = http_field(head, "Location");
    if (head->status < 300 || head->status > 399 || !to.s || to.n >= sizeof text)
        return false;
    memcpy(text, to.s, to.n);
    text[to.n] = '\0';
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (has_prefix(rest, hosts[i])) {
            rest += strlen(hosts[i]);
            *port = *rest == ':' ? strtol(rest + 1, &rest, 10) : 80;
        }
    if (*rest && *rest != '/')
        return false;
    (void)strcpy(path, *rest ? rest : "/");
    return *port > 0 && *port <= 65535;
}

static int dial(int64_t port, instant deadline) {
    struct endpoint to = { .port = (uint16_t)port };
    struct address all[MAX_PROBE_ADDRS];
    struct err e;
    (void)strcpy(to.host, "localhost");
    int n = address_find(all, &to, deadline, &e);
    return n < 0 ? n : dial_any(all, (size_t)n, false, deadline, &e);
}

/* The status after redirects, or 0. */
static int ask(struct http_client *c, int64_t port, char *path, instant deadline) {
    struct err e;
    int status = 0;
    for (int hop = 0; hop <= MAX_HOPS; hop++) {
        AUTO_FD int fd = dial(port, deadline);
        if (fd < 0)
            return 0;
        char host[32]; /* development servers refuse names that they do not know */
        (void)snprintf(host, sizeof host, "localhost:%d", (int)port);
        struct http_request r = { .method = "GET", .target = path, .host = host };
        http_client_init(c, fd, deadline, SPAN_NEVER);
        if (http_client_ask(c, &r, &e) < 0)
            return 0;
        status = c->head.status;
        if (!follow(&c->head, &port, path))
            break;
    }
    return status;
}

struct look {
    struct port_watch *watch;
    int fd;
};

static int look_run(void *arg) {
    const struct look *l = arg;
    struct port_watch *w = l->watch;
    instant deadline = instant_add(instant_now(), span_s(LOOK_S));
    struct found f = { 0 };
    if (w->http) {
        struct http_client *c = malloc(sizeof *c);
        f.status = c ? ask(c, w->port, w->path, deadline) : 0;
        f.yes = f.status >= w->status_min && f.status <= w->status_max;
    } else {
        AUTO_FD int fd = dial(w->port, deadline);
        f.yes = fd >= 0;
    }
    return write(l->fd, &f, sizeof f) != sizeof f;
}

/* --- events ----------------------------------------------------------------------------------- */

static void begin_event(const struct port_watch *w, struct text *t, const char *type) {
    text_add(t, "{");
    cf_put(t, "type", type);
    cf_put_number(t, "port", w->port);
}

static void send_event(struct port_watch *w, struct text *t, bool last) {
    text_add(t, "}");
    cf_sse_send(&w->sse, t);
    if (last)
        cf_sse_end(&w->sse);
}

static void send_ready(struct port_watch *w, const struct found *f) {
    char buf[128];
    struct text t = TEXT(buf);
    begin_event(w, &t, "ready");
    if (w->http)
        cf_put_number(&t, "statusCode", f->status);
    send_event(w, &t, true);
}

static void send_exited(struct port_watch *w) {
    char buf[128];
    struct text t = TEXT(buf);
    begin_event(w, &t, "process_exited");
    cf_put_number(&t, "exitCode", cf_exit_status(w->process.job));
    send_event(w, &t, true);
}

static void send_error(struct port_watch *w, const char *why) {
    char buf[512];
    struct text t = TEXT(buf);
    begin_event(w, &t, "error");
    cf_put(&t, "error", why);
    send_event(w, &t, true);
}

/* --- looks ------------------------------------------------------------------------------------ */

static void look(struct timer *timer) {
    struct port_watch *w = CONTAINER_OF(timer, struct port_watch, timer);
    struct sys *sys = &w->channel->sys;
    int p[2];
    struct err e = { 0 };
    if (w->sse.ended)
        return;
    timer_arm(&w->channel->loop, timer, w->every); /* for when there can be no look now */
    if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
        return;
    AUTO_FD int writer = p[1];
    struct look l = { w, writer };
    struct fork_req r = {
        .title = "look", .run = look_run, .arg = &l, .keep = &writer, .nkeep = 1, .own_group = true
    };
    pid_t pid = sys->fork(sys, &r, &e);
    if (pid < 0) {
        fd_close(&p[0]);
        return;
    }
    timer_stop(timer);
    w->fd = p[0];
    children_add(&w->channel->children, &w->look, pid);
}

static void looked(struct child *c, struct exit_info how) {
    (void)how;
    struct port_watch *w = CONTAINER_OF(c, struct port_watch, look);
    struct found f;
    bool yes = read(w->fd, &f, sizeof f) == sizeof f && f.yes;
    fd_close(&w->fd);
    if (w->sse.ended)
        return;
    if (yes)
        send_ready(w, &f);
    else
        timer_arm(&w->channel->loop, &w->timer, w->every);
}

/* Its end is of no account once somebody has answered. */
static void process_news(struct job_reader *r) {
    struct port_watch *w = CONTAINER_OF(r, struct port_watch, process);
    struct job_chunk c;
    enum job_read got;
    while ((got = job_read(r, &c)) == JOB_READ_DATA || got == JOB_READ_MISSED)
        job_took(r, c.n);
    if (got == JOB_READ_END && !w->sse.ended)
        send_exited(w);
}

static void room(struct cf_sse *s) { (void)s; } /* three events always fit */

static void over(struct cf_sse *s, bool cut) {
    (void)cut;
    struct port_watch *w = CONTAINER_OF(s, struct port_watch, sse);
    timer_stop(&w->timer);
    if (w->look.pid)
        (void)kill(-w->look.pid, SIGKILL);
    children_forget(&w->look);
    fd_close(&w->fd);
    job_detach(&w->process);
    free(w);
}

/* --- POST /api/port-watch --------------------------------------------------------------------- */

/* As fetch() sends it: percent-encoded, and without a fragment. */
static bool take_path(struct port_watch *w, struct http_exchange *x, yyjson_val *body) {
    struct text t = TEXT(w->path);
    const char *path = cf_text(body, "path");
    text_add(&t, "%s", path && *path == '/' ? "" : "/");
    for (; path && *path && *path != '#' && !t.cut; path++) {
        unsigned char c = (unsigned char)*path;
        if (c <= ' ' || c >= 0x7f)
            text_add(&t, "%%%02X", c);
        else
            text_put(&t, path, 1);
    }
    if (t.cut)
        cf_fail(x, CF_VALIDATION_FAILED, NULL, "path: at most %d characters are needed",
                PATH_BYTES - 2);
    return !t.cut;
}

static bool take(struct port_watch *w, struct http_exchange *x, yyjson_val *body) {
    const char *mode = cf_text(body, "mode");
    w->port = cf_number(body, "port", 0, 65536, 0);
    w->http = !mode || strcmp(mode, "tcp") != 0;
    w->status_min = cf_number(body, "statusMin", 100, 599, 200);
    w->status_max = cf_number(body, "statusMax", 100, 599, 399);
    w->every = span_ms(cf_number(body, "interval", MIN_EVERY_MS, MAX_EVERY_MS, EVERY_MS));
    if (w->port < 1 || w->port > 65535) {
        cf_fail(x, CF_INVALID_PORT, NULL, "port: a number from 1 to 65535 is needed");
        return false;
    }
    return take_path(w, x, body);
}

static void watch_process(struct port_watch *w, const char *id) {
    struct job *j = cf_process_find(w->channel, id);
    if (j)
        job_attach(j, &w->process, -1, false);
    else
        send_error(w, "Process not found");
    if (j && j->state == JOB_ENDED)
        send_exited(w);
}

void cf_port_watch(struct http_exchange *x, yyjson_val *body) {
    const char *process = cf_text(body, "processId");
    struct port_watch *w = cf_body(x, body) ? calloc(1, sizeof *w) : NULL;
    if (!w) {
        if (yyjson_is_obj(body))
            cf_no_memory(x, "a watch");
        return;
    }
    if (!take(w, x, body)) {
        free(w);
        return;
    }
    w->channel = channel_of(x);
    w->fd = -1;
    w->timer.fire = look;
    w->look.exited = looked;
    w->process.ready = process_news;
    w->sse.room = room;
    w->sse.over = over;
    char buf[128];
    struct text t = TEXT(buf);
    cf_sse_begin(x, &w->sse);
    begin_event(w, &t, "watching");
    send_event(w, &t, false);
    if (process && *process)
        watch_process(w, process);
    look(&w->timer);
}

/* --- the list --------------------------------------------------------------------------------- */

static uint16_t *exposed(struct channel *ch, int64_t port) {
    struct cf_state *all = &ch->cloudflare;
    for (size_t i = 0; i < CF_MAX_PORTS; i++)
        if (all->ports[i] == port)
            return &all->ports[i];
    return NULL;
}

static bool is_port(struct http_exchange *x, int64_t port) {
    if (port >= 1 && port <= 65535 && port != RESERVED)
        return true;
    char buf[64];
    struct text t = TEXT(buf);
    cf_put_number(&t, "port", port);
    cf_fail(x, CF_INVALID_PORT, &t,
            "Invalid port %lld: a number from 1 to 65535 is needed, and %d is the server's own",
            (long long)port, RESERVED);
    return false;
}

static void put_port(struct text *t, int64_t port) {
    cf_put_number(t, "port", port);
    cf_comma(t);
    text_add(t, "\"url\":\"http://localhost:%lld\"", (long long)port);
}

void cf_expose_port(struct http_exchange *x, yyjson_val *body) {
    char buf[1024];
    struct text t = TEXT(buf);
    int64_t port = cf_number(body, "port", -1, 65536, 0);
    const char *name = cf_text(body, "name");
    if (!cf_body(x, body) || !is_port(x, port))
        return;
    uint16_t *free_one = exposed(channel_of(x), 0);
    put_port(&t, port);
    if (exposed(channel_of(x), port)) {
        cf_fail(x, CF_PORT_ALREADY_EXPOSED, &t, "Port %lld is already exposed", (long long)port);
        return;
    }
    if (!free_one) {
        cf_fail(x, CF_INTERNAL_ERROR, NULL, "%d ports are exposed, and no more can be",
                CF_MAX_PORTS);
        return;
    }
    *free_one = (uint16_t)port;
    if (name && strlen(name) < 100)
        cf_put(&t, "name", name);
    cf_ok(x, &t);
}

void cf_exposed_ports(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[CF_MAX_PORTS * 96 + 64];
    struct text t = TEXT(buf);
    const struct cf_state *all = &channel_of(x)->cloudflare;
    size_t n = 0;
    text_add(&t, "\"ports\":[");
    for (size_t i = 0; i < CF_MAX_PORTS; i++) {
        if (all->ports[i] == 0)
            continue;
        n++;
        cf_comma(&t);
        text_add(&t, "{");
        put_port(&t, all->ports[i]);
        cf_put(&t, "status", "active");
        text_add(&t, "}");
    }
    text_add(&t, "]");
    cf_put_number(&t, "count", (int64_t)n);
    cf_ok(x, &t);
}

void cf_unexpose_port(struct http_exchange *x, yyjson_val *body) {
    (void)body;
    char buf[64], text[16] = "", *end;
    struct text t = TEXT(buf);
    struct slice part = x->params[0];
    if (part.n < sizeof text)
        memcpy(text, part.s, part.n);
    int64_t port = strtol(text, &end, 10);
    if (!is_port(x, *end ? 0 : port))
        return;
    uint16_t *one = exposed(channel_of(x), port);
    cf_put_number(&t, "port", port);
    if (!one) {
        cf_fail(x, CF_PORT_NOT_EXPOSED, &t, "Port %lld is not exposed", (long long)port);
        return;
    }
    *one = 0;
    cf_ok(x, &t);
}
