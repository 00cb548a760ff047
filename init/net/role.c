#include "net/role.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "loop/loop.h"
#include "net/dns/forwarder.h"
#include "net/repair.h"
#include "net/survey.h"
#include "svc/wire.h"

#define UNIT "net"

enum {
    SETTLE_MS = 5,    /* changes come in bursts: so long one is waited for */
    SETTLE_REST = 20, /* a settlement is followed by a pause of so many times what it took */
    SETTLE_MAX_MS = 50,
    /* Somebody who undoes what is repaired, each time, is not fought at full speed. */
    PATIENT_WRITES = 20, /* in a row, each within QUIET_MS of the last: then the pause doubles */
    PATIENT_MAX_MS = 5000,
    QUIET_MS = 1000,
};

struct net {
    const struct net_role *role;
    struct sys sys;
    struct loop loop;
    struct source control, routes, rules, files;
    struct timer settle;
    instant rested; /* no settlement before that */
    instant wrote;  /* the last that had to write something */
    unsigned row;   /* such ones in a row */
    span patience;  /* the pause that they have earned */
    int file_watch; /* of resolv.conf itself; -1 */
    struct forwarder *forwarder;
    struct net_facts facts;
    struct net_plan plan;
    struct findings told; /* the last plan's */
    struct repair repair;
    bool aimed, listening; /* what the forwarder has been given */
    struct upstream upstreams[MAX_UPSTREAMS];
    size_t nupstreams;
};

/* --- hearing of changes ---------------------------------------------------------------------- */

static void changed(struct net *n) {
    span wait = span_ms(SETTLE_MS);
    if (timer_armed(&n->settle))
        return;
    if (instant_before(instant_add(n->loop.now, wait), n->rested))
        wait = instant_since(n->rested, n->loop.now);
    timer_arm(&n->loop, &n->settle, wait);
}

/* A socket that has gone wrong would wake us for ever. */
static void hear(struct net *n, struct source *s, const char *of) {
    int rc = nl_drain(s->fd);
    if (rc < 0) {
        loop_unwatch(s);
        log_warn(UNIT, "nobody tells of changes of %s any more: %s", of, strerror(-rc));
    }
    if (rc != 0)
        changed(n);
}

static void routes_ready(struct source *s, uint32_t got) {
    (void)got;
    hear(CONTAINER_OF(s, struct net, routes), s, "links, addresses and routes");
}

static void rules_ready(struct source *s, uint32_t got) {
    (void)got;
    hear(CONTAINER_OF(s, struct net, rules), s, "nf_tables rules");
}

/* Where the name of the file is found, also if it is a link to what is not there yet. */
static void watch_directories(struct net *n) {
    static const uint32_t mask = IN_MOVED_TO | IN_CREATE;
    char target[PATH_MAX];
    (void)inotify_add_watch(n->files.fd, "/etc", mask);
    if (!realpath(RESOLV_CONF, target)) {
        ssize_t len = readlink(RESOLV_CONF, target, sizeof target - 1);
        target[len > 0 ? len : 0] = '\0';
    }
    char *slash = strrchr(target, '/');
    if (slash && target[0] == '/' && slash != target) {
        *slash = '\0';
        (void)inotify_add_watch(n->files.fd, target, mask);
    }
}

/* A file that is written in place is watched itself: it may be a mount, whose directory does not
 * tell. One that is replaced shows in its directory. Both may be others every time. */
static void watch_file(struct net *n) {
    if (n->files.fd < 0)
        return;
    watch_directories(n);
    n->file_watch =
        inotify_add_watch(n->files.fd, RESOLV_CONF, IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF);
}

static void files_ready(struct source *s, uint32_t got) {
    (void)got;
    struct net *n = CONTAINER_OF(s, struct net, files);
    _Alignas(struct inotify_event) char buf[4096];
    bool ours = false;
    for (ssize_t len; (len = read(s->fd, buf, sizeof buf)) > 0;)
        for (char *p = buf; p < buf + len;) {
            const struct inotify_event *ev = (const void *)p;
            ours |= ev->wd == n->file_watch || (ev->mask & IN_Q_OVERFLOW) ||
                    (ev->len && strstr(ev->name, "resolv.conf"));
            p += sizeof *ev + ev->len;
        }
    if (ours)
        changed(n);
}

/* --- survey, plan, repair ------------------------------------------------------------------- */

static bool told_before(const struct findings *old, const char *text) {
    for (size_t i = 0; i < old->n; i++)
        if (strcmp(old->v[i].text, text) == 0)
            return true;
    return false;
}

static void tell_news(struct net *n) {
    for (size_t i = 0; i < n->plan.findings.n; i++) {
        const struct net_finding *f = &n->plan.findings.v[i];
        if (!told_before(&n->told, f->text))
            log_line(f->level, UNIT, "%s", f->text);
    }
    n->told = n->plan.findings;
}

static bool same_upstreams(const struct net *n) {
    bool same = n->aimed && n->nupstreams == n->plan.nupstreams;
    for (size_t i = 0; same && i < n->nupstreams; i++)
        same = ip_equal(&n->upstreams[i].ip, &n->plan.upstreams[i].ip) &&
               n->upstreams[i].link == n->plan.upstreams[i].link;
    return same;
}

static void aim(struct net *n) {
    char text[IP_TEXT], names[MAX_UPSTREAMS * IP_TEXT] = "";
    struct text list = TEXT(names);
    if (same_upstreams(n)) {
        forwarder_aim(n->forwarder, n->upstreams, n->nupstreams); /* links may be renamed */
        return;
    }
    for (size_t i = 0; i < n->plan.nupstreams; i++)
        text_add(&list, "%s%s", i ? ", " : "", ip_text(&n->plan.upstreams[i].ip, text));
    if (n->aimed)
        log_info(UNIT, "DNS: now asking %s", names[0] ? names : "nobody");
    n->nupstreams = n->plan.nupstreams;
    memcpy(n->upstreams, n->plan.upstreams, sizeof n->upstreams);
    n->aimed = true;
    forwarder_aim(n->forwarder, n->upstreams, n->nupstreams);
}

/* Not before it is known who is not to be answered. */
static void listen_on(struct net *n) {
    const int *s = n->role->sockets;
    forwarder_refuse(n->forwarder, n->plan.outer, n->plan.nouter);
    if (n->listening)
        return;
    n->listening = true;
    (void)forwarder_listen(n->forwarder, s[NET_UDP4], s[NET_TCP4]);
    if (s[NET_UDP6] >= 0)
        (void)forwarder_listen(n->forwarder, s[NET_UDP6], s[NET_TCP6]);
}

static void settle(struct net *n) {
    struct err e = { 0 };
    watch_file(n);
    if (net_survey(&n->facts, &e) < 0) {
        log_warn(UNIT, "%s; what the network is like now is not known", e.text);
        return;
    }
    net_plan(&n->plan, &n->facts, n->role->conf, n->role->box);
    aim(n);
    listen_on(n);
    tell_news(n);
    (void)repair_apply(&n->repair, &n->plan, &n->facts, n->role->box);
}

/* The pause after a settlement that ended now. */
static span rest_after(struct net *n, span took, bool wrote) {
    span rest = { took.ns * SETTLE_REST };
    if (rest.ns > span_ms(SETTLE_MAX_MS).ns)
        rest = span_ms(SETTLE_MAX_MS);
    if (!wrote)
        return rest;
    span since = instant_since(n->loop.now, n->wrote);
    n->row = since.ns < span_ms(QUIET_MS).ns + n->patience.ns ? n->row + 1 : 0;
    n->wrote = n->loop.now;
    if (n->row == PATIENT_WRITES)
        log_warn(UNIT, "somebody undoes what is repaired here, time and again: slowing down");
    n->patience = n->row < PATIENT_WRITES ? span_ms(0)
                  : n->patience.ns == 0   ? span_ms(SETTLE_MAX_MS)
                                          : (span){ 2 * n->patience.ns };
    if (n->patience.ns > span_ms(PATIENT_MAX_MS).ns)
        n->patience = span_ms(PATIENT_MAX_MS);
    return n->patience.ns > rest.ns ? n->patience : rest;
}

static void settle_due(struct timer *t) {
    struct net *n = CONTAINER_OF(t, struct net, settle);
    instant began = instant_now();
    uint64_t writes = n->repair.writes;
    settle(n);
    instant ended = instant_now();
    span rest = rest_after(n, instant_since(ended, began), n->repair.writes != writes);
    n->rested = instant_add(ended, rest);
}

/* --- start and end -------------------------------------------------------------------------- */

static void control_ready(struct source *s, uint32_t got) {
    (void)got;
    struct net *n = CONTAINER_OF(s, struct net, control);
    union wire_any m;
    int rc;
    while ((rc = wire_recv(s->fd, &m)) > 0)
        if (m.head.kind == WIRE_QUIT) {
            if (net_survey(&n->facts, NULL) == 0)
                repair_undo(&n->facts, n->role->box);
            _exit(0);
        }
    if (rc < 0)
        _exit(1); /* PID 1 is gone, or does not make sense */
}

/* What is left: change the network, tie sockets to links, and root's own files. */
static void drop_rights(void) {
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    const uint32_t keep = 1U << CAP_NET_ADMIN | 1U << CAP_NET_RAW | 1U << CAP_NET_BIND_SERVICE |
                          1U << CAP_DAC_OVERRIDE | 1U << CAP_CHOWN;
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_capget, &head, data) < 0)
        return;
    data[0].effective &= keep;
    data[0].permitted &= keep;
    data[0].inheritable = data[1].inheritable = 0;
    data[1].effective = data[1].permitted = 0;
    (void)syscall(SYS_capset, &head, data);
}

/* Two sockets for each query in flight, and for each TCP client its own and its upstream's. */
static void raise_descriptors(void) {
    enum { WANTED = 2 * MAX_DNS_IN_FLIGHT + 4 * MAX_DNS_TCP + 64 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < WANTED ? limit.rlim_max : WANTED;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int watch(struct net *n, struct source *s, int fd,
                 void (*ready)(struct source *, uint32_t)) {
    *s = (struct source){ .fd = fd, .want = EPOLLIN, .ready = ready };
    return fd < 0 ? fd : loop_watch(&n->loop, s);
}

static int start(struct net *n) {
    sys_linux_init(&n->sys);
    int rc = loop_init(&n->loop, &n->sys);
    if (rc < 0)
        return rc;
    n->settle.fire = settle_due;
    n->forwarder = forwarder_new(&n->loop);
    if (!n->forwarder)
        return -ENOMEM;
    rc = watch(n, &n->control, n->role->sock, control_ready);
    /* Who hears nothing can still answer, as things were (gVisor has no such groups). */
    if (watch(n, &n->routes, rtnl_listen(), routes_ready) < 0)
        log_warn(UNIT, "nobody tells when links, addresses and routes change");
    if (n->role->box->nft && watch(n, &n->rules, nft_listen(), rules_ready) < 0)
        log_warn(UNIT,
                 "nobody tells when nf_tables rules change: they are looked at when routes do");
    if (watch(n, &n->files, inotify_init1(IN_NONBLOCK | IN_CLOEXEC), files_ready) < 0)
        log_warn(UNIT, "nobody tells when " RESOLV_CONF " changes");
    return rc;
}

int net_role_run(void *role) {
    struct net *n = calloc(1, sizeof *n);
    if (!n)
        return 1;
    n->role = role;
    n->repair.rules = n->role->box->rules;
    raise_descriptors();
    drop_rights();
    int rc = start(n);
    if (rc < 0) {
        log_error(UNIT, "role net cannot start: %s", strerror(-rc));
        return 1;
    }
    settle(n);
    while (loop_turn(&n->loop) >= 0)
        ;
    return 1;
}
