/* ps.c — `pinnace ps`: units and jobs in one table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "cli/show.h"

enum { LINE = 4096 };
#define COLUMNS "%-16s %-8s %-12s %7s %8s  %-12s  "

struct row {
    const char *name, *kind, *state;
    int64_t pid, ms;
    const char *tag, *what;
};

static void print_row(const struct row *r) {
    char line[LINE], age[24], pid[24] = "-";
    struct text t = TEXT(line);
    if (r->pid > 0)
        (void)snprintf(pid, sizeof pid, "%lld", (long long)r->pid);
    text_add(&t, COLUMNS "%s", r->name, r->kind, r->state, pid,
             format_span(age, sizeof age, span_ms(r->ms)), r->tag, r->what);
    (void)puts(text_safe(line));
}

/* "exit 3", "SIGKILL", "timed out", ... */
static const char *end_text(yyjson_val *end, char *buf, size_t cap) {
    int n;
    if (json_bool(end, "timed_out"))
        return "timed out";
    if (json_bool(end, "oom"))
        return "out of memory";
    if (json_bool(end, "lost"))
        return "lost";
    if (json_has_int(end, "signal", &n))
        return signal_name(buf, cap, n);
    (void)snprintf(buf, cap, "exit %d", (int)json_int(end, "exit"));
    return buf;
}

static void print_job(yyjson_val *j) {
    char state[24], command[LINE / 2];
    struct text t = TEXT(command);
    yyjson_val *word = NULL, *argv = json_get(j, "argv"), *end = json_get(j, "end");
    bool ended = yyjson_is_obj(end);
    while (json_next(argv, &word))
        text_add(&t, "%s%s", t.len ? " " : "", yyjson_get_str(word));
    const char *tag = json_str(j, "tag");
    struct row r = { .name = json_str(j, "id"),
                     .kind = "job",
                     .state = ended ? end_text(end, state, sizeof state) : "running",
                     .pid = ended ? 0 : json_int(j, "pid"),
                     .ms = json_int(j, "ran_ms"),
                     .tag = *tag ? tag : "-",
                     .what = command };
    print_row(&r);
}

static void print_unit(yyjson_val *u) {
    struct row r = { .name = json_str(u, "name"),
                     .kind = json_str(u, "kind"),
                     .state = json_str(u, "state"),
                     .pid = json_int(u, "pid"),
                     .ms = json_int(u, "since_ms"),
                     .tag = "-",
                     .what = json_str(u, "reason") };
    print_row(&r);
}

static void print_json(yyjson_val *v, size_t i) {
    AUTO_FREE char *text = yyjson_val_write(v, 0, NULL);
    (void)printf("%s\n%s", i ? "," : "", text ? text : "null");
}

struct list {
    yyjson_val *units, *jobs;
    bool all;
};

/* Is this job shown? */
static bool shown(const struct list *l, yyjson_val *job) {
    return l->all || !yyjson_is_obj(json_get(job, "end"));
}

static void print_all_json(const struct list *l) {
    size_t k = 0;
    yyjson_val *v = NULL;
    (void)fputs("{\"units\":[", stdout);
    while (json_next(l->units, &v))
        print_json(v, k++);
    (void)fputs("],\n\"jobs\":[", stdout);
    k = 0;
    while (json_next(l->jobs, &v))
        if (shown(l, v))
            print_json(v, k++);
    (void)fputs("]}\n", stdout);
}

static void print_names(const struct list *l) {
    yyjson_val *v = NULL;
    while (json_next(l->units, &v))
        (void)puts(json_str(v, "name"));
    while (json_next(l->jobs, &v))
        if (shown(l, v))
            (void)puts(json_str(v, "id"));
}

static void print_table(const struct list *l) {
    yyjson_val *v = NULL;
    (void)printf(COLUMNS "COMMAND\n", "NAME", "KIND", "STATE", "PID", "FOR", "TAG");
    while (json_next(l->units, &v))
        print_unit(v);
    while (json_next(l->jobs, &v))
        if (shown(l, v))
            print_job(v);
}

int verb_ps(const struct args *a) {
    struct err e = { 0 };
    yyjson_doc *status = client_call(a->host, "/v1/status", NULL, &e);
    yyjson_doc *jobs = status ? client_call(a->host, "/v1/jobs", NULL, &e) : NULL;
    struct list l = { .all = args_has(a, "all") };
    if (!jobs) {
        yyjson_doc_free(status);
        return cli_fail(&e);
    }
    l.units = json_list(status, "units");
    l.jobs = json_list(jobs, "jobs");
    if (args_has(a, "json"))
        print_all_json(&l);
    else if (args_has(a, "quiet"))
        print_names(&l);
    else
        print_table(&l);
    yyjson_doc_free(status);
    yyjson_doc_free(jobs);
    return CLI_OK;
}
