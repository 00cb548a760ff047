/* top.c — `pinnace top`: processes by unit and job, the busiest first. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "cli/show.h"
#include "cli/terminal.h"

enum { LINE = 1024, EVERY_S = 2, HEAD_LINES = 2 };

struct process {
    yyjson_val *v;
    int64_t pid, cpu_ms;
    int permille; /* of one processor, since the last table; -1: not known */
};

struct sample {
    yyjson_doc *doc;      /* owned */
    struct process *list; /* owned; as the server has them: by pid */
    size_t n;
    instant at;
};

static void sample_free(struct sample *s) {
    yyjson_doc_free(s->doc);
    free(s->list);
    *s = (struct sample){ .doc = NULL };
}

static int by_pid(const void *a, const void *b) {
    const struct process *x = a, *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int by_use(const void *a, const void *b) {
    const struct process *x = a, *y = b;
    int64_t rx = json_int(x->v, "rss"), ry = json_int(y->v, "rss");
    if (x->permille != y->permille)
        return x->permille > y->permille ? -1 : 1;
    return rx > ry ? -1 : rx < ry ? 1 : by_pid(a, b);
}

static void measure(struct sample *now, const struct sample *before) {
    int64_t ms = span_to_ms(instant_since(now->at, before->at));
    for (size_t i = 0; i < now->n; i++) {
        struct process *p = &now->list[i];
        const struct process *old =
            before->n ? bsearch(p, before->list, before->n, sizeof *p, by_pid) : NULL;
        int64_t used = old && old->cpu_ms <= p->cpu_ms ? p->cpu_ms - old->cpu_ms : 0;
        p->permille = before->doc && ms > 0 ? (int)(used * 1000 / ms) : -1;
    }
}

static int take_sample(const struct args *a, struct sample *s, struct err *e) {
    yyjson_val *v = NULL;
    *s = (struct sample){ .doc = client_call(a->host, "/v1/top", NULL, e), .at = instant_now() };
    yyjson_val *all = s->doc ? json_list(s->doc, "processes") : NULL;
    if (!s->doc)
        return -e->code;
    s->list = calloc(yyjson_arr_size(all) + 1, sizeof *s->list);
    if (!s->list) {
        sample_free(s);
        return err_set(e, ENOMEM, "out of memory");
    }
    while (json_next(all, &v)) {
        int64_t pid = json_int(v, "pid"), cpu_ms = json_int(v, "cpu_ms");
        s->list[s->n++] = (struct process){ .v = v, .pid = pid, .cpu_ms = cpu_ms, .permille = -1 };
    }
    qsort(s->list, s->n, sizeof *s->list, by_pid);
    return 0;
}

/* Whose it is: a unit's name or a job's id. */
static const char *owner(yyjson_val *v) {
    const char *unit = json_str(v, "unit"), *job = json_str(v, "job");
    return *unit ? unit : *job ? job : "-";
}

static void print_process(const struct process *p, unsigned cols) {
    char line[LINE], cpu[16] = "-", time[24], rss[BYTES_TEXT];
    struct text t = TEXT(line);
    if (p->permille >= 0)
        (void)snprintf(cpu, sizeof cpu, "%d.%d", p->permille / 10, p->permille % 10);
    text_add(&t, "%-16s %7lld %-2s %6s %8s %8s  %s", owner(p->v), (long long)p->pid,
             json_str(p->v, "state"), cpu, format_span(time, sizeof time, span_ms(p->cpu_ms)),
             format_bytes(rss, (uint64_t)json_int(p->v, "rss")), json_str(p->v, "command"));
    (void)printf("%.*s\n", cols ? (int)cols : LINE, text_safe(line));
}

/* `live`: it takes the place of the last one, and fits. The list is in another order after. */
static void print_table(struct sample *s, bool live) {
    uint16_t rows = 0, cols = 0;
    size_t most = s->n;
    if (live && terminal_size(&rows, &cols) && rows > HEAD_LINES &&
        most > (size_t)(rows - HEAD_LINES))
        most = (size_t)(rows - HEAD_LINES);
    (void)printf("%s%-16s %7s %-2s %6s %8s %8s  %s\n", live ? "\033[H\033[J" : "", "OWNER", "PID",
                 "S", "%CPU", "TIME", "MEMORY", "COMMAND");
    qsort(s->list, s->n, sizeof *s->list, by_use);
    for (size_t i = 0; i < most; i++)
        print_process(&s->list[i], live ? cols : 0);
    (void)fflush(stdout);
    qsort(s->list, s->n, sizeof *s->list, by_pid);
}

static void print_json(const struct sample *s) {
    AUTO_FREE char *text = yyjson_write(s->doc, 0, NULL);
    (void)puts(text ? text : "");
    (void)fflush(stdout);
}

int verb_top(const struct args *a) {
    bool json = args_has(a, "json"), live = isatty(1) && !json;
    unsigned count = live ? 0 : 1;
    span every = span_s(EVERY_S);
    struct sample before = { .doc = NULL };
    struct err e = { 0 };
    if (args_uint(a, "count", UINT32_MAX, &count, &e) < 0 || args_span(a, "every", &every, &e) < 0)
        return cli_usage(a, "%s", e.text);
    for (unsigned i = 0; count == 0 || i < count; i++) {
        struct sample now;
        if (i > 0)
            (void)poll(NULL, 0,
                       (int)instant_timeout_ms(instant_add(instant_now(), every), instant_now()));
        if (take_sample(a, &now, &e) < 0)
            break;
        measure(&now, &before);
        if (json)
            print_json(&now);
        else
            print_table(&now, live);
        sample_free(&before);
        before = now;
    }
    sample_free(&before);
    return e.code ? cli_fail(&e) : CLI_OK;
}
