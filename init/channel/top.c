#include "channel/top.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "channel/outflow.h"
#include "sys/file.h"

enum { MAX_TOP = 32768, MAX_ANCESTORS = 64, COMMAND_BYTES = 512 };

struct process {
    int pid, ppid, session;
    char state, name[32];
    long long ticks, pages; /* CPU time used; resident memory */
    int owner;              /* index of a unit; -1 */
    const struct top_job *job;
};

/* What the fork has to know of a job. It has none itself: their memory is not in forks. */
struct top_job {
    uint64_t id;
    pid_t leader;
    bool ended;
};

struct top {
    const struct mirror *mirror;
    struct top_job *jobs; /* oldest first */
    size_t njobs;
};

/* proc_pid_stat(5). The name is in brackets and may itself hold some. */
static bool parse_stat(const char *text, struct process *p) {
    enum { PPID, PGRP, SESSION, UTIME = 10, STIME = 11, RSS = 20, FIELDS };
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    long long v[FIELDS];
    if (!open || !close || close < open || strlen(close) < 4)
        return false;
    (void)snprintf(p->name, sizeof p->name, "%.*s", (int)(close - open - 1), open + 1);
    char *at = (char *)close + 3;
    for (int i = 0; i < FIELDS; i++)
        v[i] = strtoll(at, &at, 10);
    p->pid = (int)strtol(text, NULL, 10);
    p->state = close[2];
    p->ppid = (int)v[PPID];
    p->session = (int)v[SESSION];
    p->ticks = v[UTIME] + v[STIME];
    p->pages = v[RSS];
    return p->pid > 0;
}

static size_t read_processes(struct process *list, size_t max) {
    DIR *d = opendir("/proc");
    size_t n = 0;
    if (!d)
        return 0;
    for (const struct dirent *e; n < max && (e = readdir(d));) {
        char path[64], text[1024];
        if (!isdigit((unsigned char)e->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%.20s/stat", e->d_name);
        file_peek(path, text, sizeof text);
        list[n] = (struct process){ .owner = -1 };
        n += parse_stat(text, &list[n]);
    }
    (void)closedir(d);
    return n;
}

static const struct process *find(const struct process *list, size_t n, int pid) {
    for (size_t i = 0; i < n; i++)
        if (list[i].pid == pid)
            return &list[i];
    return NULL;
}

/* One that runs before one that has ended, and of these the newest. */
static const struct top_job *job_led_by(const struct top *top, pid_t leader) {
    const struct top_job *found = NULL;
    for (size_t i = top->njobs; i-- > 0;) {
        const struct top_job *j = &top->jobs[i];
        if (j->leader == leader && (!found || (found->ended && !j->ended)))
            found = j;
    }
    return found;
}

/* The number of a leader that has ended may be another's by now. While somebody is left of its
 * session it is not given away, so then there is no such process (setsid(2)). */
static const struct top_job *job_of(const struct top *top, const struct process *list, size_t n,
                                    const struct process *p) {
    const struct top_job *j = job_led_by(top, p->pid);
    if (!j)
        j = job_led_by(top, p->session);
    bool another = j && j->ended && find(list, n, j->leader);
    return another ? NULL : j;
}

static int unit_of(const struct mirror *m, const struct process *p) {
    for (size_t i = 0; i < m->nunits; i++)
        if (m->units[i].pid > 0 && (m->units[i].pid == p->pid || m->units[i].pid == p->session))
            return (int)i;
    return -1;
}

/* By the process itself or its session, else by the nearest ancestor that says. False: it is none
 * of this box's, which need not have a PID namespace of its own. */
static bool find_owner(const struct top *top, const struct process *list, size_t n,
                       struct process *p) {
    const struct process *at = p;
    for (int depth = 0; at && depth < MAX_ANCESTORS; depth++) {
        p->job = job_of(top, list, n, at);
        p->owner = p->job ? -1 : unit_of(top->mirror, at);
        if (p->job || p->owner >= 0 || at->pid == top->mirror->box.pid)
            return true;
        at = find(list, n, at->ppid);
    }
    return top->mirror->box.pid == 1;
}

/* The words with blanks between; a kernel thread or zombie has none, and is known by its name. */
static void add_command(struct text *t, const struct process *p) {
    char path[64], text[COMMAND_BYTES];
    (void)snprintf(path, sizeof path, "/proc/%d/cmdline", p->pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text, f) : 0;
    if (f)
        (void)fclose(f);
    while (n > 0 && text[n - 1] == '\0')
        n--;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\0')
            text[i] = ' ';
    if (n > 0)
        text_json(t, text, n);
    else
        text_json(t, p->name, strlen(p->name));
}

static void add_process(struct text *t, const struct top *top, const struct process *p) {
    long long hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    text_add(t, "{\"pid\":%d,\"ppid\":%d,\"state\":\"%c\",\"unit\":", p->pid, p->ppid, p->state);
    if (p->owner >= 0)
        text_json(t, top->mirror->units[p->owner].name, strlen(top->mirror->units[p->owner].name));
    else
        text_add(t, "null");
    text_add(t, ",\"job\":");
    if (p->job)
        text_add(t, "\"%012" PRIx64 "\"", p->job->id);
    else
        text_add(t, "null");
    text_add(t, ",\"cpu_ms\":%lld,\"rss\":%lld,\"command\":", p->ticks * 1000 / hz,
             p->pages * page);
    add_command(t, p);
    text_add(t, "}");
}

static int write_top(int fd, void *arg) {
    const struct top *top = arg;
    AUTO_FREE struct process *list = calloc(MAX_TOP, sizeof *list);
    if (!list)
        return 1;
    size_t n = read_processes(list, MAX_TOP);
    bool ok = outflow_write(fd, "{\"processes\":[", 14);
    const char *comma = "\n";
    for (size_t i = 0; i < n && ok; i++) {
        char buf[8 * COMMAND_BYTES];
        struct text t = TEXT(buf);
        if (!find_owner(top, list, n, &list[i]))
            continue;
        text_add(&t, "%s", comma);
        add_process(&t, top, &list[i]);
        ok = outflow_write(fd, t.buf, t.len);
        comma = ",\n";
    }
    return ok && outflow_write(fd, "]}\n", 3) ? 0 : 1;
}

bool top_begin(struct http_exchange *x) {
    const struct channel *ch = channel_of(x);
    AUTO_FREE struct top_job *jobs = calloc(ch->jobs.n + 1, sizeof *jobs);
    struct top top = { .mirror = &ch->mirror, .jobs = jobs };
    if (!jobs)
        return false;
    for (struct link *l = ch->jobs.all.next; l != &ch->jobs.all; l = l->next) {
        const struct job *j = CONTAINER_OF(l, struct job, link);
        if (j->state != JOB_FAILED)
            jobs[top.njobs++] = (struct top_job){ j->id, j->leader, j->state == JOB_ENDED };
    }
    return outflow_begin(x, "application/json", write_top, &top);
}
