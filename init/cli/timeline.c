/* timeline.c — `pinnace timeline`: what took how long at boot, as text, SVG or JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"
#include "svc/timeline.h"

enum { MAX_BARS = MAX_MARKS, COLUMNS = 48 };

/* One stretch: a unit from its start to the mark that ended it. */
struct bar {
    const char *name, *end;
    double from, to; /* ms */
    bool open;
};

struct bars {
    struct bar list[MAX_BARS];
    size_t n;
    double last; /* ms of the last mark */
};

static struct bar *open_bar(struct bars *b, const char *name) {
    for (size_t i = b->n; i-- > 0;)
        if (b->list[i].open && strcmp(b->list[i].name, name) == 0)
            return &b->list[i];
    return NULL;
}

static void add_mark(struct bars *b, const char *name, const char *event, double at) {
    bool begins =
        strcmp(event, mark_text(MARK_SPAWN)) == 0 || strcmp(event, mark_text(MARK_PREPARE)) == 0 ||
        strcmp(event, mark_text(MARK_START)) == 0 || strcmp(event, mark_text(MARK_STOPPING)) == 0 ||
        strcmp(event, mark_text(MARK_DRAIN)) == 0;
    struct bar *o = open_bar(b, name);
    if (o) {
        o->open = false;
        o->to = at;
        o->end = event;
    }
    if ((begins || !o) && b->n < MAX_BARS)
        b->list[b->n++] = (struct bar){ name, event, at, at, begins };
    b->last = at > b->last ? at : b->last;
}

/* Marks of the box stand under "box"; prepare is a row of its own. */
static void collect(yyjson_val *root, struct bars *b) {
    yyjson_val *m = NULL, *marks = json_get(root, "marks");
    while (json_next(marks, &m)) {
        const char *unit = yyjson_get_str(json_get(m, "unit"));
        const char *event = json_str(m, "event");
        bool prepare = strncmp(event, "prepare", 7) == 0;
        add_mark(b,
                 unit      ? unit
                 : prepare ? "prepare"
                           : "box",
                 event, yyjson_get_num(json_get(m, "at_ms")));
    }
    for (size_t i = 0; i < b->n; i++)
        if (b->list[i].open)
            b->list[i].to = b->last;
}

static void print_text(const struct bars *b) {
    double scale = b->last > 0 ? COLUMNS / b->last : 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct bar *r = &b->list[i];
        char line[COLUMNS + 2];
        int from = (int)(r->from * scale), to = (int)(r->to * scale);
        memset(line, ' ', sizeof line);
        for (int k = from; k <= to && k <= COLUMNS; k++)
            line[k] = '=';
        line[to <= COLUMNS ? to : COLUMNS] = '|';
        line[COLUMNS + 1] = '\0';
        (void)printf("%-16s %s %9.1f ms  %+9.1f  %s\n", r->name, line, r->from, r->to - r->from,
                     r->end);
    }
    (void)printf("%-16s %*s %9.1f ms\n", "total", COLUMNS + 1, "", b->last);
}

static void print_escaped(const char *s) {
    for (; *s; s++) {
        if (*s == '<')
            (void)fputs("&lt;", stdout);
        else if (*s == '&')
            (void)fputs("&amp;", stdout);
        else
            (void)putchar(*s);
    }
}

static void print_svg_bar(const struct bar *r, size_t row, double scale) {
    double x = 150 + r->from * scale, w = (r->to - r->from) * scale;
    double y = 44 + 26 * (double)row;
    const char *color = strcmp(r->end, mark_text(MARK_FAILED)) == 0 ? "#c0392b"
                        : r->open                                   ? "#8e9aa6"
                                                                    : "#2f6f9f";
    (void)printf("<text x=\"140\" y=\"%.0f\" text-anchor=\"end\">", y + 14);
    print_escaped(r->name);
    (void)printf(
        "</text><rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"18\" rx=\"3\" fill=\"%s\"/>", x,
        y, w < 2 ? 2 : w, color);
    (void)printf("<text x=\"%.1f\" y=\"%.0f\" fill=\"#444\">%.1f ms, ", x + (w < 2 ? 2 : w) + 6,
                 y + 14, r->to - r->from);
    print_escaped(r->end);
    (void)printf("</text>\n");
}

static void print_svg(const struct bars *b) {
    double scale = b->last > 0 ? 560 / b->last : 0;
    (void)printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"%zu\" "
                 "font-family=\"sans-serif\" font-size=\"13\">\n"
                 "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n"
                 "<text x=\"20\" y=\"26\" font-size=\"16\">Boot timeline, %.1f ms</text>\n",
                 60 + 26 * b->n, b->last);
    for (size_t i = 0; i < b->n; i++)
        print_svg_bar(&b->list[i], i, scale);
    (void)printf("</svg>\n");
}

int verb_timeline(const struct args *a) {
    AUTO_FREE char *body = NULL;
    struct bars bars = { .n = 0 };
    struct err e = { 0 };
    if (client_text(a->host, "/v1/timeline", client_soon(), &body, &e) < 0)
        return cli_fail(&e);
    if (args_has(a, "json"))
        return fputs(body, stdout) < 0;
    yyjson_doc *doc = yyjson_read(body, strlen(body), 0);
    collect(yyjson_doc_get_root(doc), &bars);
    if (args_has(a, "svg"))
        print_svg(&bars);
    else
        print_text(&bars);
    yyjson_doc_free(doc);
    return CLI_OK;
}
