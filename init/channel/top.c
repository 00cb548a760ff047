#include "channel/top.h"

#include <ctype.h>
#include <dirent.h>
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
    const struct job *job;
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

/* The number of a leader that has ended may be another's by now. While somebody is left of its
 * session it is not given away, so then there is no such process (setsid(2)). */
static const struct job *job_of(struct channel *ch, const struct process *list, size_t n,
                                const struct process *p) {
    const struct job *j = job_by_pid(&ch->jobs, p->pid);
    if (!j)
        j = job_by_pid(&ch->jobs, p->session);
    bool another = j && j->state == JOB_ENDED && find(list, n, j->leader);
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
static bool find_owner(struct channel *ch, const struct process *list, size_t n,
                       struct process *p) {
    const struct process *at = p;
    for (int depth = 0; at && depth < MAX_ANCESTORS; depth++) {
        p->job = job_of(ch, list, n, at);
        p->owner = p->job ? -1 : unit_of(&ch->mirror, at);
        if (p->job || p->owner >= 0 || at->pid == ch->mirror.box.pid)
            return true;
        at = find(list, n, at->ppid);
    }
    return ch->mirror.box.pid == 1;
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

static void add_process(struct text *t, const struct channel *ch, const struct process *p) {
    long long hz = sysconf(_SC_CLK_TCK), page = sysconf(_SC_PAGESIZE);
    char id[JOB_ID_TEXT];
    text_add(t, "{\"pid\":%d,\"ppid\":%d,\"state\":\"%c\",\"unit\":", p->pid, p->ppid, p->state);
    if (p->owner >= 0)
        text_json(t, ch->mirror.units[p->owner].name, strlen(ch->mirror.units[p->owner].name));
    else
        text_add(t, "null");
    text_add(t, ",\"job\":");
    if (p->job)
        text_add(t, "\"%s\"", job_id_text(p->job, id));
    else
        text_add(t, "null");
    text_add(t, ",\"cpu_ms\":%lld,\"rss\":%lld,\"command\":", p->ticks * 1000 / hz,
             p->pages * page);
    add_command(t, p);
    text_add(t, "}");
}

int top_write(int fd, void *channel) {
    struct channel *ch = channel;
    AUTO_FREE struct process *list = calloc(MAX_TOP, sizeof *list);
    if (!list)
        return 1;
    size_t n = read_processes(list, MAX_TOP);
    bool ok = outflow_write(fd, "{\"processes\":[", 14);
    const char *comma = "\n";
    for (size_t i = 0; i < n && ok; i++) {
        char buf[8 * COMMAND_BYTES];
        struct text t = TEXT(buf);
        if (!find_owner(ch, list, n, &list[i]))
            continue;
        text_add(&t, "%s", comma);
        add_process(&t, ch, &list[i]);
        ok = outflow_write(fd, t.buf, t.len);
        comma = ",\n";
    }
    return ok && outflow_write(fd, "]}\n", 3) ? 0 : 1;
}
