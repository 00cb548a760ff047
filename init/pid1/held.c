#include "pid1/held.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"

int held_init(struct held_jobs *js, struct children *cs, struct role *channel, struct err *e) {
    struct rlimit limit;
    *js = (struct held_jobs){ .children = cs, .channel = channel };
    js->list = calloc(MAX_JOBS, sizeof *js->list); /* a mapping of its own: untouched, not there */
    if (!js->list)
        return err_set(e, ENOMEM, "out of memory for %d jobs", MAX_JOBS);
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur <= MAX_OWN_FDS;
    js->most_fd = (known ? (int)limit.rlim_cur : MAX_OWN_FDS) - SPARE_FDS - 1;
    return 0;
}

static void close_fds(struct held_job *j, uint32_t which) {
    for (int i = 0; i < JOB_NFDS; i++)
        if (which >> i & 1)
            fd_close(&j->fds[i]);
}

void held_fini(struct held_jobs *js) {
    for (size_t i = 0; i < js->n; i++)
        close_fds(&js->list[i], UINT32_MAX);
    js->n = 0;
    mem_release(&js->list);
}

static struct held_job *find(struct held_jobs *js, uint64_t id) {
    for (size_t i = 0; i < js->n; i++)
        if (js->list[i].id == id)
            return &js->list[i];
    return NULL;
}

/* Of one that has ended the number may be another's by now; of two the newer one has it. */
static struct held_job *find_running(struct held_jobs *js, pid_t pid) {
    for (size_t i = js->n; i-- > 0;)
        if (js->list[i].pid == pid && !js->list[i].ended)
            return &js->list[i];
    return NULL;
}

static void mark(struct held_jobs *js, bool *untold, bool on) {
    js->untold += (size_t)on - (size_t)*untold;
    *untold = on;
}

static void end(struct held_jobs *js, struct held_job *j, struct exit_info how) {
    j->ended = true;
    j->signaled = how.signaled;
    j->core = how.core;
    j->code = how.code;
    js->running--;
}

/* --- what the channel says ------------------------------------------------------------------ */

/* All or none: half of its output would be taken for the whole. */
static bool may_hold(struct held_jobs *js, const int fds[JOB_NFDS]) {
    for (int i = 0; i < JOB_NFDS; i++)
        if (fds[i] > js->most_fd) {
            if (!js->told_few)
                log_warn(NULL,
                         "all but %d descriptors are in use: output of further jobs is lost should "
                         "the channel die (a higher hard limit of nofile helps)",
                         SPARE_FDS);
            js->told_few = true;
            return false;
        }
    return true;
}

static void forget(struct held_jobs *js, struct held_job *j) {
    close_fds(j, UINT32_MAX);
    mark(js, &j->untold_whole, false);
    mark(js, &j->untold_end, false);
    if (!j->ended)
        js->running--;
    js->n--;
    /* In order: a new channel hears of them as they began. */
    memmove(j, j + 1, (size_t)(js->list + js->n - j) * sizeof *j);
}

static void add(struct held_jobs *js, const struct wire_job *m, int fds[JOB_NFDS]) {
    struct held_job *j = find(js, m->id);
    if (m->pid <= 1 || (!j && js->n == MAX_JOBS))
        return;
    if (j)
        forget(js, j); /* its first process could not execute; this is the second */
    bool holds = may_hold(js, fds);
    j = &js->list[js->n++];
    *j = (struct held_job){ .id = m->id, .slot = m->slot, .pid = m->pid };
    for (int i = 0; i < JOB_NFDS; i++)
        j->fds[i] = holds ? fd_take(&fds[i]) : -1;
    js->running++;
}

void held_said(struct held_jobs *js, const struct wire_job *m, int fds[JOB_NFDS]) {
    if (m->head.kind == WIRE_JOB) {
        add(js, m, fds);
        return;
    }
    struct held_job *j = find(js, m->id);
    if (!j)
        return;
    if (m->head.kind == WIRE_JOB_DONE) {
        forget(js, j);
        return;
    }
    close_fds(j, m->fds);
    if (m->head.kind == WIRE_JOB_ENDED && !j->ended)
        end(js, j, (struct exit_info){ .signaled = m->signaled, .core = m->core, .code = m->code });
}

/* --- what becomes of those whose channel has died --------------------------------------------- */

static void end_untold(struct held_jobs *js, struct held_job *j, struct exit_info how) {
    end(js, j, how);
    mark(js, &j->untold_end, true);
}

/* What is not our child now the channel had reaped, and did not come to say so. */
static bool is_lost(struct held_jobs *js, const struct held_job *j) {
    return children_know(js->children, j->pid) ||
           children_reap_one(js->children, j->pid) == -ECHILD;
}

void held_adopt(struct held_jobs *js) {
    for (size_t i = 0; i < js->n; i++)
        js->list[i].adopted = true;
    for (size_t i = 0; i < js->n; i++) {
        struct held_job *j = &js->list[i];
        if (!j->ended && j->pid != js->dead && is_lost(js, j) && !j->ended)
            end_untold(js, j, (struct exit_info){ .code = -1 });
    }
}

/* It may have been announced, or its end told, in a message that we have not read; and the channel
 * may be dead without our having reaped it. While it lives, it is the parent of its jobs, and what
 * we reap under the number of one is somebody else. */
void held_orphan(struct held_jobs *js, struct exit_info how) {
    role_hear(js->channel);
    struct held_job *j = find_running(js, how.pid);
    if (!j)
        return;
    if (!j->adopted && js->channel->child.pid) {
        js->dead = how.pid;
        (void)children_reap_one(js->children, js->channel->child.pid);
        js->dead = 0;
        j = find_running(js, how.pid);
    }
    if (j && j->adopted)
        end_untold(js, j, how);
}

/* --- what the channel is told ----------------------------------------------------------------- */

void held_forgotten(struct held_jobs *js) {
    for (size_t i = 0; i < js->n; i++)
        mark(js, &js->list[i].untold_whole, true);
}

static bool tell(struct held_jobs *js, struct held_job *j) {
    struct wire_job m = { .head = WIRE_HEAD(WIRE_JOB, struct wire_job),
                          .id = j->id,
                          .slot = j->slot,
                          .pid = j->pid,
                          .ended = j->ended,
                          .signaled = j->signaled,
                          .core = j->core,
                          .code = j->code };
    if (!j->untold_whole)
        m.head.kind = WIRE_JOB_ENDED;
    if (!(j->untold_whole ? role_send_fds(js->channel, &m, j->fds)
                          : role_send(js->channel, &m.head)))
        return false;
    mark(js, &j->untold_whole, false);
    mark(js, &j->untold_end, false);
    return true;
}

bool held_pump(struct held_jobs *js) {
    for (size_t i = 0; i < js->n && js->untold > 0; i++) {
        struct held_job *j = &js->list[i];
        if ((j->untold_whole || j->untold_end) && !tell(js, j))
            return false;
    }
    return true;
}

/* Its leader leads a session, so a group too. */
void held_hang_up(const struct held_jobs *js, struct sys *sys) {
    for (size_t i = 0; i < js->n; i++) {
        const struct held_job *j = &js->list[i];
        if (!j->ended && j->fds[JOB_STDOUT] >= 0 && isatty(j->fds[JOB_STDOUT]))
            (void)sys->kill(sys, -j->pid, SIGHUP);
    }
}
