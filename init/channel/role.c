#include "channel/role.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "channel/box_waits.h"
#include "channel/cloudflare/cloudflare.h"
#include "channel/e2b/e2b.h"
#include "channel/gate.h"
#include "channel/native/native.h"
#include "sys/signals.h"

enum {
    IDLE_S = 75,        /* between two requests of a connection */
    SDK_IDLE_S = 640,   /* the same: longer than the proxies in front of such boxes wait */
    LAST_WORDS_MS = 500 /* after QUIT: for clients to read how their jobs ended */
};

struct channel *channel_of(const struct http_exchange *x) {
    return CONTAINER_OF(x->site, struct gate, site)->channel;
}

/* The socket holds some hundred messages; PID 1 reads them as fast as it can. */
bool channel_tell(struct channel *ch, const struct wire_head *m) {
    return wire_send(ch->role->sock, m) == 0;
}

/* --- PID 1 ------------------------------------------------------------------------------------ */

static void quit_if_idle(struct channel *ch) {
    if (ch->quitting && !http_server_busy(&ch->server))
        _exit(0);
}

static void last_words_over(struct timer *t) {
    (void)t;
    _exit(0);
}

static void quit(struct channel *ch) {
    if (ch->quitting)
        return;
    ch->quitting = true;
    http_server_close(&ch->server);
    timer_arm(&ch->loop, &ch->last_call, span_ms(LAST_WORDS_MS));
}

/* False: it makes no sense. */
static bool take(struct channel *ch, const union wire_any *m, int fds[JOB_NFDS]) {
    switch (m->head.kind) {
    case WIRE_QUIT:
        quit(ch);
        return true;
    case WIRE_JOB:
    case WIRE_JOB_ENDED:
        return jobs_take(&ch->jobs, &m->job, fds);
    case WIRE_UNIT_DID:
        box_did(ch, &m->unit_do);
        return true;
    default:
        return mirror_take(&ch->mirror, m);
    }
}

/* The picture is whole once a WIRE_BOX has come: only then are clients listened to. */
static void open_doors(struct channel *ch) {
    ch->open = true;
    cf_state_resume(ch);
    for (size_t i = 0; i < ch->role->nchannels; i++) {
        struct gate *g = &ch->gates[i];
        int rc = ch->role->listen[i] < 0
                     ? 0
                     : http_listen(&ch->server, &ch->listeners[i], &g->site, ch->role->listen[i]);
        if (rc < 0)
            log_error("channel", "[channel %s] cannot be listened on: %s", g->conf->name,
                      strerror(-rc));
    }
}

static void control_ready(struct source *s, uint32_t got) {
    (void)got;
    struct channel *ch = CONTAINER_OF(s, struct channel, control);
    union wire_any m;
    int fds[JOB_NFDS], rc;
    while ((rc = wire_recv_fds(s->fd, &m, fds)) > 0)
        if (!take(ch, &m, fds))
            _exit(1);
    if (rc < 0)
        _exit(rc == -ENOTCONN ? 0 : 1);
    box_changed(ch);
    if (!ch->open && ch->mirror.known)
        open_doors(ch);
}

/* --- start ------------------------------------------------------------------------------------ */

static void signals_ready(struct source *s, uint32_t got) {
    (void)got;
    struct channel *ch = CONTAINER_OF(s, struct channel, signals);
    struct signalfd_siginfo si;
    while (signals_read(s->fd, &si) > 0)
        children_reap(&ch->children, (pid_t)si.ssi_pid);
}

static struct http_site site_of(int dialect) {
    if (dialect == DIALECT_E2B)
        return (struct http_site){ .routes = e2b_routes,
                                   .nroutes = e2b_nroutes,
                                   .admit = e2b_admit,
                                   .refuse = e2b_refuse,
                                   .preflight = e2b_preflight,
                                   .idle = span_s(SDK_IDLE_S) };
    if (dialect == DIALECT_CLOUDFLARE)
        return (struct http_site){ .routes = cf_routes,
                                   .nroutes = cf_nroutes,
                                   .admit = cf_admit,
                                   .refuse = cf_refuse,
                                   .preflight = cf_preflight,
                                   .idle = span_s(SDK_IDLE_S) };
    return (struct http_site){ .routes = native_routes,
                               .nroutes = native_nroutes,
                               .admit = gate_admit,
                               .refuse = native_refuse,
                               .preflight = gate_preflight,
                               .idle = span_s(IDLE_S) };
}

static void init_gates(struct channel *ch) {
    for (size_t i = 0; i < ch->role->nchannels; i++) {
        struct gate *g = &ch->gates[i];
        g->site = site_of(ch->role->channels[i]->dialect);
        gate_init(g, ch, ch->role->channels[i]);
    }
}

static void init_objects(struct channel *ch) {
    const struct channel_role *role = ch->role;
    const struct jobs_args a = { .loop = &ch->loop,
                                 .children = &ch->children,
                                 .pid1 = role->sock,
                                 .table = role->shared->jobs,
                                 .env = role->env,
                                 .sigmask = role->sigmask,
                                 .sigchld_ignored = role->sigchld_ignored,
                                 .nofile = role->nofile };
    jobs_init(&ch->jobs, &a);
    files_init(&ch->files, &ch->loop, &ch->children, MAX_FILE_WORKERS);
    http_server_init(&ch->server, &ch->loop, MAX_CONNECTIONS);
    box_waits_init(ch);
    e2b_state_init(ch);
    cf_state_init(ch);
    init_gates(ch);
}

static int init(struct channel *ch) {
    sys_linux_init(&ch->sys);
    int rc = loop_init(&ch->loop, &ch->sys);
    if (rc < 0)
        return rc;
    children_init(&ch->children, &ch->loop);
    init_objects(ch);
    (void)signals_block(SIGNALS_ALL);
    ch->last_call.fire = last_words_over;
    ch->control = (struct source){ .fd = ch->role->sock, .want = EPOLLIN, .ready = control_ready };
    ch->signals = (struct source){ .fd = signals_open(SIGNAL_BIT(SIGCHLD)),
                                   .want = EPOLLIN,
                                   .ready = signals_ready };
    if (ch->signals.fd < 0)
        return ch->signals.fd;
    rc = loop_watch(&ch->loop, &ch->signals);
    return rc < 0 ? rc : loop_watch(&ch->loop, &ch->control);
}

int channel_role_run(void *role) {
    struct channel *ch = calloc(1, sizeof *ch);
    if (!ch)
        return 1;
    ch->role = role;
    ch->gates = calloc(ch->role->nchannels + 1, sizeof *ch->gates);
    int rc = ch->gates ? init(ch) : -ENOMEM;
    if (rc < 0) {
        log_error("channel", "cannot begin: %s", strerror(-rc));
        return 1;
    }
    while (loop_turn(&ch->loop) >= 0)
        quit_if_idle(ch);
    return 1;
}
