/* wait.c — `pinnace wait`: until the box is ready, showing what it waits for. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/json.h"

enum {
    RETRY_MS = 20,   /* pinnace may not have opened its socket yet */
    ASK_MS = 100,    /* how often who may not wait for changes asks */
    REDRAW_MS = 200, /* on a terminal: how often times move on */
};

struct progress {
    const char *host;
    instant deadline;
    bool quiet, terminal;
    int lines;       /* drawn last time */
    int64_t seq;     /* of the last picture; 0 none */
    bool seen;       /* one at least */
    bool plain;      /* of what anybody may ask there is only whether it is ready */
    char last[8192]; /* what was printed last, off a terminal */
};

static const char *sign(const char *state) {
    return strcmp(state, "ready") == 0 || strcmp(state, "done") == 0 ? "+"
           : strcmp(state, "failed") == 0                            ? "x"
                                                                     : ".";
}

static void describe(yyjson_val *root, bool with_times, struct text *t, int *lines) {
    yyjson_val *u = NULL, *units = json_get(root, "units");
    *lines = 0;
    while (json_next(units, &u)) {
        char age[24];
        const char *state = json_str(u, "state");
        text_add(t, " %s %-16s %-9s", sign(state), json_str(u, "name"), state);
        if (with_times)
            text_add(t, " %8s", format_span(age, sizeof age, span_ms(json_int(u, "since_ms"))));
        text_add(t, "  %.60s\n", json_str(u, "reason"));
        ++*lines;
    }
}

/* Off a terminal: those lines that are new. Units do not change their places. */
static void print_changes(const char *last, const char *now) {
    while (*now) {
        size_t n = strcspn(now, "\n"), was = strcspn(last, "\n");
        if (n != was || memcmp(now, last, n) != 0)
            (void)printf("%.*s\n", (int)n, now);
        now += n + (now[n] == '\n');
        last += was + (last[was] == '\n');
    }
}

static void draw(struct progress *p, yyjson_val *root) {
    char buf[8192];
    struct text t = TEXT(buf);
    int lines;
    if (p->quiet)
        return;
    if (p->terminal && p->lines)
        text_add(&t, "\033[%dA\033[J", p->lines);
    describe(root, p->terminal, &t, &lines);
    if (p->terminal)
        (void)fputs(buf, stdout);
    else
        print_changes(p->last, buf);
    (void)fflush(stdout);
    p->lines = lines;
    (void)snprintf(p->last, sizeof p->last, "%s", buf);
}

/* 1 ready, 0 not yet, -1 it will not be. */
static int look(struct progress *p, const char *body, size_t len) {
    yyjson_doc *doc = yyjson_read(body, len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    int rc = 0;
    if (root) {
        const char *phase = json_str(root, "phase");
        p->seq = json_int(root, "seq");
        p->seen = true;
        draw(p, root);
        if (json_bool(root, "ready"))
            rc = 1;
        else if (strcmp(phase, "drain") == 0 || strcmp(phase, "end") == 0)
            rc = -1;
        if (rc < 0)
            (void)fprintf(stderr, "pinnace: %s\n", json_str(root, "reason"));
    }
    yyjson_doc_free(doc);
    return rc;
}

/* As look(). */
static int look_plainly(struct progress *p, struct err *e) {
    AUTO_FREE char *body = NULL;
    int status = client_text(p->host, "/readyz", p->deadline, &body, e);
    if (status < 0 || status == 200)
        return status < 0 ? status : 1;
    p->seen = true;
    (void)poll(NULL, 0, ASK_MS);
    return 0;
}

static int turn(struct progress *p, struct err *e) {
    char path[64];
    if (p->plain)
        return look_plainly(p, e);
    AUTO_FREE char *body = NULL;
    (void)snprintf(path, sizeof path, "/v1/status?after=%lld", (long long)p->seq);
    bool first = p->seq == 0;
    instant redraw = instant_add(instant_now(), span_ms(REDRAW_MS));
    bool short_look = p->terminal && !p->quiet;
    instant until = short_look ? instant_min(redraw, p->deadline) : p->deadline;
    int rc = client_text(p->host, first ? "/v1/status" : path, until, &body, e);
    if (rc == -ETIMEDOUT && short_look) { /* nothing new: draw the times that have passed */
        p->seq = 0;
        return 0;
    }
    p->plain = rc == -EACCES && p->quiet; /* there is no progress to be shown */
    if (rc < 0)
        return p->plain ? 0 : rc;
    rc = look(p, body, strlen(body));
    return rc < 0 ? -ECANCELED : rc;
}

/* What it waits for has not been shown where no progress is. */
static int time_is_over(const struct progress *p) {
    AUTO_FREE char *body = NULL;
    int status = p->quiet ? client_text(p->host, "/readyz", client_soon(), &body, NULL) : -1;
    if (status == 200)
        return CLI_OK;
    (void)fprintf(stderr, "pinnace: not ready in time\n%s", status > 0 ? body : "");
    return CLI_NO;
}

int wait_until_ready(const char *host, span limit, bool quiet) {
    instant begun = instant_now();
    struct progress p = {
        .host = host, .deadline = instant_add(begun, limit), .quiet = quiet, .terminal = isatty(1)
    };
    for (;;) {
        struct err e = { 0 };
        int rc = turn(&p, &e);
        if (rc > 0)
            return CLI_OK;
        if (rc == -ECANCELED)
            return CLI_NO;
        bool over = !instant_before(instant_now(), p.deadline);
        bool later = rc == 0 || rc == -ENOENT || rc == -ECONNREFUSED || rc == -EPROTO;
        if (over && p.seen && (rc == 0 || rc == -ETIMEDOUT))
            return time_is_over(&p);
        if (over || !later) {
            (void)fprintf(stderr, "pinnace: not ready%s%s\n", rc < 0 ? ": " : " in time",
                          rc < 0 ? e.text : "");
            return CLI_NO;
        }
        if (rc < 0)
            (void)poll(NULL, 0, RETRY_MS);
    }
}

int verb_wait(const struct args *a) {
    span limit = SPAN_NEVER;
    struct err e = { 0 };
    if (args_span(a, "timeout", &limit, &e) < 0)
        return cli_usage(a, "%s", e.text);
    return wait_until_ready(a->host, limit, args_has(a, "quiet"));
}
