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
    yyjson_val *sig = yyjson_obj_get(end, "signal");
    if (yyjson_get_bool(yyjson_obj_get(end, "timed_out")))
        return "timed out";
    if (yyjson_get_bool(yyjson_obj_get(end, "oom")))
        return "out of memory";
    if (yyjson_get_bool(yyjson_obj_get(end, "lost")))
        return "lost";
    if (yyjson_is_int(sig))
        return signal_name(buf, cap, yyjson_get_int(sig));
    (void)snprintf(buf, cap, "exit %d", (int)json_int(end, "exit"));
    return buf;
}

static void print_job(yyjson_val *j) {
    char state[24], command[LINE / 2];
    struct text t = TEXT(command);
    size_t i, n;
    yyjson_val *word, *end = yyjson_obj_get(j, "end");
    yyjson_arr_foreach(yyjson_obj_get(j, "argv"), i, n, word) {
        text_add(&t, "%s%s", i ? " " : "", yyjson_get_str(word));
    }
    const char *tag = json_str(j, "tag");
    struct row r = { .name = json_str(j, "id"),
                     .kind = "job",
                     .state = yyjson_is_obj(end) ? end_text(end, state, sizeof state) : "running",
                     .pid = yyjson_is_obj(end) ? 0 : json_int(j, "pid"),
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
    return l->all || yyjson_is_null(yyjson_obj_get(job, "end"));
}

static void print_all_json(const struct list *l) {
    size_t i, n, k = 0;
    yyjson_val *v;
    (void)fputs("{\"units\":[", stdout);
    yyjson_arr_foreach(l->units, i, n, v) { print_json(v, i); }
    (void)fputs("],\n\"jobs\":[", stdout);
    yyjson_arr_foreach(l->jobs, i, n, v) {
        if (shown(l, v))
            print_json(v, k++);
    }
    (void)fputs("]}\n", stdout);
}

static void print_names(const struct list *l) {
    size_t i, n;
    yyjson_val *v;
    yyjson_arr_foreach(l->units, i, n, v) { (void)puts(json_str(v, "name")); }
    yyjson_arr_foreach(l->jobs, i, n, v) {
        if (shown(l, v))
            (void)puts(json_str(v, "id"));
    }
}

static void print_table(const struct list *l) {
    size_t i, n;
    yyjson_val *v;
    (void)printf(COLUMNS "COMMAND\n", "NAME", "KIND", "STATE", "PID", "FOR", "TAG");
    yyjson_arr_foreach(l->units, i, n, v) { print_unit(v); }
    yyjson_arr_foreach(l->jobs, i, n, v) {
        if (shown(l, v))
            print_job(v);
    }
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
